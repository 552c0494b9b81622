/// Where the next cell of a column goes: what changes with every cell, at an address that lives as long as the column's builder,
/// so that appending loads one pointer and then plain memory.
@usableFromInline
struct CellCursor: BitwiseCopyable {
  /// The cells so far.
  @usableFromInline var count = 0
  /// Fixed-width columns: as long as `count` is below it, a cell is stored and counted, and that is all. 0 where there is more to
  /// do: in a column with nulls, whose every cell has a bit beside it.
  @usableFromInline var limit = 0
  /// Fixed-width columns: the cells.
  @usableFromInline var values: UnsafeMutableRawPointer

  @inlinable @inline(__always)
  var hasRoom: Bool { count < limit }

  /// Stores and counts a cell for which there is room, of a type that is as wide as the column's cells.
  @inlinable @inline(__always)
  mutating func store<T>(_ value: T) {
    (values + count &* MemoryLayout<T>.stride).assumingMemoryBound(to: T.self).initialize(to: value)
    count &+= 1
  }

  init() { values = UnsafeMutableRawPointer(bitPattern: GrowableBytes.alignment).unsafelyUnwrapped }
}

/// The cursors of some columns side by side. Lives as long as one of the columns.
final class CellCursors {
  let start: UnsafeMutablePointer<CellCursor>

  init(count: Int) {
    start = .allocate(capacity: count)
    start.initialize(repeating: CellCursor(), count: count)
  }

  deinit { start.deallocate() }
}
