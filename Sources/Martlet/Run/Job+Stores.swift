// A job whose operators keep their states in stores.

/// The stores of a job, and which operator keeps what where.
final class JobStores {
  let layout: StoreLayout
  /// That of this process; nil where instances are in processes that have stores of their own.
  let store: ProcessStore?
  let numbers: [OperatorNumbers]
  /// Of the operators that are not parallel, by their number in the job.
  private(set) var storages: [Int: InstanceStorage] = [:]

  init(_ layout: StoreLayout, _ store: ProcessStore?, _ numbers: [OperatorNumbers]) {
    (self.layout, self.store, self.numbers) = (layout, store, numbers)
  }

  /// Lets operators that are not parallel keep their state in the store; before they open.
  func attach(_ operators: [any Operator]) throws(EngineError) {
    guard let store else { return }
    for (index, one) in operators.enumerated() {
      guard let process = one as? ProcessOperator else { continue }
      storages[index] = InstanceStorage(process, store, store.binding(numbers[index]))
    }
  }

  /// The same for an instance on a thread; nil where it is not here that it keeps its state.
  func storage(of instance: ProcessOperator, number index: Int, _ place: InstancePlace) throws(EngineError)
    -> InstanceStorage?
  {
    guard let store else { return nil }
    let groups = try KeyGroupRange(place.groups, of: place.maxParallelism)
    let binding = store.binding(numbers[index], groups, writesBroadcast: place.instance == 0)
    return InstanceStorage(instance, store, binding)
  }

  /// Whether the keys of a chunk are mostly to be looked up.
  var areShort: Bool { storages.values.contains { $0.isShort } }

  /// How many rows a chunk has then.
  private(set) var chunkRows = SourceStage.chunkRows

  /// `wanted`, within bounds: what the keys of a chunk take comes on top of what is in memory.
  func setChunkRows(_ wanted: Int) {
    let fitting = storages.values.map(\.chunkRows).min() ?? SourceStage.longestChunk
    chunkRows = max(min(wanted, fitting, SourceStage.longestChunk), SourceStage.chunkRows)
  }

  /// After every step of the job.
  func afterStep() throws(EngineError) { for storage in storages.values { try storage.afterWork() } }
}

extension InstancePlace {
  /// The key groups of the instance.
  var groups: Range<Int32> {
    KeyGroup.range(instance: instance, parallelism: parallelism, maxParallelism: maxParallelism)
  }
}

extension Job {
  /// What an operator was built as; that of a parallel one runs elsewhere.
  func front(of one: any Operator) -> ProcessOperator? {
    (one as? ProcessOperator) ?? (one as? ParallelOperator)?.front
  }
}

extension ProcessOperator {
  /// All keys, from memory or from the store, which is up to date (`InstanceStorage.settle`).
  func snapshot(
    records: Int64, _ kept: KeptStates, _ second: SecondSnapshot?, to target: SnapshotTarget
  ) throws(EngineError) -> SnapshotHandle {
    let header = snapshotHeader(records: records, kept, second)
    return try target.write(header) { add throws(EngineError) in
      if writeBack == nil { try forEachKey(kept, add) } else { try forEachStoredKey(header, kept, add) }
    }
  }

  /// Everything but the keys, which are in a store or not there.
  func headerSnapshot(records: Int64, _ kept: KeptStates, _ second: SecondSnapshot?) throws(EngineError)
    -> SnapshotHandle
  {
    try SnapshotTarget.memory.write(snapshotHeader(records: records, kept, second))
  }
}
