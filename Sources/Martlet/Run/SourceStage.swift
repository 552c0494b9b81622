/// Cuts a source's batches into chunks, with the event time of every record and the watermark after it.
///
/// A chunk is small enough that what is computed per row (keys, slots, timestamps) stays in the cache of one core through
/// the whole chain of operators.
final class SourceStage {
  static let chunkRows = 8192
  /// The same where keys are to be looked up in a store, which costs less a key the more there are: 1.24 us by 65,536, 1.00 by 262,144.
  static let longestChunk = 262_144

  let name: String
  /// nil while the pump has it.
  private var source: (any Source)?
  private let mayWait: Bool
  private var pump: SourcePump?
  /// What pumps of the same job share, if it waits for several at once.
  var gate: PumpGate?
  let isLive: Bool
  let idleTimeout: Int64
  /// Set by the job once it knows.
  var hasEnded = false
  private let timestampColumn: String?
  private let nullTimestamps: NullPolicy
  private(set) var tracker: WatermarkTracker
  /// Once the source has named a partition; `tracker` then has no say.
  var partitions: PartitionWatermarks?
  /// When the source was last asked, while silent partitions are looked for; by the job's clock.
  var lastLook: Int64?
  private var track = SourceTrack()
  private var eventTime: EventTimeColumn?
  private var schema: Schema?

  private var batch: RecordBatch?
  private var nextRow = 0
  private var firstRecord: Int64 = 0

  // What is not used of them is not resident.
  private var times = UnsafeMutablePointer<Int64>.blocks(SourceStage.longestChunk)
  private var rows = UnsafeMutablePointer<Int32>.blocks(SourceStage.longestChunk)
  private let marks = UnsafeMutablePointer<WatermarkMark>.allocate(capacity: SourceStage.longestChunk + 1)
  /// About a timestamp, to be raised once the rows before it are through.
  private var pendingError: EngineError?

  private(set) var recordsIn: Int64 = 0
  private(set) var batchesIn: Int64 = 0
  private(set) var nullTimestampCount: Int64 = 0
  /// Of `recordsIn`, those that were processed in an earlier life of the job.
  private(set) var recordsBefore: Int64 = 0

  /// How many records have been given in chunks, in all lives of the job. Unlike `recordsIn` it does not depend on where batches end.
  var recordsGiven: Int64 { batch == nil ? recordsIn + track.rowsToSkip : firstRecord + Int64(nextRow) }

  /// After the last record read.
  var watermark: Int64 { partitions?.watermark ?? tracker.watermark }

  /// Whether records have timestamps.
  var isTimed: Bool { timestampColumn != nil }

  init(_ name: String, _ source: any Source, _ options: SourceOptions, nullTimestamps: NullPolicy) {
    self.name = name
    self.source = source
    mayWait = source.mayWait
    timestampColumn = options.timestamp
    tracker = WatermarkTracker(bound: options.maxOutOfOrderness)
    isLive = options.isLive
    idleTimeout = options.idleTimeout
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
    if let known = try source?.schema { try settle(known) }
    return schema
  }

  /// The schema as far as it is known without asking the source.
  var schemaIfKnown: Schema? { schema }

  /// Whether a batch, or the end, waits to be taken from the pump. Under the gate's lock.
  var hasArrival: Bool { pump?.hasArrival ?? false }

  enum Arrival {
    /// Valid until the next call.
    case chunk(Chunk)
    /// It advanced without a record.
    case watermark(Int64)
    case end
    case notYet
  }

  /// Fewer rows than `chunkRows` where other work waits for the end of a chunk, more where a store is looked into.
  var rowLimit = SourceStage.chunkRows

  /// The next rows. With `wait`, in milliseconds, a source that may wait is read in the background, and `.notYet` comes when
  /// the time is over.
  func nextChunk(within wait: Int64? = nil) throws -> Arrival {
    if let pendingError {
      self.pendingError = nil
      throw pendingError
    }
    var wait = wait
    while true {
      if let batch, nextRow < batch.numRows { return .chunk(try cut(batch)) }
      batch = nil
      switch try read(within: wait) {
      case .batch(let next):
        try accept(next)
        guard next.batch.numRows == 0 else { continue }
        // A source that waits says so by a batch without rows, and the job looks up. A thread that reads goes on meanwhile.
        guard pump != nil else { return .notYet }
        wait = 0
      case .end: return .end
      case .notYet: return .notYet
      }
    }
  }

  private func read(within wait: Int64?) throws -> SourcePump.Arrival {
    if let pump {
      // Once there is a pump, every read goes through it: one may be under way.
      return try pump.next(within: min(wait ?? SourceStage.longestWait, SourceStage.longestWait))
    }
    guard let source else { return .end }
    try track.begin(source)
    guard let wait, mayWait else { return try source.read(inBackground: false).map { .batch($0) } ?? .end }
    let pump = try SourcePump(source, gate: gate)
    self.pump = pump
    self.source = nil
    return try pump.next(within: min(wait, SourceStage.longestWait))
  }

  /// How long the job's thread waits at a time, in milliseconds: the longest that an interrupt has to wait.
  static let longestWait: Int64 = 50

  /// Ends the reading thread if there is one; see `SourcePump` for a source that is just waiting.
  func stopReading() {
    guard let pump else { return }
    self.pump = nil
    source = pump.stop()
  }

  private func accept(_ read: SourceRead) throws {
    let next = read.batch
    if let schema, schema != next.schema, let misfit = schema.misfit(of: next.schema) {
      throw EngineError(
        .schemaMismatch,
        "the schema of stream '\(name)' changed with batch \(batchesIn + 1): \(misfit.message); every batch of a stream has the "
          + "schema of the first")
    }
    try settle(next.schema)
    follow(read)
    batch = next
    nextRow = track.pass(read)
    firstRecord = recordsIn
    recordsIn += Int64(next.numRows)
    batchesIn += 1
  }

  /// Where the next record is.
  var position: SourcePosition {
    // A row with a bad timestamp was cut off with those before it.
    let rows = pendingError?.record.map { Int($0 - firstRecord) } ?? nextRow
    return track.position(rows: rows, of: batch?.numRows ?? 0, firstRecord: firstRecord, nextRecord: recordsIn)
  }

  /// Goes to where another stage stood; before anything is read.
  func restore(
    _ position: SourcePosition, watermark: Int64, hasEnded: Bool, _ known: [PartitionWatermarks.Partition] = []
  ) throws {
    tracker = WatermarkTracker(bound: tracker.bound, watermark: watermark)
    if !known.isEmpty { partitions = PartitionWatermarks(bound: tracker.bound, watermark: watermark, known) }
    recordsBefore = position.firstRecord + position.rows
    recordsIn = position.offset == nil ? recordsBefore : position.firstRecord
    self.hasEnded = hasEnded
    if !hasEnded, let source { try track.restore(position, source) }
  }

  private func settle(_ schema: Schema) throws {
    guard self.schema == nil else { return }
    if let timestampColumn {
      do {
        eventTime = try EventTimeColumn(timestampColumn, in: schema)
      } catch {
        throw EngineError(error.kind, "stream '\(name)': \(error.message)")
      }
    }
    self.schema = schema
  }

  private func cut(_ batch: RecordBatch) throws -> Chunk {
    let start = nextRow
    let count = min(batch.numRows - start, rowLimit)
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
    if let markCount = partitions?.mark(times, count, into: marks) {
      return UnsafeBufferPointer(start: marks, count: markCount)
    }
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
