import CMartlet

// Keys whose states are all numbers, as most are: their rows are written into a batch and read from the store in place.

extension WriteBack {
  /// The columns by their addresses, valid until they grow; none unless all are numbers.
  var plainColumns: [WordColumn] {
    isPlain ? keyed.compactMap { column, number in (column as? ValueStateColumn)?.words(number) } : []
  }

  /// Writes the rows of the dirty slots, which are in order; there are no timers, and no states that no column is for.
  func flushPlain(_ batch: WriteBatch) throws(EngineError) {
    var inOrder = 0
    try plainColumns.withUnsafeRows { (columns) throws(EngineError) in
      let integers = keys.slots.integerKeys
      var position = 0
      try order.forEach { (slot, group) throws(EngineError) in
        let next = order.slot(after: position)
        position &+= 1
        martlet_prefetch(flags.bytes + Int(next))
        martlet_prefetch(integers + Int(next))
        for column in columns { column.prefetch(next) }
        let flag = flags.bytes[Int(slot)]
        if flag & SlotFlags.dirty == 0 { return }
        // Not loaded: its values are in the store as they are. Timers: the store has some that have fired since.
        if flag & (SlotFlags.loaded | SlotFlags.timersStored) != SlotFlags.loaded || !order.isPlain {
          return try flush(slot, group, batch)
        }
        var size = 0
        for column in columns { size &+= column.size(of: slot) }
        var after = flag & ~SlotFlags.dirty | SlotFlags.flushing
        if size > 0 {
          var place = batch.beginPut(binding.states, keyCount: StoreKeys.plainKeySize, valueCount: size)
          rows.writePlain(order.plainKey(of: slot), group: group, to: place)
          place += StoreKeys.plainKeySize
          for column in columns { place = column.write(slot, to: place) }
          after |= SlotFlags.stored
          inOrder &+= 1
        } else if flag & SlotFlags.stored != 0 {
          return try flush(slot, group, batch)
        }
        flags.bytes[Int(slot)] = after
        flags.flushingSlots.append(slot)
      }
    }
    // Nothing else is in the batch.
    if batch.count == inOrder { batch.declareSorted() }
  }

  /// Fills a slot from its row; false, with nothing done, if the row is not made of these columns' numbers alone.
  @inline(__always)
  func restorePlain(_ row: UnsafeRawBufferPointer, _ slot: UInt32, _ columns: [WordColumn]) -> Bool {
    guard let start = row.baseAddress, !columns.isEmpty else { return false }
    let end = start + row.count
    var place = start
    for column in columns {
      if place == end { break }
      if let next = column.read(slot, place, before: end) { place = next }
    }
    if place == end { return true }
    for column in columns { column.forget(slot) }
    return false
  }
}

extension [WordColumn] {
  fileprivate func withUnsafeRows(_ body: (UnsafeBufferPointer<WordColumn>) throws(EngineError) -> Void)
    throws(EngineError)
  {
    var failure: EngineError?
    withUnsafeBufferPointer {
      do throws(EngineError) { try body($0) } catch { failure = error }
    }
    if let failure { throw failure }
  }
}
