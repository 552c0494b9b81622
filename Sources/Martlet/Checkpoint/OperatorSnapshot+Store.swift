// Snapshots of an operator that keeps its state in a store.

extension ProcessOperator {
  /// Gives all state and timers as `forEachKey` does, read from the store, which has everything (`InstanceStorage.settle`). `header` is the
  /// snapshot's.
  func forEachStoredKey(
    _ header: SnapshotHeader, _ kept: KeptStates, _ add: (SnapshotKey) throws(EngineError) -> Void
  ) throws(EngineError) {
    guard let binding = writeBack?.binding else { return }
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
    while let key = try reader.next() { try add(key) }
  }
}

extension Checkpoint {
  /// The same with all keys in the operators' snapshots, for a job that keeps its state in memory, or in another kind of store. They are read
  /// when they are asked for: the folder has to be there until then. `backends` are those that can be read. Errors: `.storageCorrupt`;
  /// `.invalidArgument` if the stores are of another backend.
  package func portable(_ backends: [any StoreBackend]) throws(EngineError) -> Checkpoint {
    guard let layout = job.layout, let folder else { return self }
    let open = try OpenStores(stores, in: folder, maxParallelism: job.maxParallelism, backends)
    var handles: [SnapshotHandle] = []
    for (handle, numbers) in zip(operators, layout.operators) {
      handles.append(.rows(open, try handle.header, numbers))
    }
    var job = job
    job.layout = nil
    return Checkpoint(id: id, time: time, jobName: jobName, job: job, operators: handles)
  }
}
