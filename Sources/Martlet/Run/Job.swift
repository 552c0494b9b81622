import Synchronization

/// A running chain: one source, then operators, pulled batch by batch.
///
/// What was emitted before an error is given out first, and the error by the call after, so that the output does not depend on
/// where batches are cut. One thread at a time; re-entrant use is `.busy`.
public final class Job {
  private enum State {
    case building
    case running
    /// The input has ended and every operator knows.
    case ended
    /// The output holds what came before the error.
    case failing(any Error)
    case closed
  }

  public let name: String
  private let nullKeys: NullPolicy
  private let nullTimestamps: NullPolicy
  let clock: Clock
  private let atEnd: TimersAtEnd
  /// Called every now and then while the job waits for its source; what it throws stops the job.
  package var poll: () throws -> Void = {}
  private(set) var source: SourceStage?
  private(set) var operators: [any Operator] = []
  private var openedOperators = 0
  private var state = State.building
  private let isBusy = Atomic<Bool>(false)
  private var recordsOut: Int64 = 0
  private var batchesOut: Int64 = 0
  private var firstRecords: [Int64] = []
  private var lastCounters: [OperatorCounters] = []
  /// Only for a chain without operators: the rows of the source as they are.
  private let passThrough = OutputBuilder()

  public init(
    name: String = "job", nullKeys: NullPolicy = .raise, nullTimestamps: NullPolicy = .raise, clock: Clock = .system,
    atEnd: TimersAtEnd = .fire
  ) {
    self.name = name
    self.nullKeys = nullKeys
    self.nullTimestamps = nullTimestamps
    self.clock = clock
    self.atEnd = atEnd
  }

  deinit { try? close() }

  // MARK: - Building

  /// The input of the chain; once per job. `timestamp` names the column of event times, `maxOutOfOrderness` is in milliseconds.
  public func addSource(
    _ input: any Source, name: String = "stream", timestamp: String? = nil, maxOutOfOrderness: Int64 = 0
  ) throws(EngineError) {
    try requireBuilding()
    guard source == nil else { throw EngineError(.invalidArgument, "job '\(name)' has an input already") }
    guard maxOutOfOrderness >= 0 else {
      throw EngineError(
        .invalidArgument,
        "stream '\(name)': the out-of-orderness bound is \(maxOutOfOrderness) ms; it must not be negative")
    }
    source = SourceStage(
      name, input, timestamp: timestamp, bound: maxOutOfOrderness, nullTimestamps: nullTimestamps)
  }

  /// Appends a process function to the chain.
  @usableFromInline
  package func addProcess(_ spec: ProcessSpec) throws(EngineError) {
    try requireBuilding()
    guard source != nil else {
      throw EngineError(.invalidArgument, "operator '\(spec.name)': the job has no input yet")
    }
    guard !spec.keyColumns.isEmpty else {
      throw EngineError(.invalidArgument, "operator '\(spec.name)': name at least one key column")
    }
    let next = try ProcessOperator(spec, nullKeys: nullKeys, clock: clock)
    if let previous = operators.last {
      previous.output.recordsTimestamps = true
      previous.forwardsWatermarks = true
    }
    operators.append(next)
    firstRecords.append(0)
  }

  private func requireBuilding() throws(EngineError) {
    guard case .building = state else { throw EngineError(.closed, "job '\(name)' has started; build a new one") }
  }

  // MARK: - Running

  /// The next output batch, nil at the end. Reads input until at least `minRows` rows are there or the input ends.
  public func next(minRows: Int = 1) throws -> RecordBatch? {
    try acquire()
    defer { isBusy.store(false, ordering: .releasing) }
    while true {
      switch state {
      case .building:
        try begin()
      case .running where output.numRows < max(minRows, 1):
        do { try step() } catch { state = .failing(error) }
      case .running:
        return try take()
      case .ended:
        if let batch = try take() { return batch }
        try shut(after: nil)
        return nil
      case .failing(let error):
        if let batch = try? take() { return batch }
        try shut(after: error)
      case .closed:
        throw EngineError(.closed, "job '\(name)' is closed; build a new one to run again")
      }
    }
  }

  /// Calls every function's `close`, last first, and drops the state. Closing twice does nothing.
  public func close() throws {
    try acquire()
    defer { isBusy.store(false, ordering: .releasing) }
    if case .closed = state { return }
    try shut(after: nil)
  }

  /// The schema of the output, if it is known by now.
  public var outputSchema: Schema? {
    if let last = operators.last { return last.output.schema }
    return passThrough.schema ?? (try? source?.openSchema())
  }

  private func acquire() throws(EngineError) {
    guard isBusy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged else {
      throw EngineError(
        .busy,
        "job '\(name)' is running: a stream cannot be read from inside of its own callbacks or by two threads at once")
    }
  }

  private var output: OutputBuilder { operators.last?.output ?? passThrough }

  private func take() throws(EngineError) -> RecordBatch? {
    guard let (batch, _) = try output.takeBatch() else { return nil }
    recordsOut += Int64(batch.numRows)
    batchesOut += 1
    return batch
  }

  private func begin() throws {
    guard let source else { throw EngineError(.invalidArgument, "job '\(name)' has no input") }
    state = .running
    // See Job+Clock.swift.
    if !clock.runsByItself, operators.count > 1 { source.rowLimit = 1 }
    do {
      let schema = try source.openSchema()
      if schema != nil { try openOperators(upTo: 0, schema) }
    } catch {
      state = .failing(error)
    }
  }

  /// Opens the operators up to `index`, in order, that are not open yet. An operator opens when the schema of its input is
  /// known: that of the next ones may only be inferred later.
  private func openOperators(upTo index: Int, _ schema: Schema?) throws {
    while openedOperators <= index, openedOperators < operators.count {
      let position = openedOperators
      openedOperators += 1
      try operators[position].open(inputSchema: position == 0 ? schema : operators[position - 1].output.schema)
    }
  }

  private func step() throws {
    guard let source else { preconditionFailure("a job runs only with a source") }
    try tick()
    switch try source.nextChunk(within: timeToNextTick) {
    case .notYet:
      try poll()
    case .chunk(let chunk):
      if operators.isEmpty {
        for index in 0..<chunk.selection.count {
          try passThrough.emitRow(chunk.batch, chunk.selection[index], timestamp: EventTime.none)
        }
      } else {
        try pushFromSource(chunk)
      }
    case .end:
      // The clock may have passed some while the source was asked.
      try tick()
      for index in operators.indices {
        try openOperators(upTo: index, try source.openSchema())
        do {
          try operators[index].endInput(atEnd)
        } catch {
          try flush(index)
          throw error
        }
        try flush(index)
      }
      state = .ended
    }
  }

  /// Runs a chunk through operator `index` and what it emits through those after it.
  func push(_ chunk: Chunk, into index: Int) throws {
    try openOperators(upTo: index, chunk.batch.schema)
    do {
      try operators[index].process(chunk)
    } catch {
      // What was emitted before the error goes on. If that fails further down, it failed at an earlier record.
      try flush(index)
      throw error
    }
    try flush(index)
  }

  /// Passes what operator `index` emitted, and its watermarks, to the next one.
  func flush(_ index: Int) throws {
    guard index + 1 < operators.count else { return }
    let upstream = operators[index]
    let marks = upstream.forwardedMarks
    guard let (batch, timestamps) = try upstream.output.takeBatch() else {
      guard !marks.isEmpty, openedOperators > index + 1 else {
        // Nobody downstream has state or timers yet: only the last watermark matters, and it stays.
        if let last = marks.last { upstream.forwardedMarks = [WatermarkMark(position: 0, watermark: last.watermark)] }
        return
      }
      upstream.forwardedMarks.removeAll(keepingCapacity: true)
      return try pushMarks(marks, into: index + 1)
    }
    upstream.forwardedMarks.removeAll(keepingCapacity: true)
    let firstRecord = firstRecords[index + 1]
    firstRecords[index + 1] += Int64(batch.numRows)
    try marks.withUnsafeBufferPointer { marks in
      try push(
        Chunk(
          batch: batch, selection: RowSelection(start: 0, count: batch.numRows),
          timestamps: timestamps?.values.baseAddress, marks: marks, firstRecord: firstRecord),
        into: index + 1)
    }
    withExtendedLifetime(timestamps) {}
  }

  /// Watermarks without records.
  private func pushMarks(_ marks: [WatermarkMark], into index: Int) throws {
    for mark in marks {
      do {
        try operators[index].finish(watermark: mark.watermark)
      } catch {
        try flush(index)
        throw error
      }
    }
    try flush(index)
  }

  // MARK: - Ending

  private func shut(after failure: (any Error)?) throws {
    source?.stopReading()
    lastCounters = operators.map(\.counters)
    state = .closed
    var first = failure
    for position in (0..<openedOperators).reversed() {
      do { try operators[position].close() } catch { first = first ?? error }
    }
    if let first { throw first }
  }

  /// What the job has counted so far.
  public var report: JobReport {
    let counters = lastCounters.isEmpty ? operators.map(\.counters) : lastCounters
    return JobReport(
      recordsIn: source?.recordsIn ?? 0, recordsOut: recordsOut, batchesIn: source?.batchesIn ?? 0,
      batchesOut: batchesOut, nullTimestamps: source?.nullTimestampCount ?? 0, counters: counters)
  }
}
