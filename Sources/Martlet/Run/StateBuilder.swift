/// Writes a savepoint from tables, without running a job: state that a new job begins with.
///
/// The job that will go on from it is the template: it says how operators are named and keyed, which states they have, and what feeds them.
/// Tables look as `StateReader` gives them (`StateTableLayout`); rows may come in any order of keys, so everything is held in memory,
/// about as the job itself would have it, until `finish` writes it from there.
package final class StateBuilder {
  private let path: String
  private let files: any FileSystem
  private let job: JobSnapshot
  private let jobName: String
  private let fills: [OperatorFill]
  private var isUsable = true

  /// `job` is complete and has not begun; nothing of it is changed or called. Throws `.invalidArgument` if there is something at `path`.
  package init(_ path: String, template job: Job, _ files: any FileSystem) throws(EngineError) {
    try job.requireBuilding()
    if try files.info(path) != nil {
      throw EngineError(
        .invalidArgument, "cannot write state to '\(path)': something of that name is there; choose another name")
    }
    self.path = path
    self.files = files
    jobName = job.name
    let now = job.clock.now()
    self.job = job.unbegunSnapshot(now)
    fills = job.templates.map { OperatorFill($0, now: now) }
  }

  /// Adds a batch of a table: of a state, or of the timers, which are named "timers". Without a name the operator is the only one. Throws
  /// naming operator, table, column and row; nothing can be written then.
  package func add(operator name: String?, table: String, _ batch: RecordBatch) throws(EngineError) {
    try checkUsable()
    let fill = try self.fill(name)
    isUsable = false
    try fill.add(table, batch)
    isUsable = true
  }

  private func checkUsable() throws(EngineError) {
    guard isUsable else {
      throw EngineError(.closed, "the state for '\(path)' was written, or a table did not fit; begin anew")
    }
  }

  private func fill(_ name: String?) throws(EngineError) -> OperatorFill {
    let names = fills.map(\.template.name)
    let list = names.map { "'\($0)'" }.joined(separator: ", ")
    guard let name else {
      if let only = fills.first, fills.count == 1 { return only }
      throw EngineError(
        .invalidArgument, "job '\(jobName)' has \(fills.count) operators; say whose state it is: \(list)")
    }
    if let found = fills.first(where: { $0.template.name == name }) { return found }
    let hint = closeMatch(name, among: names).map { " (did you mean '\($0)'?)" } ?? ""
    throw EngineError(
      .invalidArgument, "there is no operator '\(name)'\(hint); job '\(jobName)' has \(list)")
  }

  /// Writes the savepoint: whole, or, if this throws, not under that name.
  package func finish() throws(EngineError) {
    try checkUsable()
    isUsable = false
    var job = self.job
    for (index, fill) in fills.enumerated() { job.operators[index].isOpen = fill.isFilled }
    do {
      try Checkpoint.write(to: path, files) { fresh in
        let target = KeysTarget.folder(fresh, files)
        var operators: [SnapshotHandle] = []
        for (index, fill) in fills.enumerated() {
          operators.append(try fill.snapshot(to: target.place(ofOperator: index)))
        }
        return Checkpoint(id: 1, time: job.processingTime, jobName: jobName, job: job, operators: operators)
      }
    } catch {
      throw EngineError(any: error)
    }
  }
}

extension Job {
  /// What a checkpoint would say before the first record.
  fileprivate func unbegunSnapshot(_ now: Int64) -> JobSnapshot {
    JobSnapshot(
      maxParallelism: Int32(parallelism.maxInstances), parallelism: Int32(parallelism.instances), processingTime: now,
      turn: 0,
      sources: sources.map { source in
        JobSnapshot.Source(
          name: source.name, offset: nil, rows: 0, firstRecord: 0, watermark: EventTime.min, hasEnded: false,
          isIdle: false)
      },
      operators: operators.enumerated().map { index, one in
        var merge = ByteWriter()
        if inputs[index].count == 2 { merge.merge(MergeStage(one.kind, .timestamps)) }
        return JobSnapshot.Operator(
          name: one.name, isOpen: false, hasEnded: false, firstRecords: inputs[index].map { _ in 0 }, lanes: [],
          merge: merge.bytes)
      }, sink: [])
  }

  fileprivate var templates: [OperatorFill.Template] {
    operators.compactMap { one in
      guard let process = one as? ProcessOperator else { return nil }
      return OperatorFill.Template(
        name: process.name, kind: process.kind, keyColumns: process.keyColumns,
        rightKeyColumns: process.rightKeyColumns, states: process.descriptors)
    }
  }
}
