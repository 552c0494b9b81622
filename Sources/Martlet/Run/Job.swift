import Synchronization

/// A running graph: sources, then operators of one or two inputs, pulled batch by batch.
///
/// What was emitted before an error is given out first, and the error by the call after, so that the output does not depend on
/// where batches are cut. One thread at a time; re-entrant use is `.busy`.
public final class Job {
  enum State {
    case building
    case running
    /// The input has ended and every operator knows.
    case ended
    /// The output holds what came before the error.
    case failing(any Error)
    case closed
  }

  public let name: String
  let policies: RecordPolicies
  let clock: Clock
  let atEnd: TimersAtEnd
  /// Called every now and then while the job waits for its source; what it throws stops the job.
  package var poll: () throws -> Void = {}
  // The graph; see JobGraph.swift.
  var sources: [SourceStage] = []
  var operators: [any Operator] = []
  /// Instances of every operator; before the job begins.
  public var parallelism = Parallelism.serial
  /// Where they run; nil: in threads of this process.
  var transport: (any InstanceTransport)?
  /// What a worker process said about the cause of the last failure.
  package var failureCause: [UInt8]?
  /// Per operator: what feeds it, one or two.
  var inputs: [[JobInput]] = []
  /// What the next operator is applied to.
  var current: JobInput?
  var outputs: [JobOutput] = []

  // The flow, made when the job begins; see JobInputs.swift and JobFlow.swift.
  /// Per operator of two inputs, what brings them into one order.
  var merges: [MergeStage?] = []
  /// Per source: what it feeds.
  var feeds: [[Feed]] = []
  /// Per operator, then per output of it with a follower or a taker.
  var routes: [[Route]] = []
  /// The operators that were opened, in that order.
  var opened: [Int] = []
  /// Per operator: whether it knows of the end of its input.
  var endedOperators: [Bool] = []
  /// Operators whose error waits in a merge for its turn.
  var failedOperators: Set<Int> = []
  /// Per operator and side: the number of the first record to come.
  var firstRecords: [[Int64]] = []
  /// Several sources of which one is live.
  var live: LiveInputs?
  /// What the job goes on from, until it has begun; see Job+Restore.swift.
  var restoring: PendingRestore?
  /// Per operator that is not parallel: what its checkpoint had of states it no longer has.
  var keptStates: [Int: KeptStates] = [:]
  /// Where operators keep their states, if not in memory alone; see Job+Stores.swift.
  var stores: JobStores?
  /// Whether the end of the input leaves the job open, so that a last checkpoint can be taken. Then `close` ends it.
  public var staysOpenAtEnd = false
  private let pauseRequested = Atomic<Bool>(false)
  /// Whether the last `next` came back early because of `pause`.
  public private(set) var isPaused = false
  /// Per operator and side: the sources that lead to it.
  var origins: [[[Int]]] = []

  var state = State.building
  private let isBusy = Atomic<Bool>(false)
  var recordsOut: Int64 = 0
  var sideRecords: Int64 = 0
  private var batchesOut: Int64 = 0
  /// Why the job stopped, for the outputs that have not heard of it.
  private var failure: (any Error)?
  /// At the end of the input or after an error, when other outputs may still hold rows.
  private var wasShutByItself = false
  private var lastCounters: [OperatorCounters] = []
  /// Only for a chain without operators: the rows of the source as they are.
  let passThrough = OutputBuilder()

  public convenience init(
    name: String = "job", nullKeys: NullPolicy = .raise, nullTimestamps: NullPolicy = .raise, clock: Clock = .system,
    atEnd: TimersAtEnd = .fire
  ) {
    self.init(
      name: name, RecordPolicies(nullKeys: nullKeys, nullTimestamps: nullTimestamps), clock: clock, atEnd: atEnd)
  }

  public init(name: String, _ policies: RecordPolicies, clock: Clock = .system, atEnd: TimersAtEnd = .fire) {
    self.name = name
    self.policies = policies
    self.clock = clock
    self.atEnd = atEnd
  }

  deinit { try? close() }

  // MARK: - Running

  /// The next batch of an output, nil at its end. Reads input until at least `minRows` rows are there or the input ends; what
  /// comes for the other outputs meanwhile is kept for them. Each output ends, or fails, once.
  public func next(from output: Int = 0, minRows: Int = 1) throws -> RecordBatch? {
    try acquire()
    defer { isBusy.store(false, ordering: .releasing) }
    isPaused = false
    while true {
      switch state {
      case .building:
        try begin()
      case .running where pauseRequested.exchange(false, ordering: .acquiring):
        isPaused = true
        return try take(output)
      case .running where try rows(of: output) < max(minRows, 1):
        do {
          try step()
          try stores?.afterStep()
        } catch { state = .failing(error) }
      case .running:
        return try take(output)
      case .ended:
        if let batch = try take(output) { return batch }
        if staysOpenAtEnd { return nil }
        try shut(after: nil)
        return try end(output)
      case .failing(let error):
        if let batch = try? take(output) { return batch }
        if outputs.indices.contains(output) { outputs[output].hasEnded = true }
        try shut(after: error)
      case .closed:
        guard wasShutByItself, outputs.indices.contains(output), !outputs[output].hasEnded else {
          throw EngineError(.closed, "job '\(name)' is closed; build a new one to run again")
        }
        if let batch = try? take(output) { return batch }
        return try end(output)
      }
    }
  }

  /// Lets the `next` that runs, or comes, give what there is, nil for nothing, after the step that it is at: for a checkpoint that is due
  /// while nothing is put out. Any thread.
  public func pause() { pauseRequested.store(true, ordering: .releasing) }

  /// Runs `body` at a record boundary with nothing under way: no work in an instance. It may find rows that were put out by then.
  func atRest<Result>(_ body: () throws -> Result) throws -> Result {
    try acquire()
    defer { isBusy.store(false, ordering: .releasing) }
    if case .building = state { try begin() }
    if case .running = state {
      do { while hasWorkUnderWay { try collectAll() } } catch { state = .failing(error) }
    }
    return try body()
  }

  /// What there is of an output once nothing is under way, without reading more; nil if there is nothing. Call it for every output, then
  /// take a checkpoint. An error that comes up here is told by the next `next`.
  public func takeReady(from output: Int = 0) throws -> RecordBatch? {
    try atRest { try take(output) }
  }

  /// The first output that holds rows, for an error.
  var outputWithRows: Int? {
    get throws(EngineError) {
      for output in 0..<max(outputs.count, 1) where try rows(of: output) > 0 { return output }
      return nil
    }
  }

  /// Tells an output that nothing more comes, once.
  private func end(_ output: Int) throws -> RecordBatch? {
    if outputs.indices.contains(output) { outputs[output].hasEnded = true }
    if let failure { throw failure }
    return nil
  }

  /// Calls every function's `close`, last first, and drops the state. Closing twice does nothing.
  public func close() throws {
    try acquire()
    defer { isBusy.store(false, ordering: .releasing) }
    if case .closed = state {
      wasShutByItself = false
      return
    }
    try shut(after: nil)
    wasShutByItself = false
  }

  /// The schema of output 0, if it is known by now.
  public var outputSchema: Schema? { try? schema(of: 0) }

  /// The schema of an output, if it is known by now.
  public func schema(of output: Int) throws(EngineError) -> Schema? {
    if let selector = outputs.indices.contains(output) ? outputs[output].selector : output == 0 ? selected : nil {
      return try lane(of: selector).builder.schema
    }
    guard output == 0 else { throw unknown(output) }
    return passThrough.schema ?? (try? sources.first?.openSchema())
  }

  private func unknown(_ output: Int) -> EngineError {
    EngineError(.invalidArgument, "job '\(name)' has no output numbered \(output); it has \(max(outputs.count, 1))")
  }

  private func acquire() throws(EngineError) {
    guard isBusy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged else {
      throw EngineError(
        .busy,
        "job '\(name)' is running: a stream cannot be read from inside of its own callbacks or by two threads at once")
    }
  }

  /// The builder that rows of an output are in; nil if they are taken from it as they come.
  private func builder(of output: Int) throws(EngineError) -> OutputBuilder? {
    if operators.isEmpty, output == 0 { return passThrough }
    guard outputs.indices.contains(output) else { throw unknown(output) }
    let lane = try lane(of: outputs[output].selector)
    return lane.forwards ? nil : lane.builder
  }

  private func rows(of output: Int) throws(EngineError) -> Int {
    let inBuilder = try builder(of: output)?.numRows ?? 0
    return inBuilder + (outputs.indices.contains(output) ? outputs[output].waitingRows : 0)
  }

  private func take(_ output: Int) throws(EngineError) -> RecordBatch? {
    let builder = try builder(of: output)
    if outputs.indices.contains(output), let batch = outputs[output].takeWaiting() { return counted(batch) }
    guard let (batch, _) = try builder?.takeBatch() else { return nil }
    if operators.isEmpty || outputs[output].selector.tag == nil {
      recordsOut += Int64(batch.numRows)
    } else {
      sideRecords += Int64(batch.numRows)
    }
    return counted(batch)
  }

  private func counted(_ batch: RecordBatch) -> RecordBatch {
    batchesOut += 1
    return batch
  }

  // MARK: - Ending

  private func shut(after failure: (any Error)?) throws {
    for source in sources { source.stopReading() }
    lastCounters = operators.map(\.counters)
    state = .closed
    wasShutByItself = true
    var first = failure
    for position in opened.reversed() {
      do { try operators[position].close() } catch { first = first ?? error }
    }
    transport?.shutDown()
    self.failure = first
    if let first { throw first }
  }

  /// What the job has counted so far.
  public var report: JobReport {
    let counters = lastCounters.isEmpty ? operators.map(\.counters) : lastCounters
    // Rows that wait to be taken count already.
    func waiting(_ belongs: (OutputSelector) -> Bool) -> Int64 {
      var rows = 0
      for (number, output) in outputs.enumerated() where belongs(output.selector) {
        if let builder = try? builder(of: number) { rows += builder.numRows }
      }
      return Int64(rows)
    }
    return JobReport(
      recordsIn: sources.reduce(0) { $0 + max($1.recordsIn - $1.recordsBefore, 0) },
      recordsOut: recordsOut + waiting { $0.tag == nil },
      batchesIn: sources.reduce(0) { $0 + $1.batchesIn }, batchesOut: batchesOut,
      nullTimestamps: sources.reduce(0) { $0 + $1.nullTimestampCount },
      sideRecords: sideRecords + waiting { $0.tag != nil },
      inputWatermark: sources.map(\.watermark).min() ?? EventTime.min, counters: counters)
  }
}
