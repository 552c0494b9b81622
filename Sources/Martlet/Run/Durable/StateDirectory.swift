/// Where one job keeps its state from life to life: a directory with its checkpoints, and, where states live in a store, the store.
///
/// Whoever drives a job attaches it, and then takes checkpoints in five steps, of which only the third holds up the records:
///
/// 1. All output there is goes to the sink (`Job.takeReady`, every output).
/// 2. The sink prepares: what it was given so far can be committed by what `sink` says, now or in another life.
/// 3. `begin`: the state of every operator is put down in memory, with the places of the sources and the sink's bytes.
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

    package init() {}
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
  /// The job, once it is attached.
  weak var job: Job?
  private var underWay: BackgroundWork?

  /// Makes the directory if need be, takes its lock, and removes what a crash has left half done. Errors: `.storageInUse`, naming the
  /// process that has it; `.storageFailed`; `.invalidArgument` for options that make no sense.
  package init(_ path: String, _ options: Options = Options(), _ files: any FileSystem = PosixFileSystem())
    throws(EngineError)
  {
    self.options = options
    self.files = files
    folder = try CheckpointFolder(path, retained: options.retained, files)
  }

  deinit { try? underWay?.wait() }

  /// The least number that a checkpoint may have: numbers only rise, also over those that failed or are damaged.
  package var nextID: Int64 { folder.lastID + 1 }

  /// Step 3. Every output's rows were taken (`takeReady`). Errors: as `Job.checkpoint`; `.busy` while another one is under way;
  /// `.invalidArgument` for a number below `nextID` and for a job that is not attached here.
  package func begin(_ job: Job, id: Int64, sink: [UInt8] = []) throws {
    try requireAttached(job)
    guard underWay == nil else {
      throw EngineError(
        .busy, "a checkpoint in '\(path)' is under way; finish it before the next one is begun")
    }
    try folder.reserve(id)
    // Handed over: nobody else has the checkpoint, and of the folder only what does not change is used.
    nonisolated(unsafe) let checkpoint = try job.checkpoint(id: id, sink: sink)
    nonisolated(unsafe) let folder = folder
    let (place, files) = (folder.place(of: id), files)
    underWay = try BackgroundWork("writing a checkpoint") { () throws(EngineError) in
      try checkpoint.write(to: place, files)
      try folder.removeOld()
    }
  }

  /// Whether a checkpoint was begun and not finished.
  package var isUnderWay: Bool { underWay != nil }

  /// Step 5: whether the checkpoint that was begun is there for good; with `waiting` it waits for that. Throws what went wrong with
  /// writing it: then the job is to be closed, and another one goes on from what is in the directory. `.invalidArgument` if none is under way.
  package func finish(_ job: Job, waiting: Bool) throws -> Bool {
    try requireAttached(job)
    guard let work = underWay else {
      throw EngineError(.invalidArgument, "no checkpoint in '\(path)' is under way; begin one before it is finished")
    }
    guard waiting || work.isDone else { return false }
    underWay = nil
    try work.wait()
    return true
  }

  private func requireAttached(_ job: Job) throws(EngineError) {
    guard self.job === job else {
      throw EngineError(
        .invalidArgument,
        "job '\(job.name)' is not attached to the state directory '\(path)'; attach it before it begins")
    }
  }
}
