/// A stream of records: where they come from and the functions applied to them. Nothing is read until it is run.
///
/// ```swift
/// let events = Stream(BatchSource(batches), timestamp: "ts", maxOutOfOrderness: 5_000)
/// let counts = applyProcessFunction(events, "user_id", Counter())
/// for batch in try counts.collect() { … }
/// ```
///
/// A stream describes; `job()` builds what runs, with new functions every time. A source that can be read once lets the
/// stream run once.
public struct Stream {
  /// How a job is configured.
  public struct Config: Sendable {
    public var name = "job"
    public var nullKeys = NullPolicy.raise
    public var nullTimestamps = NullPolicy.raise
    public var onError = ErrorPolicy.raise
    public var late = LatePolicy.process
    /// Where processing time comes from: the system's clock, or a `ManualClock`.
    public var clock = Clock.system
    /// What becomes of processing-time timers that are pending when a bounded input ends.
    public var atEnd = TimersAtEnd.fire
    /// Instances of every function, each on a thread and with its own share of the keys. The output is that of one, in the same order.
    public var parallelism = 1
    /// Into how many groups keys are divided among instances; from `parallelism` to 32768.
    public var maxParallelism = 128
    /// Where `run(into:)` keeps the job's state from run to run: a directory of its own, made if need be. Nil: nowhere.
    public var stateDirectory: String?
    /// With a state directory: what state is kept in.
    public var stateBackend = StateBackend.memory
    /// With a state directory: how often a checkpoint is taken, at least; there is one more at the end.
    public var checkpointInterval = Duration.seconds(10)
    /// With a backend other than memory: bytes that state may take in memory, about; nil: 512 MiB.
    public var memoryLimit: Int?
    /// How many checkpoints are kept, at least 1.
    public var retainedCheckpoints = 2
    /// What `run(into:)` begins from while the state directory has no checkpoint: a savepoint, a checkpoint or another job's directory.
    public var restoreFrom: String?
    /// What a checkpoint has and the job has no more, and need not keep.
    public var forgetting = Forgetting()

    public static let `default` = Config()

    public init() {}

    var policies: RecordPolicies {
      var policies = RecordPolicies(nullKeys: nullKeys, nullTimestamps: nullTimestamps)
      (policies.onError, policies.late) = (onError, late)
      return policies
    }
  }

  let node: StreamNode
  @usableFromInline var config: Config

  /// - Parameters:
  ///   - source: where the batches come from.
  ///   - timestamp: the column of event times: integer epoch milliseconds, a timestamp or a date. Without one there is no
  ///     event time, and event-time timers fire at the end of the input.
  ///   - maxOutOfOrderness: how much later than the greatest timestamp a record may come, in milliseconds.
  ///   - isLive: whether functions of two inputs take its records as they arrive; otherwise by timestamp, the same way in every run.
  ///   - idleTimeout: of a live stream: after so many milliseconds without a record it does not hold back the watermark of functions of
  ///     two inputs until its next one, nor a partition of it that of the stream. 0: they always do.
  public init(
    _ source: @autoclosure @escaping () -> any Source, name: String = "stream", timestamp: String? = nil,
    maxOutOfOrderness: Int64 = 0, isLive: Bool = false, idleTimeout: Int64 = 0, config: Config = .default
  ) {
    var options = SourceOptions(timestamp: timestamp, maxOutOfOrderness: maxOutOfOrderness)
    (options.isLive, options.idleTimeout) = (isLive, idleTimeout)
    self.init(config: config) { [options] plan in
      .source(try plan.job.addSource(source(), name: name, options))
    }
  }

  @usableFromInline
  init(config: Config, build: @escaping (StreamPlan) throws -> JobInput) {
    self.config = config
    node = StreamNode(build)
  }

  /// A job that is ready to run.
  public func job() throws -> Job {
    let job = Job(name: config.name, config.policies, clock: config.clock, atEnd: config.atEnd)
    job.parallelism = try Parallelism(config.parallelism, of: config.maxParallelism)
    if case .output(let selector) = try StreamPlan(job).input(of: self) { try job.select(selector) }
    return job
  }

  /// Runs streams together to their end and keeps the output of each. What they share, sources or functions, runs once. Each of them
  /// has a function; the configuration is that of the first.
  public static func collect(_ streams: [Stream]) throws -> [[RecordBatch]] {
    guard let config = streams.first?.config else { return [] }
    let job = Job(name: config.name, config.policies, clock: config.clock, atEnd: config.atEnd)
    job.parallelism = try Parallelism(config.parallelism, of: config.maxParallelism)
    let plan = StreamPlan(job)
    var outputs: [Int] = []
    for stream in streams {
      guard case .output(let selector) = try plan.input(of: stream) else {
        throw EngineError(
          .invalidArgument, "a stream without a function gives its source's records; read them from the source itself")
      }
      outputs.append(try job.addOutput(selector))
    }
    return try outputs.map { output in
      var batches: [RecordBatch] = []
      while let batch = try job.next(from: output, minRows: JobOutput.largeBatch) { batches.append(batch) }
      return batches
    }
  }

  /// A side output of the last function: a stream of its own, which further functions can be applied to. Consumed by itself it
  /// runs the whole chain; to take several outputs from one run, use `collect(with:)`, `Stream.collect(_:)` or `Job.addOutput`.
  public func sideOutput(_ tag: String) -> Stream {
    Stream(config: config) { plan in
      guard case .output(let main) = try plan.input(of: self) else {
        throw EngineError(.invalidArgument, "side output '\(tag)': the stream has no function that could emit to it")
      }
      return .output(OutputSelector(process: main.process, tag: tag))
    }
  }

  /// Runs the stream once to its end and keeps its output and those side outputs of its last function.
  public func collect(with tags: [String]) throws -> (main: [RecordBatch], sides: [String: [RecordBatch]]) {
    let job = try job()
    guard let main = job.selected else { throw EngineError(.invalidArgument, "the stream has no function") }
    try job.addOutput(main)
    for tag in tags { try job.addOutput(OutputSelector(process: main.process, tag: tag)) }
    func all(_ output: Int) throws -> [RecordBatch] {
      var batches: [RecordBatch] = []
      while let batch = try job.next(from: output, minRows: JobOutput.largeBatch) { batches.append(batch) }
      return batches
    }
    let batches = try all(0)
    var sides: [String: [RecordBatch]] = [:]
    for (position, tag) in tags.enumerated() { sides[tag] = try all(position + 1) }
    return (batches, sides)
  }

  /// Runs the stream to its end and gives `body` every output batch.
  @discardableResult
  public func run(minRows: Int = 1, _ body: (RecordBatch) throws -> Void) throws -> JobReport {
    let job = try job()
    while let batch = try job.next(minRows: minRows) { try body(batch) }
    return job.report
  }

  /// Runs the stream to its end and keeps the output.
  public func collect() throws -> [RecordBatch] {
    var batches: [RecordBatch] = []
    try run(minRows: 65_536) { batches.append($0) }
    return batches
  }
}

/// Applies a process function to the records of each key.
///
/// - Parameters:
///   - key: the column that holds the key.
///   - function: evaluated once for every run and parallel instance, so that runs share nothing.
///   - states: states beyond the stored properties of the function.
///   - output: the schema of the output; otherwise that of the function's `OutputColumn`s, or of the first record emitted.
@inlinable
public func applyProcessFunction<Function: ProcessFunction>(
  _ stream: Stream, _ key: String, _ function: @autoclosure @escaping () -> Function, states: AnyState...,
  output: Schema? = nil, name: String? = nil, config: Stream.Config? = nil
) -> Stream {
  applyProcessFunction(
    stream, keys: [key], function(), states: states, output: output, name: name, config: config)
}

/// The same for a key of several columns: `key[0]`, `key[1]` … in the function.
@inlinable
public func applyProcessFunction<Function: ProcessFunction>(
  _ stream: Stream, keys: [String], _ function: @autoclosure @escaping () -> Function, states: [AnyState] = [],
  output: Schema? = nil, name: String? = nil, config: Stream.Config? = nil
) -> Stream {
  Stream(config: config ?? stream.config) { plan in
    func make() throws -> ProcessSpec {
      try ProcessSpec(name: name, keyColumns: keys, function(), states: states, outputSchema: output)
    }
    var spec = try make()
    spec.makeInstance = { _ in try make() }
    return try plan.add(spec, to: [stream])
  }
}
