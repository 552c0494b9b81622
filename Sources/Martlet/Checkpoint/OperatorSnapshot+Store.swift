// Snapshots of an operator that keeps its state in a store.

extension ProcessOperator {
  /// Everything but the keys, which are in the store.
  func headerSnapshot(records: Int64, _ kept: KeptStates, _ second: SecondSnapshot? = nil) -> [UInt8] {
    var writer = SnapshotWriter(snapshotHeader(records: records, kept, second))
    return writer.finish()
  }

  /// All state and timers, read from the store, which has everything (`InstanceStorage.settle`).
  func storedSnapshot(records: Int64, _ kept: KeptStates, _ second: SecondSnapshot? = nil) throws(EngineError)
    -> [UInt8]
  {
    let header = snapshotHeader(records: records, kept, second)
    var writer = SnapshotWriter(header)
    guard let binding = writeBack?.binding else { return writer.finish() }
    let part = StoredPart(store: binding.store, states: binding.states, timers: binding.timers, groups: binding.groups)
    var numbers = binding.stateNumbers
    for state in kept.descriptors {
      guard let number = binding.kept[state.name] else {
        throw context.located(
          EngineError(.internalError, "state '\(state.name)' has no number in the store; please report this"))
      }
      numbers.append(number)
    }
    var reader = try StoredSnapshotReader(
      [part], header, operatorNumber: binding.operatorNumber, stateNumbers: numbers)
    while let key = try reader.next() { writer.add(key) }
    return writer.finish()
  }
}

extension Checkpoint {
  /// The same with all keys in the operators' snapshots, for a job that keeps its state in memory, or in another kind of store. `backends` are
  /// those that can be read. Errors: `.storageCorrupt`; `.invalidArgument` if the stores are of another backend.
  package func portable(_ backends: [any StoreBackend]) throws(EngineError) -> Checkpoint {
    guard let layout = job.layout, let folder else { return self }
    var parts: [StoredPart] = []
    defer { for part in parts { try? part.store.close() } }
    for store in stores {
      guard let backend = backends.first(where: { $0.name == store.backend }) else {
        throw EngineError(
          .invalidArgument,
          "the state of the checkpoint '\(folder)' is kept by '\(store.backend)', which is not there; go on from it with that backend, or "
            + "from a savepoint")
      }
      let options = StoreOptions(
        FilePath.join(folder, store.folder), families: StoredPart.families, access: .readOnly, memoryLimit: 8 << 20)
      parts.append(
        StoredPart(try backend.open(options), try KeyGroupRange(store.groups, of: job.maxParallelism)))
    }
    var snapshots: [[UInt8]] = []
    for (snapshot, numbers) in zip(operators, layout.operators) {
      snapshots.append(try Checkpoint.portable(snapshot, numbers, parts))
    }
    var job = job
    job.layout = nil
    return Checkpoint(id: id, time: time, jobName: jobName, job: job, operators: snapshots)
  }

  private static func portable(
    _ snapshot: [UInt8], _ numbers: StoreLayout.Operator, _ parts: [StoredPart]
  ) throws(EngineError) -> [UInt8] {
    let block = SnapshotBytes(snapshot)
    defer { withExtendedLifetime(block) {} }
    let header = try SnapshotReader(block.bytes).header
    var stateNumbers: [UInt16] = []
    for state in header.states {
      guard let number = numbers[state.name] else {
        throw EngineError(
          .storageCorrupt,
          "the checkpoint has no number for state '\(state.name)' of operator '\(header.operatorName)'; restore from another one"
        )
      }
      stateNumbers.append(number)
    }
    var reader = try StoredSnapshotReader(
      parts, header, operatorNumber: numbers.number, stateNumbers: stateNumbers)
    var writer = SnapshotWriter(header)
    while let key = try reader.next() { writer.add(key) }
    return writer.finish()
  }
}
