// A job that goes on from a checkpoint: with another parallelism, with functions that have more or fewer states.

/// What a checkpoint has and a job need not take over.
public struct Forgetting: Sendable {
  /// Names of operators that the job no longer has.
  public var operators: Set<String> = []
  /// By operator, names of states that its function no longer has. Those that are not named are kept, for every later checkpoint.
  public var states: [String: Set<String>] = [:]
  /// Whether what the checkpoint does not have either is passed over.
  var mayBeGone = false

  public init(operators: Set<String> = [], states: [String: Set<String>] = [:]) {
    (self.operators, self.states) = (operators, states)
  }
}

/// A checkpoint that fits the job, as far as can be told before it begins.
struct PendingRestore {
  let checkpoint: Checkpoint
  /// Per operator of the job, its number in the checkpoint; nil: it is new, and starts empty.
  let places: [Int?]
  let forgetting: Forgetting
}

extension Job {
  /// Makes the job, which is complete and has not begun, go on where the checkpoint was taken. Sources are told their offsets when the
  /// job begins; one that had none is read from wherever it begins. A manual clock is set to the checkpoint's time if it is behind.
  ///
  /// Throws `.snapshotMismatch`, naming it, for: other sources; another max_parallelism; an operator of the checkpoint that the job does
  /// not have and that is not among those to forget; an operator with another kind of inputs. Operators are found by their names, those
  /// of one name in order. States and key types are looked at when the job begins: `next` throws `.snapshotMismatch` where one
  /// changed.
  package func restore(_ checkpoint: Checkpoint, forgetting: Forgetting = Forgetting()) throws(EngineError) {
    try requireBuilding()
    if stores == nil, let first = checkpoint.stores.first {
      throw EngineError(
        .invalidArgument,
        "the checkpoint '\(checkpoint.folder ?? "")' has its keys in stores of '\(first.backend)'; go on from it in a state directory"
      )
    }
    try plan(checkpoint, forgetting)
  }

  /// What `restore` does, of any checkpoint that the job's stores are made from.
  func plan(_ checkpoint: Checkpoint, _ forgetting: Forgetting) throws(EngineError) {
    try check(checkpoint.job)
    restoring = PendingRestore(
      checkpoint: checkpoint, places: try places(checkpoint, forgetting), forgetting: forgetting)
  }

  /// The same from a folder that `savepoint` wrote, or a checkpoint of a job with its state in memory; keys are read from it when the job
  /// begins. Also throws `.storageCorrupt` where it is damaged, `.snapshotInvalid` if a newer
  /// version wrote it, `.storageFailed` if it cannot be read; it names the file.
  public func restore(savepoint path: String, forgetting: Forgetting = Forgetting()) throws(EngineError) {
    try requireBuilding()
    try restore(Checkpoint(reading: path, PosixFileSystem()), forgetting: forgetting)
  }

  private func check(_ job: JobSnapshot) throws(EngineError) {
    guard job.maxParallelism == Int32(parallelism.maxInstances) else {
      throw EngineError(
        .snapshotMismatch,
        "max_parallelism is \(parallelism.maxInstances) and was \(job.maxParallelism) in the checkpoint; it decides where a key lives, so "
          + "set it as it was")
    }
    guard job.sources.map(\.name) == sources.map(\.name) else {
      func list(_ names: [String]) -> String { names.map { "'\($0)'" }.joined(separator: ", ") }
      throw EngineError(
        .snapshotMismatch,
        "the job reads \(list(sources.map(\.name))), and the checkpoint is of a job that read \(list(job.sources.map(\.name))); give it "
          + "the same sources, in that order, by these names")
    }
  }

  private func places(_ checkpoint: Checkpoint, _ forgetting: Forgetting) throws(EngineError) -> [Int?] {
    let saved = checkpoint.job.operators
    var left = Array(saved.indices)
    var places: [Int?] = []
    for one in operators {
      let place = left.firstIndex { saved[$0].name == one.name }
      places.append(place.map { left.remove(at: $0) })
    }
    for place in left where !forgetting.operators.contains(saved[place].name) {
      throw EngineError(
        .snapshotMismatch,
        "the checkpoint has state of operator '\(saved[place].name)', which the job has not; its operators are "
          + operators.map { "'\($0.name)'" }.joined(separator: ", ")
          + ". Name it as it was, or say that it is to be forgotten")
    }
    for (one, place) in zip(operators, places) {
      guard let place, let process = one as? ProcessOperator else { continue }
      do throws(EngineError) { try process.checkKind(checkpoint.operators[place].header) } catch {
        throw process.context.located(error)
      }
    }
    return places
  }

  // MARK: - When the job begins

  /// Brings sources, operators and what waits between them to where they stood.
  func resume() throws {
    guard let restoring else { return }
    let job = restoring.checkpoint.job
    if let clock = clock as? ManualClock, clock.now() < job.processingTime { try clock.advance(to: job.processingTime) }
    for (source, saved) in zip(sources, job.sources) {
      let position = SourcePosition(
        offset: saved.offset.map { SourceOffset($0) }, rows: saved.rows, firstRecord: saved.firstRecord)
      try source.restore(position, watermark: saved.watermark, hasEnded: saved.hasEnded, saved.partitions)
    }
    live?.turn = max(0, min(Int(job.turn), sources.count - 1))
    if live != nil { for (number, saved) in job.sources.enumerated() { live?.idle[number] = saved.isIdle } }
    if asksForSchemas { for source in sources { _ = try source.openSchema() } }
    for (index, place) in restoring.places.enumerated() {
      guard let place else { continue }
      let name = job.operators[place].name
      try resume(
        index, job.operators[place], restoring.checkpoint.operators[place],
        forgetting: restoring.forgetting.states[name] ?? [], mayBeGone: restoring.forgetting.mayBeGone)
    }
  }

  /// The operators that are new and whose input ended before the checkpoint hear of that.
  func endRestored() throws {
    guard restoring != nil else { return }
    restoring = nil
    if sources.contains(where: \.hasEnded) { try endWhatHasEnded() }
  }

  private func resume(
    _ index: Int, _ saved: JobSnapshot.Operator, _ snapshot: SnapshotHandle, forgetting: Set<String>, mayBeGone: Bool
  ) throws {
    let one = operators[index]
    for lane in saved.lanes {
      let lane = (lane.tag.map { one.sides.lane($0) } ?? one.lane, lane.schema)
      if lane.0.builder.schema == nil, isRestored(lane.0, one.kind) { try lane.0.builder.declare(lane.1) }
    }
    if saved.firstRecords.count == firstRecords[index].count { firstRecords[index] = saved.firstRecords }
    if let merge = merges[index] { try fill(merge, saved) }
    let keys = try snapshot.keys()
    let header = keys.header
    let forgetting = (mayBeGone ? forgetting.intersection(header.states.map(\.name)) : forgetting).sorted()
    if saved.isOpen {
      let left = try knownSchema(of: index, .left) ?? header.schema
      let right = merges[index] == nil ? nil : try knownSchema(of: index, .right) ?? header.second?.schema
      if stores != nil { try front(of: one)?.checkContinues(header, left: left, right: right) }
      opened.append(index)
      if merges[index] == nil { try one.open(inputSchema: left) } else { try one.open(left: left, right: right) }
    }
    switch one {
    case let process as ProcessOperator:
      keptStates[index] = try process.restore(keys, RestoreOptions(forgetting: Set(forgetting)))
    case let parallel as ParallelOperator: try parallel.restore(keys, forgetting: forgetting)
    default: throw EngineError(.internalError, "operator '\(one.name)' takes no state; please report this")
    }
    endedOperators[index] = saved.hasEnded
  }

  private func fill(_ merge: MergeStage, _ saved: JobSnapshot.Operator) throws {
    do {
      try saved.merge.withUnsafeBytes { bytes in
        var reader = ByteReader(bytes)
        try reader.merge(into: merge)
        guard reader.isAtEnd else { throw ByteReader.Malformed() }
      }
    } catch {
      throw EngineError(
        .storageCorrupt,
        "what waits before operator '\(saved.name)' makes no sense in the checkpoint; restore from another one")
    }
  }
}
