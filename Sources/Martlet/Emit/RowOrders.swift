/// Where the rows of one instance stand in the output of a serial run: what parallel instances' outputs are merged by.
///
/// Orders count within one piece of work. A row that the record at position p caused has order `2 * p + 1`; one that a watermark
/// before position p, or a look at the clock there, caused has `2 * p`. Rows of several instances share an order only where
/// timers fired or keys ended; those have an `OrderDetail` as well, and rows are merged by order, phase, time, key bytes and instance.
///
/// `@unchecked Sendable`: nothing changes after `init`.
final class RowOrders: @unchecked Sendable {
  /// One per row, never falling.
  let values: UnsafeBufferPointer<UInt32>
  /// Of consecutive rows, in order; rows that none covers have none.
  let details: [OrderDetail]
  /// What `OrderDetail.key` points into.
  let keyBytes: [UInt8]
  private let block: GrowableBytes

  /// Takes the block over.
  init(_ block: GrowableBytes, _ count: Int, details: [OrderDetail] = [], keyBytes: [UInt8] = []) {
    self.block = block
    self.details = details
    self.keyBytes = keyBytes
    values = UnsafeBufferPointer(start: block.start.assumingMemoryBound(to: UInt32.self), count: count)
  }

  deinit { block.free() }
}

/// What orders the rows of callbacks that come at one place of the input: one for each callback that emitted something.
struct OrderDetail: BitwiseCopyable {
  var firstRow: UInt32
  var rowCount: UInt32
  /// Which pass at this place: the number of the watermark, of the round at the end of the input.
  var phase: UInt32
  /// The greatest (time, key) that has fired in the phase so far, this callback's included: a timer that registers an earlier one is
  /// followed by that at once, and so by rows with the same time and key here.
  var time: Int64
  var keyStart: UInt32
  var keyCount: UInt32
}

/// The phases of one place.
enum OrderPhase {
  /// After all watermarks of the place.
  static let clock = UInt32.max
}

/// Row numbers of a batch, as a buffer of their own.
///
/// `@unchecked Sendable`: nothing changes after `init`.
final class RowNumbers: @unchecked Sendable {
  let values: UnsafeBufferPointer<Int32>

  /// Takes over a block that was allocated for `Int32`s.
  init(_ block: UnsafeMutablePointer<Int32>, _ count: Int) {
    values = UnsafeBufferPointer(start: block, count: count)
  }

  deinit { values.baseAddress?.deallocate() }
}
