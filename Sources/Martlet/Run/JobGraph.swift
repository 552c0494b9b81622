/// Where an operator's records come from.
public enum JobInput: Hashable, Sendable {
  /// A source, by its number in the order they were added, from 0.
  case source(Int)
  case output(OutputSelector)
}

/// One input of an operator of a running job.
struct Feed {
  let process: Int
  let side: InputSide
}

/// What becomes of one output's rows.
struct Route {
  let lane: OutputLane
  var followers: [Feed] = []
  var output: JobOutput?
}

/// How a source is read.
public struct SourceOptions: Sendable {
  /// The column of event times; nil: no event time.
  public var timestamp: String?
  /// How much later than the greatest timestamp a record may come, in milliseconds.
  public var maxOutOfOrderness: Int64 = 0
  /// Whether functions of two inputs take its records as they arrive, and not in an order that is the same in every run.
  public var isLive = false
  /// Of a live source: after so many milliseconds without a record, by the job's clock, it does not hold back the watermark of
  /// functions of two inputs until its next one; nor does a partition of it that of the source (`Source.partition`). 0: they always do.
  public var idleTimeout: Int64 = 0

  public init(timestamp: String? = nil, maxOutOfOrderness: Int64 = 0) {
    self.timestamp = timestamp
    self.maxOutOfOrderness = maxOutOfOrderness
  }
}

/// How a job is put together.
extension Job {
  /// An input of the job; its number, from 0. `timestamp` names the column of event times, `maxOutOfOrderness` is in milliseconds.
  @discardableResult
  public func addSource(
    _ input: any Source, name: String = "stream", timestamp: String? = nil, maxOutOfOrderness: Int64 = 0
  ) throws(EngineError) -> Int {
    try addSource(
      input, name: name, SourceOptions(timestamp: timestamp, maxOutOfOrderness: maxOutOfOrderness))
  }

  @discardableResult
  public func addSource(_ input: any Source, name: String, _ options: SourceOptions) throws(EngineError) -> Int {
    try requireBuilding()
    guard options.maxOutOfOrderness >= 0 else {
      throw EngineError(
        .invalidArgument,
        "stream '\(name)': the out-of-orderness bound is \(options.maxOutOfOrderness) ms; it must not be negative")
    }
    guard options.idleTimeout >= 0 else {
      throw EngineError(
        .invalidArgument, "stream '\(name)': the idle timeout is \(options.idleTimeout) ms; it must not be negative")
    }
    sources.append(SourceStage(name, input, options, nullTimestamps: policies.nullTimestamps))
    if operators.isEmpty { current = .source(sources.count - 1) }
    return sources.count - 1
  }

  /// Adds a process function: to `inputs`, one or for a function of two inputs two, left first; without any to the operator, or the
  /// source, added last.
  @usableFromInline
  package func addProcess(_ spec: ProcessSpec, _ inputs: [JobInput] = []) throws(EngineError) {
    try requireBuilding()
    guard let current else {
      throw EngineError(.invalidArgument, "operator '\(spec.name)': the job has no input yet")
    }
    try spec.checkKeys()
    let inputs = inputs.isEmpty && spec.kind == .process ? [current] : inputs
    let wanted = spec.kind == .process ? 1 : 2
    guard inputs.count == wanted else {
      throw EngineError(
        .invalidArgument, "operator '\(spec.name)': \(inputs.count) inputs; a \(spec.kind) function has \(wanted)")
    }
    for input in inputs { try check(input, spec.name) }
    let next = try ProcessOperator(spec, policies, clock: clock)
    for (side, input) in inputs.enumerated() {
      switch input {
      case .output(let selector):
        let lane = try lane(of: selector)
        lane.forwards = true
        if selector.tag != nil { operators[selector.process].sides.forward = true }
      case .source(let number):
        let rejects = policies.nullTimestamps == .deadLetter && sources[number].isTimed
        if side == 0 { next.rejectsNullTimestamps = rejects } else { next.rejectsNullRight = rejects }
      }
    }
    self.inputs.append(inputs)
    operators.append(next)
    self.current = .output(OutputSelector(process: operators.count - 1))
  }

  private func check(_ input: JobInput, _ name: String) throws(EngineError) {
    switch input {
    case .source(let number):
      guard sources.indices.contains(number) else {
        throw EngineError(
          .invalidArgument, "operator '\(name)': the job has \(sources.count) sources; there is none numbered \(number)"
        )
      }
    case .output(let selector): _ = try lane(of: selector)
    }
  }

  /// Applies the next operator to this output instead of the main output of the one added last.
  package func select(_ selector: OutputSelector) throws(EngineError) {
    try requireBuilding()
    _ = try lane(of: selector)
    current = .output(selector)
  }

  /// The output that the next operator would be applied to; nil: a source.
  package var selected: OutputSelector? {
    if case .output(let selector) = current { selector } else { nil }
  }

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

  func lane(of selector: OutputSelector) throws(EngineError) -> OutputLane {
    guard operators.indices.contains(selector.process) else {
      throw EngineError(
        .invalidArgument, "job '\(name)' has \(operators.count) operators; there is none numbered \(selector.process)")
    }
    let process = operators[selector.process]
    guard let tag = selector.tag else { return process.lane }
    guard !tag.isEmpty else { throw EngineError(.invalidArgument, "the tag of a side output is empty") }
    return process.sides.lane(tag)
  }

  func requireBuilding() throws(EngineError) {
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
}

extension ProcessSpec {
  fileprivate func checkKeys() throws(EngineError) {
    guard !keyColumns.isEmpty || kind == .broadcast else {
      throw EngineError(.invalidArgument, "operator '\(name)': name at least one key column")
    }
    guard kind != .connect || keyColumns.count == rightKeyColumns.count else {
      throw EngineError(
        .invalidArgument,
        "operator '\(name)': the key of the left side has \(keyColumns.count) columns (\(keyColumns.joined(separator: ", "))), that of the "
          + "right side \(rightKeyColumns.count) (\(rightKeyColumns.joined(separator: ", "))); key both sides alike")
    }
    guard kind == .connect || rightKeyColumns.isEmpty else {
      throw EngineError(
        .invalidArgument, "operator '\(name)': only a connected right side has key columns; leave them out")
    }
  }
}
