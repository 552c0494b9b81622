// Which keys leave memory when there is too much in it.

extension WriteBack {
  /// Bytes of keys, states and timers in memory, about: the values outside of the arrays are measured now and then.
  var memoryInUse: Int {
    keys.slots.keyCount * bytesPerKey + heapBytes + timers.memoryBytes + flags.memoryBytes
  }

  /// How many chunks one measurement of what is outside of the arrays lasts.
  private static let measureEvery = 16

  /// After a chunk, or between callbacks that are not of one chunk: evicts keys that are as the store has them while there is more in memory
  /// than the limit. The hand goes round all slots and leaves those alone that were used since it last came by.
  func evict() {
    measure()
    guard !isAllDirty, memoryInUse > binding.memoryLimit else { return }
    // Some more than asked for, so that the next chunk does not begin it again.
    let goal = binding.memoryLimit - binding.memoryLimit / 16
    let count = UInt32(min(keys.slots.slotCount, flags.capacity))
    var left = 2 * Int(count)
    states.unrecorded {
      while left > 0, memoryInUse > goal {
        left -= 1
        if hand >= count { hand = 0 }
        let slot = hand
        hand += 1
        let flag = flags.bytes[Int(slot)]
        if flag & SlotFlags.loaded == 0 || flag & (SlotFlags.dirty | SlotFlags.flushing) != 0 { continue }
        if flag & SlotFlags.recent != 0 {
          flags.clear(slot, SlotFlags.recent)
        } else {
          unload(slot)
        }
      }
    }
    isAllDirty = memoryInUse > binding.memoryLimit
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
    if untilMeasured > 0 {
      untilMeasured -= 1
      return
    }
    untilMeasured = WriteBack.measureEvery
    heapBytes = states.heapBytes
  }
}
