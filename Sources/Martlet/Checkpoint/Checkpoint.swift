/// A checkpoint in memory: everything a job needs to go on where it stood.
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
  let operators: [[UInt8]]
  /// The stores that the operators' keys are in, if it was read from a folder that has them.
  let stores: [Manifest.Store]
  /// The folder that it was read from.
  let folder: String?

  /// What the sink gave to be kept with it.
  package var sink: [UInt8] { job.sink }

  init(
    id: Int64, time: Int64, jobName: String, job: JobSnapshot, operators: [[UInt8]], stores: [Manifest.Store] = [],
    folder: String? = nil
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
    try complete(path, Checkpoint.prepare(path, files), stores: [], files)
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

  /// Writes what is missing in `fresh`, in which copies of stores may be already, and makes it `path`.
  func complete(
    _ path: String, _ fresh: String, stores: [Manifest.Store], _ files: any FileSystem
  ) throws(EngineError) {
    var manifest = Manifest(
      id: id, time: time, jobName: jobName, notReplayable: notReplayable, files: [], stores: stores)
    func put(_ name: String, _ bytes: [UInt8]) throws(EngineError) {
      try files.write(bytes, to: FilePath.join(fresh, name))
      manifest.files.append(Manifest.File(name, bytes))
    }
    try put(Manifest.jobFile, job.encoded())
    for (index, bytes) in operators.enumerated() { try put(Checkpoint.operatorFile(index), bytes) }
    try FaultPoint.checkpointBeforeManifest.reach()
    try files.write(manifest.encoded(), to: FilePath.join(fresh, Manifest.fileName))
    try files.syncDirectory(fresh)
    try FaultPoint.checkpointBeforeRename.reach()
    try files.rename(fresh, to: path)
    try FaultPoint.checkpointAfterRename.reach()
    try files.syncDirectory(FilePath.parent(path))
  }

  /// Reads a folder and verifies every byte of it. Throws `.storageCorrupt`, naming the file, for one that is missing, torn or changed,
  /// `.snapshotInvalid` for a newer format, `.storageFailed` where reading fails.
  package init(reading path: String, _ files: any FileSystem) throws(EngineError) {
    let manifestPath = FilePath.join(path, Manifest.fileName)
    guard let info = try files.info(path), info.isDirectory else {
      throw EngineError(.storageFailed, "there is no checkpoint at '\(path)': no such directory")
    }
    guard try files.info(manifestPath) != nil else {
      throw CheckedBytes.damaged(
        manifestPath, "it is missing, so '\(path)' is no checkpoint, or one that was not finished")
    }
    let manifest = try Manifest(decoding: files.contents(manifestPath), manifestPath)
    var contents: [String: [UInt8]] = [:]
    for file in manifest.files {
      let filePath = FilePath.join(path, file.name)
      guard try files.info(filePath) != nil else { throw CheckedBytes.damaged(filePath, "it is missing") }
      let bytes = try files.contents(filePath)
      guard bytes.count == Int(clamping: file.byteCount) else {
        throw CheckedBytes.damaged(filePath, "it is torn: it has \(bytes.count) bytes of \(file.byteCount)")
      }
      guard Manifest.File(file.name, bytes) == file else {
        throw CheckedBytes.damaged(filePath, "its checksum does not match its content")
      }
      contents[file.name] = bytes
    }
    func content(_ name: String) throws(EngineError) -> [UInt8] {
      guard let bytes = contents[name] else {
        throw CheckedBytes.damaged(manifestPath, "it does not list '\(name)'")
      }
      return bytes
    }
    for store in manifest.stores { try Checkpoint.verify(store.files, FilePath.join(path, store.folder), files) }
    let job = try JobSnapshot(decoding: content(Manifest.jobFile), FilePath.join(path, Manifest.jobFile))
    guard (job.layout == nil) == manifest.stores.isEmpty else {
      throw CheckedBytes.damaged(manifestPath, "it does not list the stores that '\(Manifest.jobFile)' speaks of")
    }
    var operators: [[UInt8]] = []
    for index in job.operators.indices { operators.append(try content(Checkpoint.operatorFile(index))) }
    self.init(
      id: manifest.id, time: manifest.time, jobName: manifest.jobName, job: job, operators: operators,
      stores: manifest.stores, folder: path)
  }

  /// Looks at every byte of these files of a folder without keeping any.
  static func verify(_ listed: [Manifest.File], _ folder: String, _ files: any FileSystem) throws(EngineError) {
    for file in listed {
      let path = FilePath.join(folder, file.name)
      guard let info = try files.info(path) else { throw CheckedBytes.damaged(path, "it is missing") }
      guard info.size == Int64(clamping: file.byteCount) else {
        throw CheckedBytes.damaged(path, "it is torn: it has \(info.size) bytes of \(file.byteCount)")
      }
      guard try StoreFiles.hash(path, files) == file.checksum else {
        throw CheckedBytes.damaged(path, "its checksum does not match its content")
      }
    }
  }
}
