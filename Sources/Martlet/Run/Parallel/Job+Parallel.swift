/// How many instances the operators of a job have.
public struct Parallelism: Hashable, Sendable {
  /// Instances of every operator.
  public let instances: Int
  /// Into how many groups keys are divided; more instances than groups are not possible. It belongs to the results' meaning only
  /// where state is kept: which keys an instance owns follows from it.
  public let maxInstances: Int

  public static let largest = 32_768

  /// Errors: `.invalidArgument` unless `1 <= instances <= maxInstances <= 32768`.
  public init(_ instances: Int, of maxInstances: Int = 128) throws(EngineError) {
    guard maxInstances >= 1, maxInstances <= Parallelism.largest else {
      throw EngineError(
        .invalidArgument, "max_parallelism is \(maxInstances); it must be between 1 and \(Parallelism.largest)")
    }
    guard instances >= 1, instances <= maxInstances else {
      throw EngineError(
        .invalidArgument,
        "parallelism is \(instances); it must be between 1 and max_parallelism, which is \(maxInstances)")
    }
    self.instances = instances
    self.maxInstances = maxInstances
  }

  static let serial = Parallelism()

  private init() { (instances, maxInstances) = (1, 128) }
}

// Parallel instances in a job: operators are exchanged for parallel ones when it begins, and what they still have under way is
// waited for where a serial job would have its results already.

extension Job {
  /// Puts a parallel operator in the place of every operator.
  func makeParallel() throws {
    let count = parallelism.instances
    guard count > 1 || transport != nil, !operators.isEmpty else { return }
    let fronts = operators.compactMap { $0 as? ProcessOperator }
    let transport = transport ?? makeThreads(fronts)
    self.transport = transport
    for (process, front) in fronts.enumerated() {
      var links: [any InstanceLink] = []
      func place(_ instance: Int) -> InstancePlace {
        InstancePlace(
          instance: Int32(instance), parallelism: Int32(count), maxParallelism: Int32(parallelism.maxInstances))
      }
      for instance in 0..<count { links.append(try transport.link(process: process, place(instance))) }
      // The poll is the job's own, which holds the operator, and closes it when it is dropped.
      operators[process] = ParallelOperator(front, links, place(0)) { [weak self] in try self?.poll() }
    }
  }

  private func makeThreads(_ fronts: [ProcessOperator]) -> ThreadTransport {
    let threads = ThreadTransport { [policies, clock] process, place in
      try fronts[process].instance(place, policies, clock)
    }
    if let stores { threads.makeStorage = { try stores.storage(of: $0, number: $1, $2) } }
    return threads
  }

  var hasWorkUnderWay: Bool { operators.contains { $0.hasWorkUnderWay } }

  /// Waits for the oldest work of every operator that has some, while the source has nothing; false if there is none.
  func collectSome() throws -> Bool {
    guard hasWorkUnderWay else { return false }
    for index in operators.indices where operators[index].hasWorkUnderWay {
      do { try operators[index].collectOldest() } catch {
        try failed(index)
        try deferFailure(of: index, error)
        continue
      }
      try flush(index)
    }
    return true
  }

  /// Waits for all work under way.
  func collectAll() throws { for index in operators.indices { try settle(index) } }

  /// Operator `index` has failed. What was emitted before goes on, and what is under way after it comes to its end; if something
  /// fails there, it failed at an earlier record.
  func failed(_ index: Int) throws {
    try flush(index)
    for follower in followers(of: index) { try settle(follower) }
  }

  private func settle(_ index: Int) throws {
    guard hasWorkUnderWay else { return }
    do { try operators[index].collectAll() } catch {
      try failed(index)
      return try deferFailure(of: index, error)
    }
    try flush(index)
    for follower in followers(of: index) { try settle(follower) }
  }
}

extension ProcessOperator {
  /// A new operator that does the work of one instance of this one.
  func instance(_ place: InstancePlace, _ policies: RecordPolicies, _ clock: Clock) throws -> ProcessOperator {
    let mine = place.instance == 0 ? spec : try spec.remade(for: place.instance)
    // A manual clock is set by the coordinator with every piece of work.
    let clock = clock.runsByItself ? clock : ManualClock(clock.now())
    let process = try ProcessOperator(mine, policies, clock: clock)
    process.rejectsNullTimestamps = rejectsNullTimestamps
    process.rejectsNullRight = rejectsNullRight
    if place.instance > 0, let shared = mine.handles.shared(with: spec.handles) {
      throw EngineError(
        .invalidArgument,
        "operator '\(name)': instances share \(shared); with a parallelism of \(place.parallelism) every instance needs a function of "
          + "its own, so pass an expression that makes a new one, as in applyProcessFunction(stream, \"key\", Counter()), and "
          + "declare states as its stored properties")
    }
    return process
  }
}
