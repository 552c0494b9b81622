// The first records of an output without a declared schema: its first row decides the schema, so they go to the instances one at a
// time until there is one, and every instance knows it before it emits anything.

extension ParallelOperator {
  /// How many go one at a time. A function that emits nothing for so long is not held up any longer; what instances infer from then
  /// on is reconciled by `SchemaConversion`.
  private static let most = 64

  /// Whether the next records are such ones.
  var awaitsFirstRow: Bool {
    lane.builder.schema == nil && (lane.isKept || lane.forwards) && firstRecords < ParallelOperator.most
  }

  /// Gives `part` the ranges of records to process one after the other: single ones, then the rest.
  func inParts(_ count: Int, _ part: (Range<Int>) throws -> Void) throws {
    var start = 0
    while awaitsFirstRow, start + 1 < count {
      try part(start..<start + 1)
      firstRecords += 1
      start += 1
    }
    if start < count || count == 0 { try part(start..<count) }
  }

  /// The marks of a part, at positions in it: those before its records, and at the end of the chunk those after its last.
  static func marks(
    _ marks: UnsafeBufferPointer<WatermarkMark>, of part: Range<Int>, total: Int
  ) -> [WatermarkMark] {
    marks.filter { part.contains($0.position) || (part.upperBound == total && $0.position >= total) }
      .map { WatermarkMark(position: $0.position - part.lowerBound, watermark: $0.watermark) }
  }
}

extension Chunk {
  /// Some of the records, with the marks that go with them.
  func part(_ range: Range<Int>, _ marks: UnsafeBufferPointer<WatermarkMark>) -> Chunk {
    let rows = selection.rows.map { $0 + range.lowerBound }
    let start = rows == nil ? selection.start + range.lowerBound : selection.start
    return Chunk(
      batch: batch, selection: RowSelection(start: start, count: range.count, rows: rows),
      timestamps: timestamps.map { $0 + range.lowerBound }, marks: marks, firstRecord: firstRecord)
  }
}

extension MergedChunk {
  func part(_ range: Range<Int>, _ marks: UnsafeBufferPointer<WatermarkMark>) -> MergedChunk {
    MergedChunk(
      left: left, right: right, rows: UnsafeBufferPointer(rebasing: rows[range]),
      timestamps: timestamps.map { $0 + range.lowerBound }, marks: marks, firstLeft: firstLeft, firstRight: firstRight)
  }
}
