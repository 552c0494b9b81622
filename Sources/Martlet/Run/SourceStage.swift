/// Cuts a source's batches into chunks, with the event time of every record and the watermark after it.
///
/// A chunk is small enough that what is computed per row (keys, slots, timestamps) stays in the cache of one core through
/// the whole chain of operators: 8192 rows was the fastest of 1 k … 256 k for the Swift counter.
final class SourceStage {
  static let chunkRows = 8192

  let name: String
  private let source: any Source
  private let timestampColumn: String?
  private let nullTimestamps: NullPolicy
  private var tracker: WatermarkTracker
  private var eventTime: EventTimeColumn?
  private var schema: Schema?

  private var batch: RecordBatch?
  private var nextRow = 0
  private var firstRecord: Int64 = 0

  private var times = UnsafeMutablePointer<Int64>.blocks(SourceStage.chunkRows)
  private var rows = UnsafeMutablePointer<Int32>.blocks(SourceStage.chunkRows)
  private let marks = UnsafeMutablePointer<WatermarkMark>.allocate(capacity: SourceStage.chunkRows)
  /// About a timestamp, to be raised once the rows before it are through.
  private var pendingError: EngineError?

  private(set) var recordsIn: Int64 = 0
  private(set) var batchesIn: Int64 = 0
  private(set) var nullTimestampCount: Int64 = 0

  /// After the last record read.
  var watermark: Int64 { tracker.watermark }

  init(_ name: String, _ source: any Source, timestamp: String?, bound: Int64, nullTimestamps: NullPolicy) {
    self.name = name
    self.source = source
    timestampColumn = timestamp
    tracker = WatermarkTracker(bound: bound)
    self.nullTimestamps = nullTimestamps
  }

  deinit {
    times.freeBlocks()
    rows.freeBlocks()
    marks.deallocate()
  }

  /// The schema, asked of the source if no batch has come yet.
  func openSchema() throws -> Schema? {
    if let schema { return schema }
    if let known = try source.schema { try settle(known) }
    return schema
  }

  /// The next rows, nil at the end of the input. Valid until the next call.
  func nextChunk() throws -> Chunk? {
    if let pendingError {
      self.pendingError = nil
      throw pendingError
    }
    while true {
      if let batch, nextRow < batch.numRows { return try cut(batch) }
      batch = nil
      guard let next = try source.next() else { return nil }
      try accept(next)
    }
  }

  private func accept(_ next: RecordBatch) throws {
    if let schema, schema != next.schema, let misfit = schema.misfit(of: next.schema) {
      throw EngineError(
        .schemaMismatch,
        "the schema of stream '\(name)' changed with batch \(batchesIn + 1): \(misfit.message); every batch of a stream has the "
          + "schema of the first")
    }
    try settle(next.schema)
    batch = next
    nextRow = 0
    firstRecord = recordsIn
    recordsIn += Int64(next.numRows)
    batchesIn += 1
  }

  private func settle(_ schema: Schema) throws {
    guard self.schema == nil else { return }
    if let timestampColumn { eventTime = try EventTimeColumn(timestampColumn, in: schema) }
    self.schema = schema
  }

  private func cut(_ batch: RecordBatch) throws -> Chunk {
    let start = nextRow
    let count = min(batch.numRows - start, SourceStage.chunkRows)
    nextRow = start + count
    guard let eventTime else {
      return Chunk(
        batch: batch, selection: RowSelection(start: start, count: count), timestamps: nil,
        marks: UnsafeBufferPointer(start: nil, count: 0), firstRecord: firstRecord)
    }
    let read = eventTime.read(batch, start: start, count: count, into: times)
    pendingError = read.failure
    pendingError?.record = firstRecord + Int64(start + read.count)
    let selection = read.sawNull ? select(start, read.count) : RowSelection(start: start, count: read.count)
    return Chunk(
      batch: batch, selection: selection, timestamps: times, marks: markWatermarks(selection.count),
      firstRecord: firstRecord)
  }

  /// The watermark after each record that moved it, as the position of the record that follows.
  private func markWatermarks(_ count: Int) -> UnsafeBufferPointer<WatermarkMark> {
    var tracker = tracker
    var markCount = 0
    for row in 0..<count {
      guard times[row] != EventTime.none, let watermark = tracker.observe(times[row]) else { continue }
      marks[markCount] = WatermarkMark(position: row &+ 1, watermark: watermark)
      markCount &+= 1
    }
    self.tracker = tracker
    return UnsafeBufferPointer(start: marks, count: markCount)
  }

  /// Applies the policy for null timestamps to `count` rows whose times were just read.
  private func select(_ start: Int, _ count: Int) -> RowSelection {
    switch nullTimestamps {
    case .process, .deadLetter:
      // Dead letters are written by the operator, in the order of the records.
      for row in 0..<count where times[row] == EventTime.none { nullTimestampCount += 1 }
      return RowSelection(start: start, count: count)
    case .drop:
      var kept = 0
      for row in 0..<count where times[row] != EventTime.none {
        times[kept] = times[row]
        rows[kept] = Int32(start + row)
        kept += 1
      }
      nullTimestampCount += Int64(count - kept)
      return RowSelection(start: start, count: kept, rows: rows)
    case .raise:
      let first = (0..<count).first { times[$0] == EventTime.none } ?? count
      if first < count {
        var error = EngineError(
          .nullTimestamp,
          "the timestamp ('\(timestampColumn ?? "")') is null in stream '\(name)'; filter such records out, or set "
            + "null_timestamps=\"drop\" to leave them out or \"process\" to deliver them without event time")
        error.record = firstRecord + Int64(start + first)
        pendingError = error
      }
      return RowSelection(start: start, count: first)
    }
  }
}
