/// The timestamps of a batch's rows, in milliseconds, as a buffer of their own.
///
/// `@unchecked Sendable`: nothing changes after `init`.
public final class RowTimestamps: @unchecked Sendable {
  private let block: GrowableBytes
  /// Borrowed: keep the object in a variable for as long as you read from here.
  public let values: UnsafeBufferPointer<Int64>

  /// Takes the block over.
  init(_ block: GrowableBytes, _ count: Int) {
    self.block = block
    values = UnsafeBufferPointer(start: block.start.assumingMemoryBound(to: Int64.self), count: count)
  }

  deinit { block.free() }
}
