import CMartlet

/// Consecutive records of one key in one input batch, borrowed for the call of `onBatch` it was passed to.
public struct RecordSlice {
  private let handle: Unmanaged<RecordBatch>
  /// The rows in the input batch.
  public let rows: Range<Int>

  @usableFromInline
  init(_ batch: Unmanaged<RecordBatch>, _ rows: Range<Int>) {
    handle = batch
    self.rows = rows
  }

  public var count: Int { rows.count }

  /// The input batch; keep it to keep the records beyond the call.
  public var batch: RecordBatch { handle.takeUnretainedValue() }

  /// One record, by its place in the slice.
  public subscript(index: Int) -> Record {
    precondition(index >= 0 && index < rows.count, "the slice has \(rows.count) records")
    return Record(handle, rows.lowerBound + index)
  }
}

/// A process function that takes records in slices: all consecutive records of one key in the input at once.
///
/// A slice ends with its key, where the watermark makes a timer (of the same parallel instance) due, where records begin or cease to be late, and with the
/// chunk (8192 rows); so no call ever holds a record that `onEvent` would have seen after a timer. Inside of `onBatch`
/// `context.timestamp`, `context.watermark` and the key are those that `onEvent` would see with the last record.
public protocol BatchProcessFunction: ProcessFunction {
  mutating func onBatch(key: Key, batch: RecordSlice, context: Context) throws
}

extension BatchProcessFunction {
  @inlinable public var takesSlices: Bool { true }

  /// Not called: records come through `onBatch`.
  public mutating func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
    try onBatch(
      key: key, batch: RecordSlice(batch.batch, batch.row..<batch.row + 1), context: context)
  }
}

extension Context {
  /// Emits the records of a slice as they are, by reference; each carries its own timestamp.
  public func emit(_ slice: RecordSlice) throws(EngineError) {
    try emitRows(slice.batch, slice.rows, into: output)
  }

  /// Emits rows of a batch. Those of the current slice carry their own timestamps, others the current one.
  package func emitRows(_ batch: RecordBatch, _ rows: Range<Int>, into builder: OutputBuilder) throws(EngineError) {
    let sliceRow = rows.lowerBound &- Int(raw.pointee.row)
    if let times = sliceTimes, raw.pointee.batch == OpaquePointer(Unmanaged.passUnretained(batch).toOpaque()),
      sliceRow >= 0, sliceRow + rows.count <= Int(raw.pointee.rows)
    {
      try builder.emitRows(batch, rows, sliceRow: sliceRow, timestamps: times + sliceRow)
    } else {
      try builder.emitRows(batch, rows, timestamp: raw.pointee.timestamp)
    }
  }
}
