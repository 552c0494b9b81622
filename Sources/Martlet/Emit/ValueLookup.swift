/// Finds the first cell of a builder that has the same bytes as another: an open-addressing table of cell numbers. The hash
/// never shows in results, since numbers are given in order of appearance. Cells without plain bytes (nested ones) are all different.
struct ValueLookup {
  private var slots: [Int] = []
  private var used = 0
  private static let free = -1

  init() {}

  /// Over all cells that a builder has.
  init(over values: ColumnBuilder) {
    for cell in 0..<values.count { _ = position(of: cell, in: values) }
  }

  /// The first cell with the bytes of `cell`, which is `cell` itself if it is new. A null is equal to nothing.
  mutating func position(of cell: Int, in values: ColumnBuilder) -> Int {
    guard let bytes = values.storedBytes(cell) else { return cell }
    if let validity = values.validity, !Bitmap.get(validity, cell) { return cell }
    if used * 2 >= slots.count { grow(values) }
    var slot = Self.hash(bytes) & (slots.count - 1)
    while slots[slot] != Self.free {
      if let other = values.storedBytes(slots[slot]), Self.areEqual(other, bytes) { return slots[slot] }
      slot = (slot + 1) & (slots.count - 1)
    }
    slots[slot] = cell
    used += 1
    return cell
  }

  private mutating func grow(_ values: ColumnBuilder) {
    let old = slots
    slots = Array(repeating: Self.free, count: max(16, old.count * 2))
    for cell in old where cell != Self.free {
      guard let bytes = values.storedBytes(cell) else { continue }
      var slot = Self.hash(bytes) & (slots.count - 1)
      while slots[slot] != Self.free { slot = (slot + 1) & (slots.count - 1) }
      slots[slot] = cell
    }
  }

  private static func areEqual(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
    left.count == right.count && left.elementsEqual(right)
  }

  private static func hash(_ bytes: UnsafeRawBufferPointer) -> Int {
    var hash: UInt64 = 0x9E37_79B9_7F4A_7C15 ^ UInt64(bytes.count)
    var position = 0
    while position < bytes.count {
      var word: UInt64 = 0
      let length = min(8, bytes.count - position)
      withUnsafeMutableBytes(of: &word) {
        $0.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[position..<(position + length)]))
      }
      hash = (hash ^ word) &* 0xFF51_AFD7_ED55_8CCD
      hash ^= hash >> 32
      position += 8
    }
    return Int(truncatingIfNeeded: hash & 0x7FFF_FFFF_FFFF_FFFF)
  }
}
