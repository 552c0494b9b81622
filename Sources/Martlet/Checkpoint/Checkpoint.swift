/// A checkpoint: everything a job needs to go on where it stood. The keys of operators may be in files, or rows of stores, and are read
/// from there one after the other.
///
/// On disk it is a folder: `manifest`, `job.state`, and `operator-1.snapshot` … in the order of the job's operators, each with the keys
/// of all parallel instances. Of a job that keeps its state in stores the keys are in `store-0` …, one for each process, and the
/// snapshots have everything but the keys.
package struct Checkpoint {
  package let id: Int64
  /// When it was taken, in milliseconds since the epoch.
  package let time: Int64
  package let jobName: String
  /// The sources that cannot be read again from where they stood: after a restore they are read from wherever they begin.
  package let notReplayable: [String]
  let job: JobSnapshot
  /// Per operator, all of its keys; or none, if they are in stores.
  let operators: [SnapshotHandle]
  /// The stores that the operators' keys are in, if it was read from a folder that has them.
  let stores: [Manifest.Store]
  /// The folder that it was read from.
  let folder: String?

  /// What the sink gave to be kept with it.
  package var sink: [UInt8] { job.sink }

  init(
    id: Int64, time: Int64, jobName: String, job: JobSnapshot, operators: [SnapshotHandle],
    stores: [Manifest.Store] = [], folder: String? = nil
  ) {
    (self.id, self.time, self.jobName) = (id, time, jobName)
    (self.stores, self.folder) = (stores, folder)
    (self.job, self.operators) = (job, operators)
    // One of which nothing was read is read from its beginning in any case.
    notReplayable = job.sources.filter { $0.offset == nil && !$0.hasEnded && ($0.firstRecord != 0 || $0.rows != 0) }
      .map(\.name)
  }

  static func operatorFile(_ index: Int) -> String { "operator-\(index + 1).snapshot" }

  /// Writes the folder at `path`, which does not exist yet: after a crash it is there whole or not at all.
  ///
  /// 1. The files go to `path.new`, each synced. A crash leaves a `path.new` that the next attempt removes.
  /// 2. The manifest follows, and the names in `path.new` are synced: the folder is whole, under a name nobody reads.
  /// 3. `path.new` is renamed to `path`. A crash of the process leaves the checkpoint; one of the machine may take it back.
  /// 4. The folder above is synced. From here on the checkpoint is there for good.
  package func write(to path: String, _ files: any FileSystem) throws(EngineError) {
    let fresh = try Checkpoint.prepare(path, files)
    try complete(path, fresh, writeStates(fresh, files), stores: [], files)
  }

  /// Writes the folder at `path` as `write` does, with what `make` gives, which may have put snapshots into `path.new` by itself. What was
  /// begun is removed where it fails.
  static func write(
    to path: String, _ files: any FileSystem, _ make: (_ fresh: String) throws -> Checkpoint
  ) throws {
    let fresh = try prepare(path, files)
    do {
      let checkpoint = try make(fresh)
      try checkpoint.complete(path, fresh, checkpoint.writeStates(fresh, files), stores: [], files)
    } catch {
      try? files.removeTree(fresh)
      throw error
    }
  }

  /// Makes `path.new`, for the first files, and gives its name.
  static func prepare(_ path: String, _ files: any FileSystem) throws(EngineError) -> String {
    guard try files.info(path) == nil else {
      throw EngineError(
        .invalidArgument, "cannot write a checkpoint to '\(path)': something of that name is there; choose another name"
      )
    }
    try files.makeDirectories(FilePath.parent(path))
    let fresh = path + ".new"
    try files.removeTree(fresh)
    try files.makeDirectory(fresh)
    try FaultPoint.checkpointBeforeFiles.reach()
    return fresh
  }

  /// Writes `job.state` and the operators' snapshots into `fresh`, which may have some of the latter already. Gives what the manifest says
  /// of them.
  func writeStates(_ fresh: String, _ files: any FileSystem) throws(EngineError) -> [Manifest.File] {
    let state = SnapshotHandle.bytes(job.encoded())
    var written = [try state.write(to: FilePath.join(fresh, Manifest.jobFile), files)]
    for (index, handle) in operators.enumerated() {
      let path = FilePath.join(fresh, Checkpoint.operatorFile(index))
      if case .file(let file, let known) = handle, file.path == path {
        written.append(known)
      } else {
        written.append(try handle.write(to: path, files))
      }
    }
    return written
  }

  /// Makes `fresh`, in which everything else is, `path`. `written` is from `writeStates`.
  func complete(
    _ path: String, _ fresh: String, _ written: [Manifest.File], stores: [Manifest.Store], _ files: any FileSystem
  ) throws(EngineError) {
    let manifest = Manifest(
      id: id, time: time, jobName: jobName, notReplayable: notReplayable, files: written, stores: stores)
    try FaultPoint.checkpointBeforeManifest.reach()
    try files.write(manifest.encoded(), to: FilePath.join(fresh, Manifest.fileName))
    try files.syncDirectory(fresh)
    try FaultPoint.checkpointBeforeRename.reach()
    try files.rename(fresh, to: path)
    try FaultPoint.checkpointAfterRename.reach()
    try files.syncDirectory(FilePath.parent(path))
  }

  /// Reads a folder and verifies every byte of it; the operators' snapshots stay in their files, which stay open. Throws `.storageCorrupt`,
  /// naming the file, for one that is missing, torn or changed, `.snapshotInvalid` for a newer format, `.storageFailed` where reading fails.
  package init(reading path: String, _ files: any FileSystem) throws(EngineError) {
    guard let info = try files.info(path), info.isDirectory else {
      throw EngineError(.storageFailed, "there is no checkpoint at '\(path)': no such directory")
    }
    let verified = try VerifiedCheckpoint(path, files)
    let (manifest, job) = (verified.manifest, verified.job)
    var operators: [SnapshotHandle] = []
    for index in job.operators.indices {
      let (file, content) = try verified.file(Checkpoint.operatorFile(index))
      operators.append(.file(try SnapshotFile(FilePath.join(path, file.name), content: content, files), file))
    }
    self.init(
      id: manifest.id, time: manifest.time, jobName: manifest.jobName, job: job, operators: operators,
      stores: manifest.stores, folder: path)
  }
}
