// What a job goes on from.

extension StateDirectory {
  /// Lets a job that is complete and has not begun keep its state here. It goes on from the newest whole checkpoint of the directory; if
  /// there is none, from what is at `from`, a savepoint or checkpoint, or the directory of another job; if that is nil, it begins anew.
  ///
  /// `forgetting` may name what is gone already, so that a program that says it once can always say it. Errors: as
  /// `Job.restore`; `.storageCorrupt` if there are checkpoints and none is whole; `.snapshotInvalid` if a newer version wrote the newest one.
  @discardableResult
  package func attach(_ job: Job, from: String? = nil, forgetting: Forgetting = Forgetting()) throws(EngineError)
    -> Resumed
  {
    guard self.job == nil else {
      throw EngineError(
        .invalidArgument,
        "a job is attached to the state directory '\(path)' already; open the directory anew for another")
    }
    try job.requireBuilding()
    let (newest, damaged) = try folder.newest()
    resumed = Resumed(damaged: damaged)
    var forgetting = forgetting
    if let newest {
      resumed.id = newest.id
      forgetting.mayBeGone = true
    }
    var start = newest
    if start == nil, let from { start = try checkpoint(at: from) }
    if let start { (resumed.sink, resumed.notReplayable) = (start.sink, start.notReplayable) }
    let readers = options.readers + (options.backend.map { [$0] } ?? [])
    if let backend = options.backend {
      // Rows of the same kind of store go over as they are.
      if let other = start, other.stores.contains(where: { $0.backend != backend.name }) {
        start = try other.portable(readers)
      }
      try makeStores(job, backend, start, forgetting)
    } else if let start {
      try job.restore(start.portable(readers), forgetting: forgetting)
    }
    self.job = job
    return resumed
  }

  /// The checkpoint at a path that a user names: of a whole directory the newest one.
  private func checkpoint(at path: String) throws(EngineError) -> Checkpoint {
    let checkpoints = FilePath.join(path, CheckpointFolder.subfolder)
    guard try files.info(FilePath.join(path, Manifest.fileName)) == nil, try files.info(checkpoints) != nil else {
      return try Checkpoint(reading: path, files)
    }
    let found = try CheckpointFolder.newest(in: checkpoints, files)
    resumed.damaged += found.damaged
    guard let checkpoint = found.checkpoint else {
      throw EngineError(.storageFailed, "there is no checkpoint in the state directory '\(path)' to go on from")
    }
    return checkpoint
  }

  // MARK: - Stores

  private func makeStores(
    _ job: Job, _ backend: any StoreBackend, _ start: Checkpoint?, _ forgetting: Forgetting
  ) throws(EngineError) {
    if let start { try job.plan(start, forgetting) }
    let layout = try layout(of: job, start, forgetting)
    let transport = job.transport as? any StoringTransport
    let processes = transport == nil ? 1 : job.parallelism.instances
    let memory = StoreMemory(options.memoryLimit ?? Options.defaultMemory, processes: processes)
    let folder = options.storePath ?? FilePath.join(path, "store")
    try checkStoreFolder(folder)
    let openings = (0..<processes).map { process in
      var opening = ProcessStore.Opening(
        path: FilePath.join(folder, String(process)), memoryLimit: memory.store, processes: processes,
        operators: layout.operators.map(\.number))
      for store in start?.stores ?? [] {
        let path = FilePath.join(start?.folder ?? "", store.folder)
        opening.sources.append(ProcessStore.Opening.Source(path: path, groups: store.groups))
      }
      return opening
    }
    let instances = transport == nil ? job.parallelism.instances : 1
    let numbers = numbers(layout, job, memory, instances: instances)
    var own: ProcessStore?
    if let transport {
      do { try transport.openStores(openings, numbers, backend: backend.name) } catch {
        throw EngineError(any: error)
      }
    } else {
      let all = try KeyGroupRange(0..<Int32(job.parallelism.maxInstances), of: Int32(job.parallelism.maxInstances))
      try FaultPoint.resumeBeforeStore.reach()
      own = try ProcessStore(openings[0], all, backend, files)
      try FaultPoint.resumeAfterStore.reach()
    }
    for store in start?.stores ?? [] where start?.stores.count == processes {
      previous[store.process] = StoreFiles.Previous(
        folder: FilePath.join(start?.folder ?? "", store.folder), files: store.files)
    }
    let stores = JobStores(layout, own, numbers)
    (self.stores, job.stores) = (stores, stores)
  }

  /// Numbers that the checkpoint has given go on; what is new gets new ones.
  private func layout(of job: Job, _ start: Checkpoint?, _ forgetting: Forgetting) throws(EngineError) -> StoreLayout {
    let places = job.restoring?.places ?? job.operators.map { _ in nil }
    let operators = zip(job.operators, places).map { one, place in
      let states = (one as? ProcessOperator)?.descriptors.map(\.name) ?? []
      let saved = place.flatMap { start?.job.operators[$0].name }
      return (name: one.name, states: states, place: place, forgetting: saved.flatMap { forgetting.states[$0] } ?? [])
    }
    var layout = try StoreLayout(start?.job.layout, operators)
    guard let start, start.job.layout == nil else { return layout }
    for (index, one) in operators.enumerated() {
      guard let place = one.place else { continue }
      let names = try start.operators[place].header.states.map(\.name).filter { !one.forgetting.contains($0) }
      try layout.keep(names, ofOperator: index, one.name)
    }
    return layout
  }

  private func numbers(_ layout: StoreLayout, _ job: Job, _ memory: StoreMemory, instances: Int) -> [OperatorNumbers] {
    let share = options.instanceMemory ?? memory.tables / max(instances * layout.operators.count, 1)
    return zip(job.operators, layout.operators).map { one, known in
      let declared = (one as? ProcessOperator)?.descriptors.count ?? 0
      var numbers = OperatorNumbers(
        number: known.number, states: known.states.prefix(declared).map(\.number), forgotten: known.forgotten,
        memoryLimit: share)
      for state in known.states.dropFirst(declared) { numbers.kept[state.name] = state.number }
      (numbers.largeAbove, numbers.listChunk) = (options.largeAbove, options.listChunk)
      return numbers
    }
  }

  /// Whatever is where a store is to be goes; so it must not be anything else.
  private func checkStoreFolder(_ folder: String) throws(EngineError) {
    guard let info = try files.info(folder) else { return }
    let names = info.isDirectory ? try files.list(folder) : [folder]
    for name in names {
      let number = name.split(separator: ".", omittingEmptySubsequences: false)[0]
      if Int(number) == nil {
        throw EngineError(
          .invalidArgument,
          "'\(folder)' is to be the folder of the state's stores, and has '\(name)', which is no store; choose one that is empty or not "
            + "there")
      }
    }
  }
}

/// How the memory for state is divided in one process: for the store's caches and buffers, and for what operators have at hand.
struct StoreMemory {
  let store: Int
  let tables: Int

  /// An eighth for the store, which reads its files in the system's cache of pages; it needs some whatever the limit.
  init(_ limit: Int, processes: Int) {
    let mine = limit / max(processes, 1)
    store = max(mine / 8, StoreOptions.leastMemory)
    tables = mine - mine / 8
  }
}
