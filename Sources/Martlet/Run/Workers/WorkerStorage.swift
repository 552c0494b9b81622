/// The store of a worker process, and how the instances there come to it.
final class WorkerStorage {
  private let runners: [InstanceRunner]
  private let place: InstancePlace
  /// What stores can be made of.
  private let backends: [any StoreBackend]
  private let files: any FileSystem
  private let wake: WakePipe
  private(set) var store: ProcessStore?
  private var isPersisting = false

  init(
    _ runners: [InstanceRunner], _ place: InstancePlace, _ backends: [any StoreBackend],
    _ files: any FileSystem = PosixFileSystem()
  ) throws(EngineError) {
    (self.runners, self.place, self.backends, self.files) = (runners, place, backends, files)
    wake = try WakePipe()
  }

  /// Readable when something that was begun has ended.
  var descriptor: Int32 { wake.descriptor }

  /// Makes the store and ties the instances to it, before any of them opens.
  func open(_ order: WorkerStoreOrder) throws(EngineError) {
    guard let backend = backends.first(where: { $0.name == order.backend }) else {
      let own = backends.isEmpty ? "none" : backends.map { "'\($0.name)'" }.joined(separator: ", ")
      throw EngineError(
        .invalidArgument,
        "the state backend is '\(order.backend)', and this worker has \(own); serve it with the same backends as the job"
      )
    }
    guard order.numbers.count == runners.count else {
      throw EngineError(
        .internalError,
        "\(order.numbers.count) operators for a worker with \(runners.count); build the job as the coordinator does")
    }
    let groups = try KeyGroupRange(
      KeyGroup.range(
        instance: place.instance, parallelism: place.parallelism, maxParallelism: place.maxParallelism),
      of: place.maxParallelism)
    let store = try ProcessStore(order.opening, groups, backend, files)
    self.store = store
    for (runner, numbers) in zip(runners, order.numbers) {
      runner.storage = InstanceStorage(runner.process, store, store.binding(numbers))
    }
  }

  /// Begins to write what the instances have put down.
  func persist(_ order: WorkerPersistOrder) throws(EngineError) {
    guard let store else {
      throw EngineError(.internalError, "a checkpoint of a worker without a store; please report this")
    }
    isPersisting = true
    try store.persist(to: order.folder, since: order.previous) { [wake] in wake.wake() }
  }

  /// What came of it, once.
  func takePersisted() -> Result<[Manifest.File], EngineError>? {
    guard isPersisting, let store else { return nil }
    wake.drain()
    guard store.isPersisted else { return nil }
    isPersisting = false
    do throws(EngineError) { return .success(try store.takePersisted()) } catch { return .failure(error) }
  }

  /// After every operator was closed.
  func close() throws(EngineError) { try store?.close() }

  /// Errors of the store say whose it is.
  func named(_ result: InstanceResult) -> InstanceResult {
    var result = result
    result.snapshotFailure = result.snapshotFailure?.of(place)
    guard let failure = result.failure, let error = failure.error as? EngineError, error.isOfStorage else {
      return result
    }
    result.failure = InstanceFailure(
      order: failure.order, detail: failure.detail, key: failure.key, error: error.of(place))
    return result
  }
}

extension EngineError {
  var isOfStorage: Bool { kind == .storageFailed || kind == .storageCorrupt || kind == .storageInUse }

  /// The same, of a worker process.
  func of(_ place: InstancePlace) -> EngineError { of(worker: Int(place.instance), of: Int(place.parallelism)) }

  func of(worker index: Int, of count: Int) -> EngineError {
    var error = self
    error.message = "worker process \(index) of \(count): \(message)"
    return error
  }
}
