/// A block of bytes that grows by doubling, aligned as Arrow recommends. Copies of the struct share the block: exactly one
/// holder frees it or hands it to a `BuiltBuffers`.
struct GrowableBytes {
  private(set) var start: UnsafeMutableRawPointer
  private(set) var capacity: Int

  static let alignment = 64

  init(capacity: Int = 64) {
    self.capacity = max(64, capacity)
    start = .allocate(byteCount: self.capacity, alignment: Self.alignment)
  }

  /// Makes room for `needed` bytes in all, keeping the first `used`.
  @inline(__always)
  mutating func reserve(_ needed: Int, used: Int) {
    if needed > capacity { grow(needed, used) }
  }

  @inline(never)
  private mutating func grow(_ needed: Int, _ used: Int) {
    let larger = max(needed, capacity * 2)
    let block = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: Self.alignment)
    block.copyMemory(from: start, byteCount: used)
    start.deallocate()
    (start, capacity) = (block, larger)
  }

  func free() { start.deallocate() }
}

/// Owns the blocks of a finished array.
final class BuiltBuffers {
  private let blocks: [UnsafeMutableRawPointer]
  init(_ blocks: [UnsafeMutableRawPointer]) { self.blocks = blocks }
  deinit { for block in blocks { block.deallocate() } }
}
