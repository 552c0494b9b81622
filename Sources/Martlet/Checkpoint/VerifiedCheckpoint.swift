/// A checkpoint's folder of which every byte was looked at.
struct VerifiedCheckpoint {
  let manifest: Manifest
  let job: JobSnapshot
  /// By the names of its files, the hash of all that comes before the checksum of the file's own.
  private let contents: [String: UInt64]

  init(_ path: String, _ files: any FileSystem) throws(EngineError) {
    let manifestPath = FilePath.join(path, Manifest.fileName)
    guard try files.info(manifestPath) != nil else {
      throw CheckedBytes.damaged(
        manifestPath, "it is missing, so '\(path)' is no checkpoint, or one that was not finished")
    }
    manifest = try Manifest(decoding: files.contents(manifestPath), manifestPath)
    contents = try VerifiedCheckpoint.verify(manifest.files, path, files)
    for store in manifest.stores {
      _ = try VerifiedCheckpoint.verify(store.files, FilePath.join(path, store.folder), files)
    }
    let jobPath = FilePath.join(path, Manifest.jobFile)
    guard contents[Manifest.jobFile] != nil else {
      throw CheckedBytes.damaged(manifestPath, "it does not list '\(Manifest.jobFile)'")
    }
    job = try JobSnapshot(decoding: files.contents(jobPath), jobPath)
    for index in job.operators.indices where contents[Checkpoint.operatorFile(index)] == nil {
      throw CheckedBytes.damaged(manifestPath, "it does not list '\(Checkpoint.operatorFile(index))'")
    }
    guard (job.layout == nil) == manifest.stores.isEmpty else {
      throw CheckedBytes.damaged(manifestPath, "it does not list the stores that '\(Manifest.jobFile)' speaks of")
    }
  }

  /// What the manifest says of a file, and the hash of its content.
  func file(_ name: String) throws(EngineError) -> (Manifest.File, content: UInt64) {
    guard let file = manifest.files.first(where: { $0.name == name }), let content = contents[name] else {
      throw EngineError(.internalError, "the checkpoint has no file '\(name)'; please report this")
    }
    return (file, content)
  }

  /// Looks at every byte of these files of a folder without keeping any. Gives the hashes of what they are without their last 8 bytes.
  private static func verify(
    _ listed: [Manifest.File], _ folder: String, _ files: any FileSystem
  ) throws(EngineError) -> [String: UInt64] {
    var contents: [String: UInt64] = [:]
    for listed in listed {
      let path = FilePath.join(folder, listed.name)
      guard let info = try files.info(path) else { throw CheckedBytes.damaged(path, "it is missing") }
      guard info.size == Int64(clamping: listed.byteCount) else {
        throw CheckedBytes.damaged(path, "it is torn: it has \(info.size) bytes of \(listed.byteCount)")
      }
      let file = try files.open(path, .read)
      let end = max(info.size - Int64(SnapshotFormat.checksumSize), 0)
      let content = try StoreFiles.hash(file, 0..<end)
      guard try StoreFiles.hash(file, end..<Int64.max, after: content).finish() == listed.checksum else {
        throw CheckedBytes.damaged(path, "its checksum does not match its content")
      }
      contents[listed.name] = content.finish()
    }
    return contents
  }

  /// The checkpoint at the path, or the newest whole one of a state directory; where it is, and what is wrong with newer ones.
  static func open(
    _ path: String, _ files: any FileSystem
  ) throws(EngineError) -> (checkpoint: VerifiedCheckpoint, place: String, damaged: [EngineError]) {
    guard let info = try files.info(path), info.isDirectory else {
      throw EngineError(.storageFailed, "there is no checkpoint at '\(path)': no such directory")
    }
    guard try files.info(FilePath.join(path, Manifest.fileName)) == nil else {
      return (try VerifiedCheckpoint(path, files), path, [])
    }
    let inside = FilePath.join(path, "checkpoints")
    let folder = try files.info(inside)?.isDirectory ?? false ? inside : path
    let names = try files.list(folder).filter { $0.utf8.count == 20 && Int64($0) != nil }
    var damaged: [EngineError] = []
    for name in names.sorted().reversed() {
      let place = FilePath.join(folder, name)
      do throws(EngineError) {
        return (try VerifiedCheckpoint(place, files), place, damaged)
      } catch {
        // One that a running job removed meanwhile is passed over as a damaged one is.
        var isPassedOver = error.kind == .storageCorrupt
        if error.kind == .storageFailed { isPassedOver = try files.info(place) == nil }
        guard isPassedOver else { throw error }
        damaged.append(error)
      }
    }
    guard let first = damaged.first else {
      throw EngineError(
        .storageFailed,
        "there is no checkpoint at '\(path)': it has neither a manifest, as a checkpoint and a savepoint have, nor checkpoints, as a "
          + "state directory has")
    }
    throw EngineError(
      .storageCorrupt,
      "none of the \(damaged.count) checkpoints in '\(folder)' is whole. The newest: \(first.message)")
  }
}
