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
  let policies: RecordPolicies
  let clock: Clock
  let atEnd: TimersAtEnd
  /// Called every now and then while the job waits for its source; what it throws stops the job.
  package var poll: () throws -> Void = {}
  private(set) var source: SourceStage?
  private(set) var operators: [any Operator] = []
  /// Per operator: what feeds it; nil: the source.
  private var inputs: [OutputSelector?] = []
  /// The operators that were opened, in that order.
  private var opened: [Int] = []
  /// What the next operator is applied to.
  private var current: OutputSelector?
  private var outputs: [JobOutput] = []
  /// Per operator, then per output of it with a follower or a taker; made when the job begins.
  private var routes: [[Route]] = []
  private var state = State.building
  private let isBusy = Atomic<Bool>(false)
  private var recordsOut: Int64 = 0
  private var sideRecords: Int64 = 0
  private var batchesOut: Int64 = 0
  private var firstRecords: [Int64] = []
  /// Why the job stopped, for the outputs that have not heard of it.
  private var failure: (any Error)?
  /// At the end of the input or after an error, when other outputs may still hold rows.
  private var wasShutByItself = false
  private var lastCounters: [OperatorCounters] = []
  /// Only for a chain without operators: the rows of the source as they are.
  private let passThrough = OutputBuilder()

  /// What becomes of one output's rows.
  private struct Route {
    let lane: OutputLane
    var followers: [Int] = []
    var output: JobOutput?
  }

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
      name, input, timestamp: timestamp, bound: maxOutOfOrderness,
      nullTimestamps: policies.nullTimestamps)
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
    let next = try ProcessOperator(spec, policies, clock: clock)
    if let current {
      let lane = try lane(of: current)
      lane.forwards = true
      if current.tag != nil { operators[current.process].sides.forward = true }
    } else {
      guard operators.isEmpty else {
        throw EngineError(.invalidArgument, "operator '\(spec.name)': a job has one chain from its input")
      }
      next.rejectsNullTimestamps = policies.nullTimestamps == .deadLetter
    }
    inputs.append(current)
    operators.append(next)
    firstRecords.append(0)
    current = OutputSelector(process: operators.count - 1)
  }

  /// Applies the next operator to this output instead of the main output of the one added last.
  package func select(_ selector: OutputSelector) throws(EngineError) {
    try requireBuilding()
    _ = try lane(of: selector)
    current = selector
  }

  /// What the next operator would be applied to; nil: the source.
  package var selected: OutputSelector? { current }

  /// Asks for the rows of an output; the number to give to `next(from:)`. Until the first call the job has one output, number
  /// 0: what the last operator added, or the last `select`, leaves.
  @discardableResult
  public func addOutput(_ selector: OutputSelector) throws(EngineError) -> Int {
    try requireBuilding()
    _ = try lane(of: selector)
    if let known = outputs.firstIndex(where: { $0.selector == selector }) { return known }
    outputs.append(JobOutput(selector))
    return outputs.count - 1
  }

  private func lane(of selector: OutputSelector) throws(EngineError) -> OutputLane {
    guard operators.indices.contains(selector.process) else {
      throw EngineError(
        .invalidArgument, "job '\(name)' has \(operators.count) operators; there is none numbered \(selector.process)")
    }
    let process = operators[selector.process]
    guard let tag = selector.tag else { return process.lane }
    guard !tag.isEmpty else { throw EngineError(.invalidArgument, "the tag of a side output is empty") }
    return process.sides.lane(tag)
  }

  private func requireBuilding() throws(EngineError) {
    guard case .building = state else { throw EngineError(.closed, "job '\(name)' has started; build a new one") }
  }

  /// Gives the operator of a job that has one and has not begun to somebody else to drive. The job is closed.
  func handOver() throws(EngineError) -> ProcessOperator {
    try requireBuilding()
    guard operators.count == 1, let only = operators[0] as? ProcessOperator else {
      throw EngineError(
        .invalidArgument, "job '\(name)' has \(operators.count) functions; a harness drives one, so add exactly one")
    }
    operators = []
    state = .closed
    return only
  }

  // MARK: - Running

  /// The next batch of an output, nil at its end. Reads input until at least `minRows` rows are there or the input ends; what
  /// comes for the other outputs meanwhile is kept for them. Each output ends, or fails, once.
  public func next(from output: Int = 0, minRows: Int = 1) throws -> RecordBatch? {
    try acquire()
    defer { isBusy.store(false, ordering: .releasing) }
    while true {
      switch state {
      case .building:
        try begin()
      case .running where try rows(of: output) < max(minRows, 1):
        do { try step() } catch { state = .failing(error) }
      case .running:
        return try take(output)
      case .ended:
        if let batch = try take(output) { return batch }
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
    if let selector = outputs.indices.contains(output) ? outputs[output].selector : output == 0 ? current : nil {
      return try lane(of: selector).builder.schema
    }
    guard output == 0 else { throw unknown(output) }
    return passThrough.schema ?? (try? source?.openSchema())
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

  private func begin() throws {
    guard let source else { throw EngineError(.invalidArgument, "job '\(name)' has no input") }
    state = .running
    if outputs.isEmpty, let current { outputs.append(JobOutput(current)) }
    // See Job+Clock.swift.
    if !clock.runsByItself, operators.count > 1 { source.rowLimit = 1 }
    do {
      try makeRoutes()
      let schema = try source.openSchema()
      if schema != nil, !operators.isEmpty { try open(0, schema) }
    } catch {
      state = .failing(error)
    }
  }

  private func makeRoutes() throws(EngineError) {
    routes = operators.map { _ in [] }
    func add(_ selector: OutputSelector, _ change: (inout Route) -> Void) throws(EngineError) {
      let lane = try lane(of: selector)
      if let position = routes[selector.process].firstIndex(where: { $0.lane === lane }) {
        change(&routes[selector.process][position])
      } else {
        var route = Route(lane: lane)
        change(&route)
        routes[selector.process].append(route)
      }
    }
    // Main outputs first, so that the order in which outputs were asked for changes nothing.
    for process in operators.indices { try add(OutputSelector(process: process)) { _ in } }
    for (process, input) in inputs.enumerated() {
      if let input { try add(input) { $0.followers.append(process) } }
    }
    for output in outputs {
      let lane = try lane(of: output.selector)
      lane.isKept = true
      try add(output.selector) { $0.output = output }
    }
  }

  /// Opens an operator when the schema of its input is known, which may only be inferred later for those further down.
  private func open(_ index: Int, _ schema: Schema?) throws {
    guard !opened.contains(index) else { return }
    opened.append(index)
    let inferred = try inputs[index].map { try lane(of: $0).builder.schema }
    try operators[index].open(inputSchema: inferred ?? schema)
  }

  private func step() throws {
    guard let source else { preconditionFailure("a job runs only with a source") }
    try tick()
    switch try source.nextChunk(within: timeToNextTick) {
    case .notYet:
      for one in operators { one.sweepExpired() }
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
        try open(index, inputs[index] == nil ? try source.openSchema() : nil)
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
    try open(index, chunk.batch.schema)
    do {
      try operators[index].process(chunk)
    } catch {
      // What was emitted before the error goes on. If that fails further down, it failed at an earlier record.
      try flush(index)
      throw error
    }
    try flush(index)
  }

  /// Passes what operator `index` emitted, and its watermarks, to those that follow it and to who asked for it.
  func flush(_ index: Int) throws {
    for route in routes[index] {
      if !route.followers.isEmpty {
        try forward(route)
      } else if let output = route.output {
        // Output that nobody asks for soon waits in batches of a useful size.
        if output !== outputs.first, route.lane.builder.numRows >= JobOutput.largeBatch,
          let (batch, _) = try route.lane.builder.takeBatch()
        {
          keep(batch, for: output)
        }
      } else {
        route.lane.dropped += Int64(route.lane.builder.discardRows())
      }
    }
    for lane in operators[index].sides.lanes where !lane.isKept && !lane.forwards {
      lane.dropped += Int64(lane.builder.discardRows())
    }
  }

  private func keep(_ batch: RecordBatch, for output: JobOutput) {
    if output.selector.tag == nil { recordsOut += Int64(batch.numRows) } else { sideRecords += Int64(batch.numRows) }
    output.add(batch)
  }

  private func forward(_ route: Route) throws {
    let lane = route.lane
    let marks = lane.marks
    guard let (batch, timestamps) = try lane.builder.takeBatch() else {
      // A follower that is not open has no state or timers yet: only the last watermark matters, and it stays.
      let waiting = route.followers.filter { !opened.contains($0) }
      lane.marks.removeAll(keepingCapacity: true)
      if let last = marks.last, !waiting.isEmpty {
        lane.marks = [WatermarkMark(position: 0, watermark: last.watermark)]
      }
      for follower in route.followers where opened.contains(follower) { try pushMarks(marks, into: follower) }
      return
    }
    lane.marks.removeAll(keepingCapacity: true)
    if let output = route.output { keep(batch, for: output) }
    for follower in route.followers {
      let firstRecord = firstRecords[follower]
      firstRecords[follower] += Int64(batch.numRows)
      try marks.withUnsafeBufferPointer { marks in
        try push(
          Chunk(
            batch: batch, selection: RowSelection(start: 0, count: batch.numRows),
            timestamps: timestamps?.values.baseAddress, marks: marks, firstRecord: firstRecord),
          into: follower)
      }
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
    wasShutByItself = true
    var first = failure
    for position in opened.reversed() {
      do { try operators[position].close() } catch { first = first ?? error }
    }
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
      recordsIn: source?.recordsIn ?? 0, recordsOut: recordsOut + waiting { $0.tag == nil },
      batchesIn: source?.batchesIn ?? 0,
      batchesOut: batchesOut, nullTimestamps: source?.nullTimestampCount ?? 0,
      sideRecords: sideRecords + waiting { $0.tag != nil },
      inputWatermark: source?.watermark ?? EventTime.min, counters: counters)
  }
}
