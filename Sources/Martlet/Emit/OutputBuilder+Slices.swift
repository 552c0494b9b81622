/// Rows of an output that are rows of the slice a callback was given: `count` of them from output row `outputRow` on, which
/// are the rows from `sliceRow` on of the slice. What is not covered by any was built, or came from elsewhere.
struct SliceRows: BitwiseCopyable {
  let outputRow: Int
  let sliceRow: Int
  let count: Int
}

// Ranges of rows of one batch.

extension OutputBuilder {
  /// Emits the rows `range` of a batch by reference; every row carries `timestamp`. Errors: as `emitRow`.
  func emitRows(_ batch: RecordBatch, _ range: Range<Int>, timestamp: Int64) throws(EngineError) {
    guard try reference(batch, range) else { return }
    if notesRows { note(timestamp, range.count) }
  }

  /// Emits rows of the current slice, each with its own timestamp. `sliceRow` is the place of the first in the slice.
  func emitRows(_ batch: RecordBatch, _ range: Range<Int>, sliceRow: Int, timestamps: UnsafePointer<Int64>)
    throws(EngineError)
  {
    let outputRow = notesRows ? numRows : 0
    guard try reference(batch, range) else { return }
    guard notesRows else { return }
    for position in 0..<range.count { note(timestamps[position], 1) }
    sliceRows.append(SliceRows(outputRow: outputRow, sliceRow: sliceRow, count: range.count))
  }

  /// Notes the rows; false if there are none.
  private func reference(_ batch: RecordBatch, _ range: Range<Int>) throws(EngineError) -> Bool {
    guard range.lowerBound >= 0, range.upperBound <= batch.numRows else {
      throw EngineError(.invalidArgument, "rows \(range) are outside of a batch of \(batch.numRows) rows")
    }
    try use(batch)
    if !guardedColumns.isEmpty { for row in range { try checkRow(batch, row) } }
    guard !range.isEmpty else { return false }
    beginRun(.referenced)
    growRows(range.count)
    let start = rows + pendingRows
    for position in 0..<range.count {
      (start + position).initialize(to: Int32(truncatingIfNeeded: range.lowerBound &+ position))
    }
    pendingRows += range.count
    return true
  }
}
