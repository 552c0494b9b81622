// The way from memory into the store.

extension WriteBack {
  /// Adds to the batch what brings the store up to date. To be followed by `didCommit` once the batch is in the store; if that fails, by
  /// nothing: the instance is then behind the store or before it, and is to be opened again.
  ///
  /// With `atMost`, no more keys than that: those that have been dirty for longest.
  func flush(into batch: WriteBatch, atMost most: Int = .max) throws(EngineError) {
    try checkUsable()
    try guarded { () throws(EngineError) in
      if broadcastFlags.has(BroadcastSlot.slot, SlotFlags.dirty), binding.writesBroadcast,
        !broadcast.isEmpty || !broadcastFlags.otherStates.isEmpty
      {
        rows.beginBroadcast(&key)
        try flushStates(BroadcastSlot.slot, broadcast, broadcastFlags, batch)
      }
      broadcastFlags.clear(BroadcastSlot.slot, SlotFlags.dirty)
      flags.takeDirty(most) { slots in order.sort(slots) { flags.has($0, SlotFlags.dirty) } }
      flags.flushingSlots.reserveCapacity(flags.flushingSlots.count + order.count)
      if isPlain, timers.count == 0, flags.otherStates.isEmpty {
        try flushPlain(batch)
      } else {
        try order.forEach { (slot, group) throws(EngineError) in
          if flags.has(slot, SlotFlags.dirty) { try flush(slot, group, batch) }
        }
      }
      order.free()
    }
    isStoreEmpty = false
  }

  func flush(_ slot: UInt32, _ group: UInt16, _ batch: WriteBatch) throws(EngineError) {
    rows.begin(slot, keys, group: group, &key)
    if flags.has(slot, SlotFlags.loaded) { try flushStates(slot, keyed, flags, batch) }
    row.removeAll(keepingCapacity: true)
    if timers.count > 0 { timers.encode(slot, into: &row) }
    if !row.isEmpty {
      try batch.put(key, row, in: binding.timers)
      flags.set(slot, SlotFlags.timersStored)
    } else if flags.has(slot, SlotFlags.timersStored) {
      try batch.remove(key, in: binding.timers)
      flags.clear(slot, SlotFlags.timersStored)
    }
    flags.clear(slot, SlotFlags.dirty)
    flags.set(slot, SlotFlags.flushing)
    flags.flushingSlots.append(slot)
  }

  /// The row of a slot and its further rows; `key` has what their keys begin with, and has it again afterwards.
  private func flushStates(
    _ slot: UInt32, _ columns: [(column: StateColumn, number: UInt16)], _ flags: SlotFlags, _ batch: WriteBatch
  ) throws(EngineError) {
    let head = key.count
    var isLarge = false
    row.removeAll(keepingCapacity: true)
    for (column, number) in columns {
      let count = largeCount(column, slot)
      let wasLarge = flags.has(slot, SlotFlags.large) && isFollowed(column, slot)
      if count > 0 {
        isLarge = true
        StateRow.appendLarge(number, count: count, to: &row)
        try flushLarge(column, number, slot, wasLarge: wasLarge, flags, batch)
      } else {
        try StateRow.append(column, number, slot, to: &row)
        if wasLarge { try removeRows(of: column, number, slot, batch) }
      }
      key.removeSubrange(head...)
    }
    if !flags.otherStates.isEmpty, let others = flags.otherStates[slot] {
      row.append(contentsOf: others)
      // What others have in rows of their own stays there.
      isLarge = isLarge || flags.has(slot, SlotFlags.large)
    }
    if isLarge { flags.set(slot, SlotFlags.large) } else { flags.clear(slot, SlotFlags.large) }
    key.append(StoreKeys.record)
    defer { key.removeLast() }
    if !row.isEmpty {
      try batch.put(key, row, in: binding.states)
      flags.set(slot, SlotFlags.stored)
    } else if flags.has(slot, SlotFlags.stored) {
      try batch.remove(key, in: binding.states)
      flags.clear(slot, SlotFlags.stored)
    }
  }

  private func isFollowed(_ column: StateColumn, _ slot: UInt32) -> Bool {
    switch column {
    case let map as MapStateColumn: map.changes?.isFollowing(slot) ?? false
    case let list as ListStateColumn: list.inRows[slot] != nil
    default: false
    }
  }

  /// How many entries or elements a list or map has that gets rows of its own; 0 otherwise. One that has such rows keeps them until it is
  /// much smaller.
  private func largeCount(_ column: StateColumn, _ slot: UInt32) -> Int {
    let count =
      switch column {
      case let map as MapStateColumn: map.storedCount(of: slot)
      case let list as ListStateColumn: list.storedCount(of: slot)
      default: 0
      }
    if count > binding.largeAbove { return count }
    return count > binding.largeAbove / 4 && isFollowed(column, slot) ? count : 0
  }

  private func removeRows(of column: StateColumn, _ number: UInt16, _ slot: UInt32, _ batch: WriteBatch)
    throws(EngineError)
  {
    beginEntries(number)
    try batch.remove(.prefix(key), in: binding.states)
    (column as? MapStateColumn)?.changes?.unfollow(slot)
    (column as? ListStateColumn)?.inRows[slot] = nil
  }

  private func beginEntries(_ number: UInt16) {
    key.append(StoreKeys.entries)
    StoreKeys.append(number, to: &key)
  }

  private func flushLarge(
    _ column: StateColumn, _ number: UInt16, _ slot: UInt32, wasLarge: Bool, _ flags: SlotFlags, _ batch: WriteBatch
  ) throws(EngineError) {
    beginEntries(number)
    switch column {
    case let map as MapStateColumn: try flushMap(map, slot, wasLarge: wasLarge, batch)
    case let list as ListStateColumn: try flushList(list, slot, batch)
    default: preconditionFailure("only lists and maps are large")
    }
  }

  private func flushMap(_ map: MapStateColumn, _ slot: UInt32, wasLarge: Bool, _ batch: WriteBatch) throws(EngineError)
  {
    let head = key.count
    let table = map.table(of: slot)
    var value: [UInt8] = []
    if wasLarge, let changes = map.changes, !changes.isReplaced(slot) {
      try changes.forEach(slot) { changed throws(EngineError) in
        map.appendRowKey(changed, to: &key)
        if let position = map.layout.find(table, changed) {
          value.removeAll(keepingCapacity: true)
          map.appendRowValue(position, to: &value)
          try batch.put(key, value, in: binding.states)
        } else {
          try batch.remove(key, in: binding.states)
        }
        key.removeSubrange(head...)
      }
    } else {
      if wasLarge { try batch.remove(.prefix(key), in: binding.states) }
      try map.layout.scan(table) { position throws(EngineError) -> Bool in
        map.appendRowKey(map.layout.keys.load(map.layout.key(position.node, position.index)), to: &key)
        value.removeAll(keepingCapacity: true)
        map.appendRowValue(position, to: &value)
        try batch.put(key, value, in: binding.states)
        key.removeSubrange(head...)
        return true
      }
    }
    map.changes?.follow(slot)
  }

  /// Writes the chunks from the first with a changed element on; those that there are no elements for any more go.
  private func flushList(_ list: ListStateColumn, _ slot: UInt32, _ batch: WriteBatch) throws(EngineError) {
    let head = key.count
    let size = binding.listChunk
    let count = list.storedCount(of: slot)
    let known = list.inRows[slot] ?? (stored: 0, intact: 0)
    list.inRows[slot] = (count, count)
    if known.intact == count, known.stored == count { return }
    let chunks = (count + size - 1) / size
    if (known.stored + size - 1) / size > chunks {
      let end = KeyRange.successor(ofPrefix: key)
      StoreKeys.append(UInt64(chunks), to: &key)
      try batch.remove(KeyRange(key, upTo: end), in: binding.states)
      key.removeSubrange(head...)
    }
    var chunk = known.intact / size
    var value: [UInt8] = []
    while chunk * size < count {
      StoreKeys.append(UInt64(chunk), to: &key)
      value.removeAll(keepingCapacity: true)
      list.appendChunk(slot, from: chunk * size, count: min(size, count - chunk * size), to: &value)
      try batch.put(key, value, in: binding.states)
      key.removeSubrange(head...)
      chunk += 1
    }
  }

  /// The batch of the last `flush` is in the store.
  func didCommit() {
    for slot in flags.flushingSlots where flags.has(slot, SlotFlags.flushing) {
      flags.clear(slot, SlotFlags.flushing)
      // Kept until now so that the store's row of it could go.
      if keys.slots.live[Int(slot)] == 0 { keys.slots.noteEmpty(slot) }
    }
    flags.flushingSlots.removeAll(keepingCapacity: flags.flushingSlots.count <= 1 << 20)
    isAllDirty = false
    keys.reclaim()
  }
}
