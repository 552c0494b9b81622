// Rows of one batch whose numbers somebody else writes.

extension OutputBuilder {
  /// Where to write the numbers of new rows, and their timestamps if they are recorded.
  struct NewRows {
    let rows: UnsafeMutablePointer<Int32>
    let timestamps: UnsafeMutablePointer<Int64>?
  }

  /// Emits `count` rows of a batch by reference; the caller writes all of their numbers before anything else is done with the
  /// output. They were checked when they were first emitted. Errors: as `emitRow`.
  func appendRows(_ batch: RecordBatch, _ count: Int) throws(EngineError) -> NewRows {
    try use(batch)
    beginRun(.referenced)
    leaveShortWays()
    growRows(count)
    let start = rows + pendingRows
    pendingRows += count
    guard recordsTimestamps else { return NewRows(rows: start, timestamps: nil) }
    return NewRows(rows: start, timestamps: newTimestamps(count))
  }
}
