/// Where one job keeps its state from life to life: a directory with its checkpoints, and, where states live in a store, the store.
///
/// Whoever drives a job attaches it, and then takes checkpoints in five steps, of which only the third holds up the records:
///
/// 1. All output there is goes to the sink (`Job.takeReady`, every output).
/// 2. The sink prepares: what it was given so far can be committed by what `sink` says, now or in another life.
/// 3. `begin`: what changed in the state of every operator is put down in memory, with the places of the sources and the sink's bytes.
/// 4. A thread writes that to disk. The job goes on; what it puts out meanwhile waits for the sink.
/// 5. `finish`: the checkpoint is there for good. The sink commits, and gets what has waited.
///
/// After a crash before the end of 4 the job goes on from the checkpoint before, and the sink is told to forget what it had prepared; after
/// it, from the new one, and the sink is told to commit once more.
///
/// Used by the job's thread. One checkpoint is under way at a time.
package final class StateDirectory {
  package struct Options {
    /// How many checkpoints are kept, at least 1.
    package var retained = 2
    /// What states are kept in; nil: in memory, and a checkpoint is a portable copy of all of them.
    package var backend: (any StoreBackend)?
    /// With a backend: bytes that state may take in memory, about, of all instances of all operators; nil: 512 MiB.
    package var memoryLimit: Int?
    /// With a backend: the folder of the stores while the job runs, which is empty, not there, or was that before; nil: `store` in the directory.
    package var storePath: String?
    /// What checkpoints that were taken with another backend can be read with.
    package var readers: [any StoreBackend] = []
    /// Of lists and maps with rows of their own: as in `StoreBinding`.
    var largeAbove = 256
    var listChunk = 512
    /// Bytes that one instance may have in memory, where that is not to follow from `memoryLimit`.
    var instanceMemory: Int?

    package init() {}

    static let defaultMemory = 512 << 20
  }

  /// What a job goes on from.
  package struct Resumed {
    /// The checkpoint in this directory; 0 if there is none yet.
    package var id: Int64 = 0
    /// What is wrong with newer ones, which were passed over.
    package var damaged: [EngineError] = []
    /// What the sink had written down with the checkpoint, also with one of another directory.
    package var sink: [UInt8] = []
    /// The sources that cannot be read again from where they stood.
    package var notReplayable: [String] = []
  }

  package var path: String { folder.path }
  package internal(set) var resumed = Resumed()
  let options: Options
  let folder: CheckpointFolder
  let files: any FileSystem
  /// The job, once it is attached, and where it keeps its states, if not in memory alone.
  weak var job: Job?
  var stores: JobStores?
  /// Per process with a store, its copy in the newest checkpoint: what is still the same file there needs not be read again.
  var previous: [UInt32: StoreFiles.Previous] = [:]
  private var underWay: CheckpointUnderWay?

  /// Makes the directory if need be, takes its lock, and removes what a crash has left half done. Errors: `.storageInUse`, naming the
  /// process that has it; `.storageFailed`; `.invalidArgument` for options that make no sense.
  package init(_ path: String, _ options: Options = Options(), _ files: any FileSystem = PosixFileSystem())
    throws(EngineError)
  {
    if let limit = options.memoryLimit, limit < StoreOptions.leastMemory {
      throw EngineError(
        .invalidArgument,
        "the memory limit of the state is \(limit) bytes; give it at least \(StoreOptions.leastMemory), or none")
    }
    self.options = options
    self.files = files
    let stores = options.storePath ?? FilePath.join(path, "store")
    folder = try CheckpointFolder(path, retained: options.retained, files) { () throws(EngineError) in
      try ProcessStore.awaitEnd(in: stores, files)
    }
  }

  deinit {
    try? underWay?.work?.wait()
    try? stores?.store?.close()
  }

  /// The least number that a checkpoint may have: numbers only rise, also over those that failed or are damaged.
  package var nextID: Int64 { folder.lastID + 1 }

  /// Step 3, and the beginning of step 4. Every output's rows were taken (`takeReady`). Errors: as `Job.checkpoint`; `.busy` while another one
  /// is under way; `.invalidArgument` for a number below `nextID` and for a job that is not attached here; `.storageFailed`.
  package func begin(_ job: Job, id: Int64, sink: [UInt8] = []) throws {
    try requireAttached(job)
    guard underWay == nil else {
      throw EngineError(
        .busy, "a checkpoint in '\(path)' is under way; finish it before the next one is begun")
    }
    try folder.reserve(id)
    let place = folder.place(of: id)
    guard let stores else {
      let checkpoint = try job.checkpoint(id: id, sink: sink)
      try FaultPoint.checkpointPutDown.reach()
      underWay = CheckpointUnderWay(checkpoint, place)
      return try write()
    }
    let fresh = try Checkpoint.prepare(place, files)
    underWay = CheckpointUnderWay(try job.putDown(id: id, sink: sink), place, fresh)
    try FaultPoint.checkpointPutDown.reach()
    if let store = stores.store {
      try store.persist(to: FilePath.join(fresh, Manifest.storeFolder(0)), since: previous[0])
      try write()
    } else if let transport = job.transport as? any StoringTransport {
      let processes = 0..<UInt32(job.parallelism.instances)
      try transport.persistStores(
        to: processes.map { FilePath.join(fresh, Manifest.storeFolder($0)) }, since: processes.map { previous[$0] })
    }
  }

  /// Whether a checkpoint was begun and not finished.
  package var isUnderWay: Bool { underWay != nil }

  /// Step 5: whether the checkpoint that was begun is there for good; with `waiting` it waits for that. Throws what went wrong with
  /// writing it: then the job is to be closed, and another one goes on from what is in the directory. `.invalidArgument` if none is under way.
  package func finish(_ job: Job, waiting: Bool) throws -> Bool {
    try requireAttached(job)
    guard let current = underWay else {
      throw EngineError(.invalidArgument, "no checkpoint in '\(path)' is under way; begin one before it is finished")
    }
    do {
      if current.work == nil {
        guard let transport = job.transport as? any StoringTransport,
          let copies = try transport.takePersisted(waiting: waiting)
        else { return false }
        underWay?.copies = copies
        try write()
      }
      guard let work = underWay?.work, waiting || work.isDone else { return false }
      try work.wait()
    } catch {
      underWay = nil
      throw error
    }
    for store in underWay?.written.withLock({ $0 }) ?? [] {
      previous[store.process] = StoreFiles.Previous(
        folder: FilePath.join(current.place, store.folder), files: store.files)
    }
    underWay = nil
    return true
  }

  /// Step 4: what every process has copied, and the rest, on a thread.
  private func write() throws(EngineError) {
    guard let current = underWay else { return }
    // Handed over: nobody else has the checkpoint, and of the folder only what does not change is used.
    nonisolated(unsafe) let (checkpoint, folder) = (current.checkpoint, folder)
    let (files, own, backend) = (files, stores?.store, options.backend?.name ?? "")
    let (place, fresh, copies, written) = (current.place, current.fresh, current.copies, current.written)
    let maxParallelism = checkpoint.job.maxParallelism
    underWay?.work = try BackgroundWork("writing a checkpoint") { () throws(EngineError) in
      if let fresh {
        // While the own store is copied.
        let states = try checkpoint.writeStates(fresh, files)
        let lists = if let own { [try own.takePersisted()] } else { copies }
        var list: [Manifest.Store] = []
        for (process, files) in lists.enumerated() {
          let groups = KeyGroup.range(
            instance: Int32(process), parallelism: Int32(lists.count), maxParallelism: maxParallelism)
          list.append(Manifest.Store(process: UInt32(process), backend: backend, groups: groups, files: files))
        }
        written.withLock { $0 = list }
        try checkpoint.complete(place, fresh, states, stores: list, files)
      } else {
        try checkpoint.write(to: place, files)
      }
      try folder.removeOld()
    }
  }

  private func requireAttached(_ job: Job) throws(EngineError) {
    guard self.job === job else {
      throw EngineError(
        .invalidArgument,
        "job '\(job.name)' is not attached to the state directory '\(path)'; attach it before it begins")
    }
  }
}

/// A checkpoint that was put down in memory and is not there for good.
private struct CheckpointUnderWay {
  let checkpoint: Checkpoint
  let place: String
  /// The folder under its first name, if it was made already.
  let fresh: String?
  /// Of stores in other processes: the files that each has copied.
  var copies: [[Manifest.File]] = []
  /// Writes it; nil while other processes still copy their stores.
  var work: BackgroundWork?
  let written = Locked<[Manifest.Store]>([])

  init(_ checkpoint: Checkpoint, _ place: String, _ fresh: String? = nil) {
    (self.checkpoint, self.place, self.fresh) = (checkpoint, place, fresh)
  }
}
