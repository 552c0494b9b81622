// Taking rows back, and taking them out as batches.

extension OutputBuilder {
  /// A place to roll back to. Good until the output is taken.
  public func mark() -> Int { numRows }

  /// Discards the rows since a mark, and cells of an unfinished built row.
  public func rollback(to mark: Int) {
    built?.cancelRow()
    leaveShortWays()
    while numRows > mark, let run = runs.last {
      let cut = min(numRows - mark, numRows - run.start)
      switch run.kind {
      case .built: built!.truncate(to: built!.numRows - cut)
      case .referenced:
        let pendingCut = min(cut, pendingRows)
        pendingRows -= pendingCut
        if cut > pendingCut { gathered!.truncate(to: gathered!.numRows - (cut - pendingCut)) }
      }
      if numRows == run.start { runs.removeLast() }
    }
    truncateTimestamps(to: mark)
  }

  /// All rows since the last call as one batch, with a timestamp for each if they are recorded; nil if there are none.
  ///
  /// Consecutive rows of one batch come out as a slice of it, without copying. Errors: `.valueRange` when a column of
  /// the output outgrows its offsets.
  public func takeBatch() throws(EngineError) -> (batch: RecordBatch, timestamps: RowTimestamps?)? {
    guard numRows > 0 else { return nil }
    let batch = if let slice = sliceOfSource() { slice } else { try assemble() }
    forgetReferences()
    return (batch, takeTimestamps())
  }

  /// The rows were taken.
  func forgetReferences() {
    (source, pendingRows) = (nil, 0)
    leaveShortWays()
    runs.removeAll(keepingCapacity: true)
  }

  private func sliceOfSource() -> RecordBatch? {
    guard let source, let schema, pendingRows == numRows else { return nil }
    guard schema == source.schema || schema.isAsNullable(as: source.schema) else { return nil }
    guard let range = Self.contiguous(UnsafeBufferPointer(start: rows, count: pendingRows)) else { return nil }
    return source.relabelled(schema, range.lowerBound, range.count)
  }

  private func assemble() throws(EngineError) -> RecordBatch {
    try flush()
    guard let gathered, gathered.numRows > 0 else { return try builder.finish() }
    guard let built, built.numRows > 0 else { return try gathered.finish() }
    let total = numRows
    let sources = (referenced: try gathered.finish(), built: try built.finish())
    var next = (referenced: 0, built: 0)
    for (position, run) in runs.enumerated() {
      let count = (position + 1 < runs.count ? runs[position + 1].start : total) - run.start
      switch run.kind {
      case .referenced:
        try gathered.append(sources.referenced, range: next.referenced..<(next.referenced + count))
        next.referenced += count
      case .built:
        try gathered.append(sources.built, range: next.built..<(next.built + count))
        next.built += count
      }
    }
    return try gathered.finish()
  }
}
