// Taking a checkpoint of a job. It is taken between two steps, with nothing under way: every operator and every instance stands at the
// same record, and all that lies between them is what waits before operators of two inputs.

extension Job {
  /// A copy of the whole job as it stands: state, timers, watermarks, places in the sources, what waits in between, and `sink`, bytes of
  /// the caller's own. Rows that were put out must have been taken (`takeReady`), since they belong to what is before the checkpoint.
  ///
  /// Errors: `.invalidArgument` if an output has rows or the number is not positive; `.closed` if the job has failed, also where the error
  /// still waits for its turn: what is left then is the checkpoint before; `.sourceFailed` and others from a source that is asked for its
  /// offset.
  package func checkpoint(id: Int64, sink: [UInt8] = []) throws -> Checkpoint {
    try checkpoint(id: id, sink, .memory)
  }

  /// The same of a job that keeps its state in stores: without the keys, of which what has changed is put down for the stores. They are
  /// to be written then (`ProcessStore.persist`).
  func putDown(id: Int64, sink: [UInt8]) throws -> Checkpoint { try checkpoint(id: id, sink, .stores) }

  private func checkpoint(id: Int64, _ sink: [UInt8], _ target: KeysTarget) throws -> Checkpoint {
    try atRest(for: id) { try take(id, sink, target) }
  }

  /// Writes a checkpoint as a folder that does not exist yet: whole, or, if this throws, not under that name; the job goes on in either case.
  /// Keys are written as they are read, so that memory does not follow the size of the state. Another job starts from it with
  /// `restore(savepoint:)`. Errors as of `checkpoint`, and `.storageFailed`.
  public func savepoint(to path: String) throws { try savepoint(to: path, id: 1) }

  /// The same with a number, and bytes of the caller's own. Worker processes write there too.
  package func savepoint(
    to path: String, id: Int64, sink: [UInt8] = [], _ files: any FileSystem = PosixFileSystem()
  ) throws {
    try atRest(for: id) {
      try Checkpoint.write(to: path, files) { fresh in try take(id, sink, .folder(fresh, files)) }
    }
  }

  /// Lets checkpoint number `id` be taken.
  private func atRest<Result>(for id: Int64, _ body: () throws -> Result) throws -> Result {
    guard id > 0 else { throw EngineError(.invalidArgument, "checkpoint \(id): numbers begin at 1") }
    return try atRest {
      try requireSound()
      if let output = try outputWithRows {
        throw EngineError(
          .invalidArgument,
          "output \(output) of job '\(name)' has rows that come before the checkpoint; take them with takeReady, for every output"
        )
      }
      return try body()
    }
  }

  private func take(_ id: Int64, _ sink: [UInt8], _ target: KeysTarget) throws -> Checkpoint {
    var snapshots: [SnapshotHandle] = []
    for index in operators.indices { snapshots.append(try snapshot(of: index, target)) }
    let job = JobSnapshot(
      maxParallelism: Int32(parallelism.maxInstances), parallelism: Int32(parallelism.instances),
      processingTime: clock.now(), turn: Int32(live?.turn ?? 0), sources: sources.indices.map(sourceSnapshot),
      operators: try operators.indices.map(operatorSnapshot), sink: sink,
      layout: target.isStores ? stores?.layout : nil)
    return Checkpoint(id: id, time: clock.now(), jobName: name, job: job, operators: snapshots)
  }

  /// Whether a checkpoint can be taken: if not, a later `next` says what has failed.
  var isSound: Bool { (try? requireSound()) != nil }

  private func requireSound() throws(EngineError) {
    switch state {
    case .building, .running, .ended: break
    case .failing:
      throw EngineError(
        .closed, "job '\(name)' has failed, as its next call will say; restore it from the checkpoint before")
    case .closed:
      throw EngineError(.closed, "job '\(name)' is closed; a checkpoint is taken before that, see staysOpenAtEnd")
    }
    for (index, merge) in merges.enumerated() where merge?.left.failure != nil || merge?.right.failure != nil {
      throw EngineError(
        .closed,
        "an input of operator '\(operators[index].name)' has failed, and the error waits for the records before it; restore the job "
          + "from the checkpoint before")
    }
  }

  private func sourceSnapshot(_ number: Int) -> JobSnapshot.Source {
    let source = sources[number]
    let position = source.position
    return JobSnapshot.Source(
      name: source.name, offset: position.offset?.bytes, rows: position.rows, firstRecord: position.firstRecord,
      watermark: source.watermark, hasEnded: source.hasEnded, isIdle: live?.idle[number] ?? false,
      partitions: source.partitions?.all ?? [])
  }

  private func operatorSnapshot(_ index: Int) throws -> JobSnapshot.Operator {
    let one = operators[index]
    var lanes: [JobSnapshot.Lane] = []
    for lane in [one.lane] + one.sides.lanes where isRestored(lane, one.kind) {
      if let schema = lane.builder.schema { lanes.append(JobSnapshot.Lane(tag: lane.tag, schema: schema)) }
    }
    var merge = ByteWriter()
    if let stage = merges[index] { merge.merge(stage) }
    return JobSnapshot.Operator(
      name: one.name, isOpen: opened.contains(index), hasEnded: endedOperators[index],
      firstRecords: firstRecords[index], lanes: lanes, merge: merge.bytes)
  }

  /// Whether an output's schema is to be kept. What the engine fills of one input follows from that input's schema.
  func isRestored(_ lane: OutputLane, _ kind: OperatorKind) -> Bool {
    kind != .process || !policies.reservedTags.contains(lane.tag ?? "")
  }

  private func snapshot(of index: Int, _ target: KeysTarget) throws -> SnapshotHandle {
    let records = inputs[index].indices.map { recordsSoFar(of: index, $0) }
    let valve = merges[index]?.valve
    switch operators[index] {
    case let process as ProcessOperator:
      let kept = keptStates[index] ?? KeptStates()
      let second = valve.map { process.second(records[1], $0) }
      let storage = stores?.storages[index]
      guard process.parts != nil else { return try process.headerSnapshot(records: 0, kept, second) }
      if target.isStores {
        try storage?.flush()
        return try process.headerSnapshot(records: records[0], kept, second)
      }
      try storage?.settle()
      return try process.snapshot(records: records[0], kept, second, to: target.place(ofOperator: index))
    case let parallel as ParallelOperator:
      let watermark = endedOperators[index] ? EventTime.max : parallel.mergedWatermark
      let front = parallel.front
      guard parallel.isOpen else {
        var header = front.snapshotHeader(records: 0, KeptStates(), valve.map { front.second(records[1], $0) })
        header.watermark = watermark
        return try SnapshotTarget.memory.write(header)
      }
      let now = clock.now()
      return try parallel.withInstanceSnapshots(target, ofOperator: index) { shares, place in
        try mergeSnapshots(shares, to: place) { header in
          (header.watermark, header.records, header.processingTime) = (watermark, records[0], now)
          if let valve, let second = header.second {
            header.second = SecondSnapshot(
              kind: second.kind, keyColumns: second.keyColumns, schema: second.schema, records: records[1], valve)
          }
        }
      }
    default:
      throw EngineError(.internalError, "operator '\(operators[index].name)' has no state to copy; please report this")
    }
  }

  private func recordsSoFar(of index: Int, _ side: Int) -> Int64 {
    switch inputs[index][side] {
    case .source(let number):
      let position = sources[number].position
      return position.firstRecord + position.rows
    case .output: return firstRecords[index][side]
    }
  }
}

extension ProcessOperator {
  /// What a snapshot says of two inputs.
  func second(_ records: Int64, _ valve: WatermarkValve) -> SecondSnapshot {
    SecondSnapshot(
      kind: kind, keyColumns: rightKeyColumns, schema: second?.rightSchema, records: records, valve)
  }

  /// The same of an instance, which does not know how its inputs stand: its coordinator fills that in.
  var unplacedSecond: SecondSnapshot? { kind == .process ? nil : second(0, WatermarkValve(channels: 2)) }
}
