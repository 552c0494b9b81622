/// Slots in the order of their rows in a store: by key group, and within one by canonical key. Stores take in and look up
/// neighbours one after the other faster than keys from all over.
///
/// Groups first by counting, then each by itself: what is sorted at a time are the keys of one group.
final class SlotOrder {
  private let keys: KeySpace
  private let maxParallelism: UInt64
  /// Whether canonical keys are a tag, a sign and eight bytes.
  let isPlain: Bool
  private let isUnsigned: Bool
  private let integerHash = IntegerKeyHash()
  // Used for every slot, by nobody else meanwhile.
  @exclusivity(unchecked) private var groups: UnsafeMutablePointer<UInt16> = .blocks(0)
  @exclusivity(unchecked) private var slots: UnsafeMutablePointer<UInt32> = .blocks(0)
  private var capacity = 0
  /// Of each group, where it begins.
  @exclusivity(unchecked) private var starts: [Int] = []
  private let sorter: SlotSorter
  private var scratch: [UInt8] = []
  @exclusivity(unchecked) private(set) var count = 0

  init(_ keys: KeySpace, maxParallelism: Int32) {
    self.keys = keys
    sorter = SlotSorter(keys)
    self.maxParallelism = UInt64(maxParallelism)
    let keyClass = keys.schema.form == .integer ? keys.schema.parts.first?.keyClass : nil
    isUnsigned = keyClass == .unsigned
    isPlain = isUnsigned || keyClass == .signed
  }

  /// The number and the sign of a plain key.
  @inline(__always)
  func plainKey(of slot: UInt32) -> (bits: Int64, isNegative: Bool) {
    let value = keys.slots.integerKeys[Int(slot)]
    return isUnsigned ? (value ^ Int64.min, false) : (value, value < 0)
  }

  deinit {
    integerHash.free()
    groups.freeBlocks()
    slots.freeBlocks()
  }

  /// What a large order took goes back; smaller ones are used again.
  func free() {
    if capacity <= 1 << 18 { return }
    capacity = 0
    groups.growBlocks(to: 0)
    slots.growBlocks(to: 0)
    sorter.free()
  }

  /// The group of the slot's key.
  @inline(__always)
  func group(of slot: UInt32) -> UInt16 {
    UInt16(truncatingIfNeeded: hash(slot) % maxParallelism)
  }

  @inline(__always)
  private func hash(_ slot: UInt32) -> UInt64 {
    guard isPlain else { return hashOfBytes(slot) }
    let key = plainKey(of: slot)
    return integerHash(key.bits, isNegative: key.isNegative)
  }

  private func hashOfBytes(_ slot: UInt32) -> UInt64 {
    scratch.removeAll(keepingCapacity: true)
    keys.appendCanonicalBytes(of: slot, to: &scratch)
    return scratch.withUnsafeBytes { StableHash.hash($0) }
  }

  /// Puts the slots that pass into order. One that is there twice comes twice.
  func sort(_ unsorted: UnsafeBufferPointer<UInt32>, where passes: (UInt32) -> Bool) {
    if unsorted.count > capacity {
      capacity = unsorted.count
      groups.growBlocks(to: capacity)
      slots.growBlocks(to: capacity)
    }
    starts.removeAll(keepingCapacity: true)
    starts.append(contentsOf: repeatElement(0, count: Int(maxParallelism) + 1))
    count = 0
    for index in unsorted.indices where passes(unsorted[index]) {
      let group = group(of: unsorted[index])
      groups[index] = group
      starts[Int(group) + 1] += 1
      count += 1
    }
    for group in 1..<starts.count { starts[group] += starts[group - 1] }
    starts.withUnsafeMutableBufferPointer { starts in
      for index in unsorted.indices where passes(unsorted[index]) {
        let group = Int(groups[index])
        slots[starts[group]] = unsorted[index]
        starts[group] += 1
      }
    }
    // Each start has become its group's end.
    var from = 0
    for end in starts.dropLast() where end > from {
      sorter.sort(slots + from, count: end - from)
      from = end
    }
  }

  /// The slots in their order, each with its group.
  @inline(__always)
  func forEach<Failure: Error>(_ body: (UInt32, UInt16) throws(Failure) -> Void) throws(Failure) {
    var position = 0
    for group in 0..<max(starts.count - 1, 0) {
      // What was the end of a group.
      let end = starts[group]
      while position < end {
        try body(slots[position], UInt16(truncatingIfNeeded: group))
        position += 1
      }
    }
  }

  /// A slot by its place.
  @inline(__always)
  subscript(position: Int) -> UInt32 { slots[position] }

  /// How far ahead of its use what a slot has is fetched: the order is not that of memory.
  static let ahead = 12

  /// The slot that `forEach` comes to some time after the one at `position`.
  @inline(__always)
  func slot(after position: Int) -> UInt32 { slots[min(position &+ SlotOrder.ahead, count &- 1)] }
}
