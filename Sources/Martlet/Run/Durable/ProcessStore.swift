/// The store of one process of a job: all instances of all operators that run there keep their state in it.
///
/// What is in it between two checkpoints nobody relies on: it is made anew at every start out of the newest checkpoint. An
/// instance with too much in memory may therefore write at any time (`spill`), but for one: from when the instances have put down what
/// belongs to a checkpoint until the store is copied, nothing else may come into it.
///
/// Any thread may call any method.
final class ProcessStore: Sendable {
  /// How a process gets its store.
  struct Opening: Equatable, Sendable {
    /// Where the live store is to be; what an earlier one left there is removed.
    var path: String
    /// What caches and write buffers may take.
    var memoryLimit: Int
    /// How many processes of the job have a store, this one included.
    var processes = 1
    /// The copies in the checkpoint that is gone on from, with the key groups that each has. None: it begins empty.
    var sources: [Source] = []
    /// The numbers of all operators of the job; rows of others do not go over.
    var operators: [UInt16] = []

    struct Source: Equatable, Sendable {
      var path: String
      var groups: Range<Int32>
    }
  }

  let store: any KeyValueStore
  let groups: KeyGroupRange
  private let files: any FileSystem
  private let lock: any FileLock
  private let gate = PumpGate()
  private let state = Locked(State())

  private struct State {
    /// What the instances have put down for the checkpoint that comes next.
    var batches: [WriteBatch] = []
    /// How many checkpoints were begun, and how many of them are copied or have failed.
    var begun = 0
    var copied = 0
    /// How many have ended: nothing more than their thread is under way.
    var ended = 0
    /// How many batches threads of their own write, by how many checkpoints had begun.
    var spills: [Int: Int] = [:]
    var failure: EngineError?
    var work: BackgroundWork?
    var files: [Manifest.File] = []
  }

  /// How long the process that had the store before may take to end: it ends by itself within a second after its coordinator.
  private static let lockMilliseconds: Int64 = 3000

  /// Makes the store of the process that has these key groups. Where one source has the very same groups it is cloned by hard links; otherwise
  /// their rows are copied. Errors: `.storageInUse` if a process of another job has it; `.storageFailed`, also if there is a folder that
  /// is no store's; `.storageCorrupt`.
  init(_ opening: Opening, _ groups: KeyGroupRange, _ backend: any StoreBackend, _ files: any FileSystem)
    throws(EngineError)
  {
    self.groups = groups
    self.files = files
    try files.makeDirectories(FilePath.parent(opening.path))
    try ProcessStore.checkLeftByStore(opening.path, files)
    lock = try ProcessStore.lock(opening.path, files)
    try files.removeTree(opening.path)
    store = try ProcessStore.make(opening, groups, backend)
  }

  private static func lock(_ path: String, _ files: any FileSystem) throws(EngineError) -> any FileLock {
    let deadline = monotonicMilliseconds() + lockMilliseconds
    while true {
      do throws(EngineError) { return try files.lock(path + lockSuffix) } catch {
        if error.kind != .storageInUse || monotonicMilliseconds() >= deadline { throw error }
      }
      let pause = PumpGate()
      pause.wait(within: 20) { false }
    }
  }

  /// Waits until no process has a store in this folder any more: the workers of a job that was killed write into its checkpoint until they have
  /// seen that. `.storageInUse`, naming the process, if one has it all the same.
  static func awaitEnd(in folder: String, _ files: any FileSystem) throws(EngineError) {
    guard try files.info(folder)?.isDirectory ?? false else { return }
    for name in try files.list(folder) where name.hasSuffix(lockSuffix) {
      try lock(FilePath.join(folder, String(name.dropLast(lockSuffix.count))), files).release()
    }
  }

  static let lockSuffix = ".lock"

  private static func make(_ opening: Opening, _ groups: KeyGroupRange, _ backend: any StoreBackend)
    throws(EngineError) -> any KeyValueStore
  {
    var options = StoreOptions(
      opening.path, families: StoredPart.families, memoryLimit: max(opening.memoryLimit, StoreOptions.leastMemory))
    options.isLogged = false
    options.writers = opening.processes
    if let only = opening.sources.first, opening.sources.count == 1, only.groups == groups.groups {
      try backend.clone(only.path, to: opening.path)
      options.access = .existing
      let store = try backend.open(options)
      try StoreCopy.removeAll(but: opening.operators, from: StoredPart(store, groups))
      return store
    }
    if opening.sources.isEmpty { return try OpeningStore(options, backend) }
    let store = try backend.open(options)
    var sources: [StoredPart] = []
    for source in opening.sources {
      let copy = try backend.open(
        StoreOptions(
          source.path, families: StoredPart.families, access: .readOnly, memoryLimit: copyMemory))
      sources.append(StoredPart(copy, try KeyGroupRange(source.groups, of: groups.maxParallelism)))
    }
    try StoreCopy(sources: sources, operators: opening.operators).fill(StoredPart(store, groups))
    for source in sources { try source.store.close() }
    return store
  }

  /// For reading a copy from one end to the other.
  private static let copyMemory = 8 << 20

  // MARK: - Between checkpoints

  /// Writes what one instance has put down. While a checkpoint is not copied it waits for that. Throws what went wrong with the checkpoint, or with this.
  func spill(_ batch: WriteBatch) throws(EngineError) {
    if batch.isEmpty { return }
    try waitUntilCopied(state.withLock { $0.begun })
    try store.write(batch, .process)
  }

  /// The same on a thread of its own. What is put down for a checkpoint after this call is written after it.
  func spillBehind(_ batch: WriteBatch) throws(EngineError) -> BackgroundWork {
    let begun = state.withLock { state in
      state.spills[state.begun, default: 0] += 1
      return state.begun
    }
    do throws(EngineError) {
      return try BackgroundWork("writing state") { [self] () throws(EngineError) in
        defer { endSpill(begun) }
        try waitUntilCopied(begun)
        try store.write(batch, .process)
        batch.free()
      }
    } catch {
      endSpill(begun)
      throw error
    }
  }

  private func endSpill(_ begun: Int) {
    gate.change {
      state.withLock { state in
        state.spills[begun, default: 0] -= 1
        if state.spills[begun] == 0 { state.spills[begun] = nil }
      }
    }
  }

  /// Waits for what was spilled before checkpoint `number` began. What came since waits for that checkpoint.
  private func waitForSpills(before number: Int = .max) {
    func areWritten() -> Bool { state.withLock { $0.spills.keys.allSatisfy { $0 >= number } } }
    while !areWritten() { gate.wait(within: 1000, until: areWritten) }
  }

  // MARK: - A checkpoint

  /// What an instance has put down for the checkpoint that comes next. Gives the number of that checkpoint in this store.
  func add(_ batch: WriteBatch) -> Int {
    state.withLock { state in
      if !batch.isEmpty { state.batches.append(batch) }
      return state.begun + 1
    }
  }

  /// All instances have put down what there is: writes it, copies the store to the new folder and hashes its files, on a thread of its own,
  /// which calls `done` at its end. `previous` is the copy of this store in the checkpoint before.
  func persist(
    to folder: String, since previous: StoreFiles.Previous?, done: @escaping @Sendable () -> Void = {}
  ) throws(EngineError) {
    let (number, batches) = state.withLock { state -> (Int, [WriteBatch]) in
      defer { state.batches = [] }
      state.begun += 1
      state.files = []
      return (state.begun, state.batches)
    }
    do throws(EngineError) {
      let work = try BackgroundWork("writing a checkpoint") { [self] () throws(EngineError) in
        // Whoever hears of the end finds that it has come.
        defer {
          state.withLock { $0.ended = number }
          done()
        }
        do throws(EngineError) { try write(batches, for: number, folder) } catch {
          end(number, error)
          throw error
        }
        end(number, nil)
        let list = try StoreFiles.list(folder, since: previous, files)
        state.withLock { $0.files = list }
      }
      state.withLock { $0.work = work }
    } catch {
      end(number, error)
      state.withLock { $0.ended = number }
      throw error
    }
  }

  private func write(_ batches: [WriteBatch], for number: Int, _ folder: String) throws(EngineError) {
    // One that failed has made the store refuse what comes after it.
    waitForSpills(before: number)
    for batch in batches {
      try store.write(batch, .process)
      batch.free()
    }
    try store.copy(to: folder)
  }

  /// From here on others may write.
  private func end(_ number: Int, _ error: EngineError?) {
    gate.change {
      state.withLock { state in
        state.copied = number
        state.failure = error ?? state.failure
      }
    }
  }

  /// Whether `persist` was called for checkpoint `number`; it is not if the job could not put everything down.
  func isBegun(_ number: Int) -> Bool { state.withLock { $0.begun >= number } }

  /// Whether the store is copied that has what was put down for checkpoint `number`: it may leave memory.
  func isCopied(_ number: Int) -> Bool { state.withLock { $0.copied >= number && $0.failure == nil } }

  /// Waits for that. Throws what went wrong with it.
  func waitUntilCopied(_ number: Int) throws(EngineError) {
    while true {
      let (copied, failure) = state.withLock { ($0.copied, $0.failure) }
      if let failure { throw failure }
      if copied >= number { return }
      gate.wait(within: 1000) { state.withLock { $0.copied } >= number }
    }
  }

  /// Whether what `persist` began has ended.
  var isPersisted: Bool { state.withLock { $0.ended == $0.begun } }

  /// Waits for the end of what `persist` began; gives the files of the copy, or throws what went wrong.
  func takePersisted() throws(EngineError) -> [Manifest.File] {
    let work = state.withLock { state in
      defer { state.work = nil }
      return state.work
    }
    try work?.wait()
    return state.withLock { $0.files }
  }

  /// Waits for what is under way, and gives the store back.
  func close() throws(EngineError) {
    _ = try? takePersisted()
    waitForSpills()
    try store.close()
    lock.release()
  }
}
