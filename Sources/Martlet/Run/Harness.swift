import CMartlet

/// Drives one process function by hand, one record at a time: for tests, and for looking into a snapshot.
///
/// ```swift
/// let function = Counter()
/// let harness = try Harness(function, key: "user", schema: Schema([Field("user", .utf8), Field("amount", .int64)]))
/// try harness.push("ann", 5, timestamp: 12)
/// try harness.advanceWatermark(to: 60_000)
/// #expect(try harness.output() == [["ann", 1]])
/// #expect(try harness.at("ann") { function.count.get() } == 1)
/// ```
///
/// It runs the operator that a stream runs, without a stream around it: every push is processed before it returns, time starts
/// at 0 under a manual clock, and the watermark moves only when it is told to (or, with `maxOutOfOrderness`, with the records). The
/// function given is the one that runs, so its states can be read within `at`.
///
/// An error of the function ends the run as it ends a stream: output, states and timers can still be looked at, and everything
/// else is `.closed`. (The model is Flink's `KeyedOneInputStreamOperatorTestHarness`.)
public final class Harness {
  enum Phase {
    /// Nothing has told the schema of the input yet.
    case waiting
    case open
    /// The input has ended.
    case ended
    case failed
    case closed
  }

  let process: ProcessOperator
  var phase = Phase.waiting
  var kept = KeptStates()
  /// The only input, or the left one.
  var input: HarnessInput
  /// How many records were pushed to it.
  var records: Int64 { input.records }
  /// The right input of a function of two.
  var second: SecondHarnessInput?
  /// While nothing is open: where the watermark is to start.
  var firstWatermark = EventTime.min
  let timersAtEnd: TimersAtEnd
  private let nullTimestamps: NullPolicy
  /// Records left out for a null timestamp.
  public private(set) var nullTimestampCount: Int64 = 0

  /// Takes over a job that has one function and has not begun. `timestamp` names the column of event times; `maxOutOfOrderness`,
  /// in milliseconds, makes the watermark follow the records. `rightTimestamp` is for the right input of a function of two.
  package init(
    _ job: Job, timestamp: String? = nil, rightTimestamp: String? = nil, maxOutOfOrderness: Int64? = nil
  ) throws(EngineError) {
    if let maxOutOfOrderness, maxOutOfOrderness < 0 {
      throw EngineError(
        .invalidArgument, "the out-of-orderness bound is \(maxOutOfOrderness) ms; it must not be negative")
    }
    process = try job.handOver()
    timersAtEnd = job.atEnd
    nullTimestamps = job.policies.nullTimestamps
    input = HarnessInput(timestamp, maxOutOfOrderness)
    if process.kind != .process { second = SecondHarnessInput(HarnessInput(rightTimestamp, maxOutOfOrderness)) }
    // What a source would tell the operator: its input has event times.
    process.rejectsNullTimestamps = nullTimestamps == .deadLetter && timestamp != nil
    process.rejectsNullRight = nullTimestamps == .deadLetter && rightTimestamp != nil
    process.output.recordsTimestamps = true
    process.sides.keepEverything()
  }

  deinit { try? close() }

  // MARK: - Input

  /// Tells the schema of the input and opens the function. Without, the first record does.
  public func open(_ schema: Schema) throws {
    if second != nil { return try open(.left, schema) }
    guard case .waiting = phase else { throw EngineError(.invalidArgument, "the harness is open already") }
    try running { try begin(schema) }
  }

  /// Processes row `row` of a batch. `timestamp` is the record's event time in milliseconds; `.column`, which is also what is meant by
  /// leaving it out, reads it from the column the harness was made with.
  public func push(_ batch: RecordBatch, row: Int = 0, timestamp: RecordTime = .column) throws {
    if second != nil { return try push(.left, batch, row: row, timestamp: timestamp) }
    try requireInput()
    try check(row, of: batch)
    try running {
      if case .waiting = phase { try begin(batch.schema) }
      _ = try process.tick()
      let time = try time(of: batch, row, timestamp, input)
      if case .leaveOut = time { return }
      var marks: [WatermarkMark] = []
      if case .at(let time) = time, let watermark = input.tracker?.observe(time) {
        marks.append(WatermarkMark(position: 1, watermark: watermark))
      }
      input.records += 1
      try withUnsafePointer(to: time.milliseconds) { milliseconds in
        try marks.withUnsafeBufferPointer { marks in
          try process.process(
            Chunk(
              batch: batch, selection: RowSelection(start: row, count: 1),
              timestamps: time.isColumn ? milliseconds : nil,
              marks: marks, firstRecord: input.records - 1 - Int64(row)))
        }
      }
    }
  }

  /// Moves the watermark and fires the event-time timers that fall due. It cannot go back.
  public func advanceWatermark(to time: Int64) throws {
    if second != nil { return try advanceInputs([.left, .right], to: time) }
    try requireInput()
    guard time >= watermark else {
      throw EngineError(
        .invalidArgument,
        "the watermark is at \(watermark) and cannot go back to \(time); event time only moves forward")
    }
    try running {
      if case .waiting = phase {
        firstWatermark = time
      } else {
        _ = try process.tick()
        try process.finish(watermark: time)
      }
    }
  }

  /// Sets the clock and fires the processing-time timers that fall due. It cannot go back.
  public func advanceProcessingTime(to time: Int64) throws {
    try requireInput()
    guard let clock = process.context.clock as? ManualClock else {
      throw EngineError(
        .invalidArgument, "the harness runs by the system's clock, which nobody sets; give it a manual one, or none")
    }
    try clock.advance(to: time)
    try running { _ = try process.tick() }
  }

  /// The end of the input: the last watermark, `onEnd` for every key, and what the job's settings say about processing-time timers.
  public func end() throws {
    if second != nil { return try endInputs([.left, .right]) }
    try requireInput()
    try running {
      if case .waiting = phase { try begin(nil) }
      _ = try process.tick()
      try process.endInput(timersAtEnd)
      phase = .ended
    }
  }

  /// Calls the function's `close`, once. What was emitted can still be taken, states and timers are gone.
  public func close() throws {
    defer { phase = .closed }
    switch phase {
    case .closed, .waiting: return
    case .open, .ended, .failed: try process.close()
    }
  }

  /// The watermark the function sees.
  public var watermark: Int64 {
    if case .waiting = phase { firstWatermark } else { process.context.watermark }
  }

  /// The time the function sees.
  public var processingTime: Int64 { process.context.processingTime }

  func begin(_ schema: Schema?) throws {
    if let schema { try input.settle(schema) }
    phase = .open
    try process.open(inputSchema: schema)
    if firstWatermark > EventTime.min { try process.finish(watermark: firstWatermark) }
  }

  /// Takes up where a snapshot left off.
  func resume(_ header: SnapshotHeader) {
    input.records = header.records
    if let saved = header.second {
      second?.input.records = saved.records
      second?.valve = saved.valve(header.watermark)
    }
    firstWatermark = header.watermark
  }

  func check(_ row: Int, of batch: RecordBatch) throws(EngineError) {
    guard row >= 0, row < batch.numRows else {
      throw EngineError(.invalidArgument, "row \(row) is outside of a batch of \(batch.numRows) rows")
    }
  }

  /// Runs what a stream would run; what it throws ends the harness as it would end the stream.
  func running(_ body: () throws -> Void) throws {
    do { try body() } catch {
      phase = .failed
      throw error
    }
  }

  func requireInput() throws(EngineError) {
    switch phase {
    case .waiting, .open: return
    case .ended: throw EngineError(.closed, "the input has ended; make a new harness, or restore a snapshot")
    case .failed:
      throw EngineError(
        .closed,
        "an error has ended the run; output, states and timers can still be looked at, for more make a new harness or restore a "
          + "snapshot")
    case .closed: throw EngineError(.closed, "the harness is closed; make a new one, or restore a snapshot")
    }
  }

  /// What a record's event time comes to.
  enum Time {
    case at(Int64)
    /// There is none, and none was expected.
    case without
    /// The column has a null, and the policy is to let the operator see it.
    case null
    case leaveOut

    var milliseconds: Int64 { if case .at(let time) = self { time } else { EventTime.none } }

    /// Whether the operator is shown a time, or the lack of one.
    var isColumn: Bool { if case .without = self { false } else { true } }
  }

  func time(
    of batch: RecordBatch, _ row: Int, _ time: RecordTime, _ input: HarnessInput
  ) throws(EngineError) -> Time {
    switch time {
    case .at(let time): return .at(time)
    case .none: return .without
    case .column: break
    }
    guard let eventTime = input.eventTime else { return .without }
    var time = EventTime.none
    let read = eventTime.read(batch, start: row, count: 1, into: &time)
    if let failure = read.failure { throw process.context.located(failure) }
    guard read.sawNull else { return .at(time) }
    nullTimestampCount += 1
    switch nullTimestamps {
    case .process: return .without
    case .drop: return .leaveOut
    case .deadLetter: return .null
    case .raise:
      throw EngineError(
        .nullTimestamp,
        "the timestamp ('\(input.timestampColumn ?? "")') is null; give it one, or set null_timestamps=\"drop\" to leave such records out or "
          + "\"process\" to deliver them without event time")
    }
  }
}

/// One input of a harness.
struct HarnessInput {
  let timestampColumn: String?
  private(set) var eventTime: EventTimeColumn?
  /// Makes the watermark follow the records.
  var tracker: WatermarkTracker?
  var records: Int64 = 0

  init(_ timestampColumn: String?, _ maxOutOfOrderness: Int64?) {
    self.timestampColumn = timestampColumn
    tracker = maxOutOfOrderness.map(WatermarkTracker.init)
  }

  mutating func settle(_ schema: Schema) throws(EngineError) {
    if eventTime == nil, let timestampColumn { eventTime = try EventTimeColumn(timestampColumn, in: schema) }
  }
}

/// The event time of a pushed record.
public enum RecordTime: Sendable, ExpressibleByIntegerLiteral {
  /// What the timestamp column says; none if there is no such column.
  case column
  case none
  case at(Int64)

  public init(integerLiteral time: Int64) { self = .at(time) }
}
