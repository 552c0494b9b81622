/// The checkpoints of one job in its state directory, newest last:
///
///     LOCK                      held by the job that has the directory
///     checkpoints/<id>/         20 digits, so that names sort as numbers do
///     checkpoints/<id>.new      being written, or left by a crash
///     checkpoints/<id>.old      being removed, or left by a crash
///
/// One thread at a time. The lock ends with the object.
package final class CheckpointFolder {
  package let path: String
  /// How many checkpoints are kept, at least 1.
  package let retained: Int
  private let files: any FileSystem
  private let lock: any FileLock
  private var checkpoints: String { FilePath.join(path, "checkpoints") }
  /// The greatest number there is, of whole and damaged ones; 0 without any.
  package private(set) var lastID: Int64 = 0

  /// Makes the directory if need be, takes its lock and removes what a crash has left half done. Errors: `.storageInUse`, naming the
  /// process that has it; `.storageFailed`; `.invalidArgument` if `retained` is less than 1.
  package init(_ path: String, retained: Int = 2, _ files: any FileSystem) throws(EngineError) {
    guard retained >= 1 else {
      throw EngineError(.invalidArgument, "\(retained) checkpoints are to be kept; it must be at least 1")
    }
    self.path = path
    self.retained = retained
    self.files = files
    try files.makeDirectories(FilePath.join(path, "checkpoints"))
    lock = try files.lock(FilePath.join(path, "LOCK"))
    for name in try files.list(checkpoints) where name.hasSuffix(".new") || name.hasSuffix(".old") {
      try files.removeTree(FilePath.join(checkpoints, name))
    }
    lastID = try ids().last ?? 0
  }

  deinit { lock.release() }

  /// The newest whole checkpoint, nil if there is none; and what is wrong with those newer than it. Throws if there are some and none is
  /// whole, if one cannot be read at all, and for one of a newer format, whose records going back would process again.
  package func newest() throws(EngineError) -> (checkpoint: Checkpoint?, damaged: [EngineError]) {
    var damaged: [EngineError] = []
    for id in try ids().reversed() {
      do throws(EngineError) {
        return (try Checkpoint(reading: place(of: id), files), damaged)
      } catch {
        guard error.kind == .storageCorrupt else { throw error }
        damaged.append(error)
      }
    }
    guard let first = damaged.first else { return (nil, []) }
    throw EngineError(
      .storageCorrupt,
      "none of the \(damaged.count) checkpoints in '\(checkpoints)' is whole. The newest: \(first.message)")
  }

  /// Writes a checkpoint whose number is greater than `lastID`, durably. A number is used once, also where writing has failed: what it
  /// left is found, whole or not, by the next `newest`.
  package func add(_ checkpoint: Checkpoint) throws(EngineError) {
    guard checkpoint.id > lastID else {
      throw EngineError(
        .invalidArgument,
        "checkpoint \(checkpoint.id) comes after checkpoint \(lastID) in '\(checkpoints)'; numbers only rise")
    }
    lastID = checkpoint.id
    try checkpoint.write(to: place(of: checkpoint.id), files)
  }

  /// Removes all but the newest `retained`. If it fails, the newest ones are there all the same.
  package func removeOld() throws(EngineError) {
    for id in try ids().dropLast(retained) { try remove(id) }
  }

  /// Renamed first: a crash in the middle leaves no folder that looks like a damaged checkpoint.
  private func remove(_ id: Int64) throws(EngineError) {
    try FaultPoint.checkpointBeforeRemove.reach()
    let old = place(of: id) + ".old"
    try files.rename(place(of: id), to: old)
    try FaultPoint.checkpointAfterRemove.reach()
    try files.removeTree(old)
  }

  package func place(of id: Int64) -> String {
    let digits = String(id)
    return FilePath.join(checkpoints, String(repeating: "0", count: max(0, 20 - digits.utf8.count)) + digits)
  }

  /// The numbers there are, rising.
  package func ids() throws(EngineError) -> [Int64] {
    try files.list(checkpoints).compactMap { $0.utf8.count == 20 ? Int64($0) : nil }.sorted()
  }
}
