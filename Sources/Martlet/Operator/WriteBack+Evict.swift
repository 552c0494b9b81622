// Which keys leave memory when there is too much in it.

extension WriteBack {
  /// Bytes of keys, states and timers in memory, about: the values outside of the arrays are measured now and then.
  var memoryInUse: Int {
    keys.slots.keyCount * bytesPerKey + heapBytes + timers.memoryBytes + flags.memoryBytes
  }

  /// What a key takes with its values.
  var meanKeyBytes: Int { max(bytesPerKey, memoryInUse / max(keys.slots.keyCount, 1), 1) }

  /// How many chunks one measurement of what is outside of the arrays lasts, and how many more keys: a chunk may bring that many.
  private static let measureEvery = 16
  private static let measureKeys = 65_536

  /// How many keys leave together: what is known of their places in the key table is fetched for all of them first.
  private static let evictedTogether = 64

  /// After a chunk, or between callbacks that are not of one chunk: evicts keys that are as the store has them while there is more in memory
  /// than the limit. The hand goes round all slots and leaves those alone that were used since it last came by.
  func evict() {
    measure()
    guard !isAllDirty, memoryInUse > binding.memoryLimit else { return }
    // Some more than asked for, so that the next chunk does not begin it again.
    let goal = binding.memoryLimit - binding.memoryLimit / 16
    let count = UInt32(min(keys.slots.slotCount, flags.capacity))
    var left = 2 * Int(count)
    let plain = plainColumns
    var slots: [UInt32] = []
    slots.reserveCapacity(WriteBack.evictedTogether)
    states.unrecorded {
      while left > 0 {
        // Counted anew for each lot: what else is in memory takes a while to add up.
        let over = memoryInUse - goal
        if over <= 0 { break }
        let most = min(max(over / max(bytesPerKey, 1), 1), WriteBack.evictedTogether)
        slots.removeAll(keepingCapacity: true)
        left -= findEvictable(&slots, most, of: count, within: left)
        unload(slots, plain)
      }
    }
    isAllDirty = memoryInUse > binding.memoryLimit
  }

  /// Moves the hand over at most `left` slots until it has found `most` that may go; gives how many it passed.
  private func findEvictable(_ found: inout [UInt32], _ most: Int, of count: UInt32, within left: Int) -> Int {
    let bytes = flags.bytes
    let (mask, evictable) = (
      SlotFlags.loaded | SlotFlags.dirty | SlotFlags.flushing | SlotFlags.recent, SlotFlags.loaded
    )
    var position = hand
    var passed = 0
    while passed < left, found.count < most {
      if position >= count { position = 0 }
      let flag = bytes[Int(position)]
      if flag & mask == evictable {
        found.append(position)
        keys.prefetch(slot: position)
      } else if flag & mask == evictable | SlotFlags.recent {
        bytes[Int(position)] = flag & ~SlotFlags.recent
      }
      position &+= 1
      passed &+= 1
    }
    hand = position
    return passed
  }

  private func unload(_ slots: [UInt32], _ plain: [WordColumn]) {
    if plain.isEmpty || !flags.otherStates.isEmpty {
      for slot in slots { unload(slot) }
      return
    }
    for slot in slots where keys.slots.live[Int(slot)] != SlotAllocator.freeMark {
      for column in plain { column.forget(slot) }
      if keys.slots.live[Int(slot)] == 0 { keys.release(slot) } else { flags.clear(slot, SlotFlags.loaded) }
    }
  }

  /// Forgets the values of a slot that the store has. Its key goes too, unless it has timers.
  private func unload(_ slot: UInt32) {
    if keys.slots.live[Int(slot)] == SlotAllocator.freeMark { return }
    for (column, _) in keyed where column.isSet(slot) {
      heapBytes -= column.heapBytes(of: slot)
      column.clear(slot)
    }
    if flags.has(slot, SlotFlags.large) {
      for (column, _) in keyed {
        (column as? MapStateColumn)?.changes?.unfollow(slot)
        (column as? ListStateColumn)?.inRows[slot] = nil
      }
    }
    if keys.slots.live[Int(slot)] == 0 {
      keys.release(slot)
    } else {
      flags.clear(slot, SlotFlags.loaded | SlotFlags.large)
      flags.otherStates[slot] = nil
    }
  }

  private func measure() {
    let count = keys.slots.keyCount
    if untilMeasured > 0, count < measuredKeys + WriteBack.measureKeys {
      untilMeasured -= 1
      measuredKeys = min(measuredKeys, count)
      return
    }
    (untilMeasured, measuredKeys) = (WriteBack.measureEvery, count)
    heapBytes = states.heapBytes
  }
}
