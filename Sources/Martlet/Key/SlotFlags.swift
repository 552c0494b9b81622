/// What an operator whose state lives in a store knows of each slot. Without a store there is none of this.
///
/// A slot is *loaded* once the columns hold what the store has for its key; one that is not is a key with timers whose values were
/// evicted, or one that came a moment ago. It is *dirty* when store and memory may differ: it was touched since the last
/// flush. Such a slot keeps its values and its key, also when nothing is left of them: the store still has what has to go.
final class SlotFlags {
  static let loaded: UInt8 = 1
  static let dirty: UInt8 = 2
  /// The store has a row of the key's states.
  static let stored: UInt8 = 4
  /// The store has a row of the key's timers.
  static let timersStored: UInt8 = 8
  /// Used since the eviction's hand last passed.
  static let recent: UInt8 = 16
  /// Lists or maps of the key have rows of their own.
  static let large: UInt8 = 32
  /// Written in a batch that is not known to be in the store yet.
  static let flushing: UInt8 = 64

  @exclusivity(unchecked) private(set) var bytes: UnsafeMutablePointer<UInt8> = .zeroedBlocks(256)
  @exclusivity(unchecked) private(set) var capacity = 256
  /// Slots that became dirty; one may be there twice, or not be dirty any more.
  @exclusivity(unchecked) var dirtySlots: [UInt32] = []
  @exclusivity(unchecked) var flushingSlots: [UInt32] = []
  /// Of rows that were loaded: the states that no column is for, to be written again as they are.
  @exclusivity(unchecked) var otherStates: [UInt32: [UInt8]] = [:]

  deinit { bytes.freeBlocks() }

  func reserve(_ slots: Int) {
    guard slots > capacity else { return }
    let old = capacity
    while capacity < slots { capacity *= 2 }
    bytes.growBlocks(to: capacity)
    (bytes + old).update(repeating: 0, count: capacity - old)
  }

  @inline(__always)
  func has(_ slot: UInt32, _ flag: UInt8) -> Bool { bytes[Int(slot)] & flag != 0 }
  func set(_ slot: UInt32, _ flag: UInt8) { bytes[Int(slot)] |= flag }
  func clear(_ slot: UInt32, _ flag: UInt8) { bytes[Int(slot)] &= ~flag }

  func markDirty(_ slot: UInt32) {
    if has(slot, SlotFlags.dirty) { return }
    set(slot, SlotFlags.dirty)
    dirtySlots.append(slot)
  }

  /// Takes the `most` oldest of `dirtySlots` off it.
  func takeDirty(_ most: Int, _ body: (UnsafeBufferPointer<UInt32>) -> Void) {
    let count = min(most, dirtySlots.count)
    dirtySlots.withUnsafeBufferPointer { body(UnsafeBufferPointer(rebasing: $0[..<count])) }
    if count == dirtySlots.count {
      dirtySlots.removeAll(keepingCapacity: count <= 1 << 16)
    } else {
      dirtySlots.removeSubrange(..<count)
    }
  }

  /// Whether a slot without state and timers must stay, because the store has something of it that has to go first.
  func holds(_ slot: UInt32) -> Bool {
    guard Int(slot) < capacity else { return false }
    let flag = bytes[Int(slot)]
    if flag & SlotFlags.flushing != 0 { return true }
    return flag & SlotFlags.dirty != 0 && flag & (SlotFlags.stored | SlotFlags.timersStored) != 0
  }

  /// The slot was given back.
  func forget(_ slot: UInt32) {
    guard Int(slot) < capacity else { return }
    bytes[Int(slot)] = 0
    if !otherStates.isEmpty { otherStates[slot] = nil }
  }

  var memoryBytes: Int { capacity + (dirtySlots.capacity + flushingSlots.capacity) * 4 }
}
