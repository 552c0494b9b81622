// The way from the store into memory.

extension WriteBack {
  /// At the operator's opening: reads broadcast states, and, if the key's type is known, every pending timer with its key. Values
  /// stay in the store.
  func begin() throws(EngineError) {
    try guarded { () throws(EngineError) in
      try states.unrecorded { () throws(EngineError) in try loadBroadcast() }
      try beginKeys()
    }
  }

  /// Once the key's type is known, if it was not before.
  func beginKeys() throws(EngineError) {
    if keys.partCount == 0 { return }
    try guarded { () throws(EngineError) in try loadTimers() }
    keys.reclaim()
  }

  private func loadBroadcast() throws(EngineError) {
    if broadcast.isEmpty { return }
    rows.beginBroadcast(&key)
    key.append(StoreKeys.record)
    list.removeAll()
    list.append(key)
    var found: [UInt8]?
    try store.get(list, in: binding.states) { _, value in found = value.map { Array($0) } }
    guard let found else { return }
    key.removeLast()
    broadcastFlags.set(BroadcastSlot.slot, SlotFlags.stored)
    try restore(found, BroadcastSlot.slot, broadcast, broadcastFlags)
  }

  private func loadTimers() throws(EngineError) {
    let classes = keys.schema.parts.map(\.keyClass)
    isStoreEmpty = true
    for group in binding.groups.groups {
      let head = rows.group(group)
      if isStoreEmpty {
        let cursor = try store.cursor(binding.states, .prefix(head))
        defer { cursor.close() }
        if try cursor.next() { isStoreEmpty = false }
      }
      let cursor = try store.cursor(binding.timers, .prefix(head))
      defer { cursor.close() }
      while try cursor.next() {
        let canonical = Array(cursor.key[StoreKeys.headSize...])
        guard canonical.withUnsafeBytes({ KeyEncoding.isKey($0, classes) }),
          let slot = keys.intern(canonical: canonical)
        else { throw damaged("a row of timers has a key that is none of operator \(rows.operatorNumber)'s") }
        flags.reserve(keys.slots.capacity)
        flags.set(slot, SlotFlags.timersStored)
        guard try timers.decode(slot, cursor.value) else {
          throw damaged("the timers of key \(text(slot)) are damaged")
        }
      }
    }
  }

  /// Before the rows of a chunk are processed: loads the keys that are not, and takes all for changed.
  func touch(_ slots: UnsafePointer<UInt32>, _ count: Int) throws(EngineError) {
    flags.reserve(keys.slots.capacity)
    for row in 0..<count where slots[row] != Slot.none { touch(slots[row]) }
    try loadMissing()
  }

  /// Before timers fire: the same for the keys of the next `limit` that are due.
  func touchDue(_ queue: TimerQueue, at time: Int64, limit: Int) throws(EngineError) {
    flags.reserve(keys.slots.capacity)
    queue.forEachDueSlot(at: time, limit: limit) { touch($0) }
    try loadMissing()
  }

  @inline(__always)
  private func touch(_ slot: UInt32) {
    let flag = flags.bytes[Int(slot)]
    let used = SlotFlags.loaded | SlotFlags.dirty | SlotFlags.recent
    if flag & used == used { return }
    if flag & SlotFlags.loaded == 0 { missing.append(slot) }
    if flag & SlotFlags.dirty == 0 { flags.dirtySlots.append(slot) }
    flags.bytes[Int(slot)] = flag | used
  }

  /// Looks up the keys of `missing` together; each is marked as loaded already.
  func loadMissing() throws(EngineError) {
    if missing.isEmpty { return }
    defer { missing.removeAll(keepingCapacity: true) }
    if isStoreEmpty { return }
    try guarded { () throws(EngineError) in
      try states.unrecorded { () throws(EngineError) in try lookUp(missing) }
    }
  }

  private func lookUp(_ slots: [UInt32]) throws(EngineError) {
    slots.withUnsafeBufferPointer { order.sort($0) { _ in true } }
    list.removeAll()
    if order.isPlain {
      order.forEach { slot, group in
        rows.writePlain(order.plainKey(of: slot), group: group, to: list.appendKey(count: StoreKeys.plainKeySize))
      }
    } else {
      order.forEach { slot, group in
        rows.begin(slot, keys, group: group, &key)
        key.append(StoreKeys.record)
        list.append(key)
      }
    }
    var failure: EngineError?
    var withRows: [(slot: UInt32, row: [UInt8])] = []
    let plain = plainColumns
    try store.get(list, in: binding.states) { index, value in
      guard failure == nil, let value else { return }
      let slot = order[index]
      flags.set(slot, SlotFlags.stored)
      if restorePlain(value, slot, plain) { return }
      do throws(EngineError) {
        // `receive` must not call the store, so keys with further rows wait.
        if try !restoreInline(value, slot, keyed, flags) { withRows.append((slot, Array(value))) }
      } catch { failure = error }
    }
    if let failure { throw failure }
    for (slot, row) in withRows {
      rows.begin(slot, keys, group: order.group(of: slot), &key)
      try restore(row, slot, keyed, flags)
    }
  }

  /// Fills a slot from its row; false, with nothing done, if the row tells of further ones.
  private func restoreInline(
    _ row: UnsafeRawBufferPointer, _ slot: UInt32, _ columns: [(column: StateColumn, number: UInt16)],
    _ flags: SlotFlags
  ) throws(EngineError) -> Bool {
    var isLarge = false
    let isSound = try StateRow.forEach(row) { part throws(EngineError) in
      if part.form == StateRow.large { isLarge = true }
    }
    guard isSound else { throw damaged("the row of \(name(slot, flags)) is damaged") }
    if isLarge { return false }
    _ = try StateRow.forEach(row) { part throws(EngineError) in
      try restorePart(part, slot, columns, flags)
    }
    heapBytes += row.count
    return true
  }

  /// Fills a slot from its row and the further ones; `key` has what their keys begin with.
  func restore(
    _ row: [UInt8], _ slot: UInt32, _ columns: [(column: StateColumn, number: UInt16)], _ flags: SlotFlags
  ) throws(EngineError) {
    var failure: EngineError?
    let head = key
    row.withUnsafeBytes { bytes in
      do throws(EngineError) {
        let isSound = try StateRow.forEach(bytes) { part throws(EngineError) in
          guard part.form == StateRow.large else { return try restorePart(part, slot, columns, flags) }
          flags.set(slot, SlotFlags.large)
          guard let column = columns.first(where: { $0.number == part.number })?.column else {
            return keepPart(part, slot, flags)
          }
          try restoreLarge(column, part, slot, head + [StoreKeys.entries])
        }
        if !isSound { throw damaged("the row of \(name(slot, flags)) is damaged") }
      } catch { failure = error }
    }
    if let failure { throw failure }
    heapBytes += columns.reduce(0) { $0 + $1.column.heapBytes(of: slot) }
  }

  private func restorePart(
    _ part: StateRow.Part, _ slot: UInt32, _ columns: [(column: StateColumn, number: UInt16)], _ flags: SlotFlags
  ) throws(EngineError) {
    for (column, number) in columns where number == part.number {
      do throws(EngineError) { return try restoreEntries(of: column, part, slot) } catch {
        throw damaged("of \(name(slot, flags)), \(error.message)")
      }
    }
    keepPart(part, slot, flags)
  }

  private func restoreEntries(of column: StateColumn, _ part: StateRow.Part, _ slot: UInt32) throws(EngineError) {
    if part.form == StateRow.inline { return try column.restoreEntries(slot, part.content) }
    var failure: EngineError?
    part.entries.withUnsafeBytes {
      do throws(EngineError) { try column.restoreEntries(slot, $0) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  private func keepPart(_ part: StateRow.Part, _ slot: UInt32, _ flags: SlotFlags) {
    if !binding.forgotten.contains(part.number) { flags.otherStates[slot, default: []] += part.whole }
  }

  private func restoreLarge(
    _ column: StateColumn, _ part: StateRow.Part, _ slot: UInt32, _ head: [UInt8]
  ) throws(EngineError) {
    var prefix = head
    StoreKeys.append(part.number, to: &prefix)
    let count = part.count ?? 0
    try column.restoreRows(slot, count: count, of: store, binding.states, prefix)
    if let map = column as? MapStateColumn { map.changes?.follow(slot) }
    if let list = column as? ListStateColumn { list.inRows[slot] = (count, count) }
  }

  private func name(_ slot: UInt32, _ flags: SlotFlags) -> String {
    flags === broadcastFlags ? "the broadcast states" : "key \(text(slot))"
  }
}
