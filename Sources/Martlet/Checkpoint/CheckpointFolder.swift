/// The checkpoints of one job in its state directory, newest last:
///
///     LOCK                      held by the job that has the directory
///     checkpoints/<id>/         20 digits, so that names sort as numbers do
///     checkpoints/<id>.new      being written, or left by a crash
///     checkpoints/<id>.old      being removed, or left by a crash
///
/// One thread at a time, but for `removeOld`. The lock ends with the object.
package final class CheckpointFolder {
  package let path: String
  /// How many checkpoints are kept, at least 1.
  package let retained: Int
  private let files: any FileSystem
  private let lock: any FileLock
  private var checkpoints: String { FilePath.join(path, CheckpointFolder.subfolder) }
  /// The greatest number there is, of whole and damaged ones; 0 without any.
  package private(set) var lastID: Int64 = 0
  /// Those that `newest` has passed over.
  private var damagedIDs: Set<Int64> = []

  static let subfolder = "checkpoints"

  /// Makes the directory if need be, takes its lock and removes what a crash has left half done. Errors: `.storageInUse`, naming the
  /// process that has it; `.storageFailed`; `.invalidArgument` if `retained` is less than 1.
  package init(
    _ path: String, retained: Int = 2, _ files: any FileSystem,
    beforeRemoving: () throws(EngineError) -> Void = {}
  ) throws(EngineError) {
    guard retained >= 1 else {
      throw EngineError(.invalidArgument, "\(retained) checkpoints are to be kept; it must be at least 1")
    }
    self.path = path
    self.retained = retained
    self.files = files
    try files.makeDirectories(FilePath.join(path, CheckpointFolder.subfolder))
    lock = try files.lock(FilePath.join(path, "LOCK"))
    try beforeRemoving()
    for name in try files.list(checkpoints) where name.hasSuffix(".new") || name.hasSuffix(".old") {
      try files.removeTree(FilePath.join(checkpoints, name))
    }
    lastID = try ids().last ?? 0
  }

  deinit { lock.release() }

  /// The newest whole checkpoint, nil if there is none; and what is wrong with those newer than it. Throws if there are some and none is
  /// whole, if one cannot be read at all, and for one of a newer format, whose records going back would process again.
  package func newest() throws(EngineError) -> (checkpoint: Checkpoint?, damaged: [EngineError]) {
    let (checkpoint, damaged) = try CheckpointFolder.newest(in: checkpoints, files)
    damagedIDs = Set(try ids().filter { $0 > checkpoint?.id ?? 0 })
    return (checkpoint, damaged)
  }

  /// The same of a directory that may be another job's.
  static func newest(in checkpoints: String, _ files: any FileSystem) throws(EngineError) -> (
    checkpoint: Checkpoint?, damaged: [EngineError]
  ) {
    var damaged: [EngineError] = []
    for id in try ids(in: checkpoints, files).reversed() {
      do throws(EngineError) {
        return (try Checkpoint(reading: FilePath.join(checkpoints, name(of: id)), files), damaged)
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
    try reserve(checkpoint.id)
    try checkpoint.write(to: place(of: checkpoint.id), files)
  }

  /// Uses a number, for a checkpoint that is to be written to `place(of:)`.
  func reserve(_ id: Int64) throws(EngineError) {
    guard id > lastID else {
      throw EngineError(
        .invalidArgument, "checkpoint \(id) comes after checkpoint \(lastID) in '\(checkpoints)'; numbers only rise")
    }
    lastID = id
  }

  /// Removes all before the newest `retained`, of which damaged ones are none. If it fails, the newest ones are there all the same.
  package func removeOld() throws(EngineError) {
    let all = try ids()
    guard let first = all.filter({ !damagedIDs.contains($0) }).suffix(retained).first else { return }
    for id in all where id < first { try remove(id) }
  }

  /// Renamed first: a crash in the middle leaves no folder that looks like a damaged checkpoint.
  private func remove(_ id: Int64) throws(EngineError) {
    try FaultPoint.checkpointBeforeRemove.reach()
    let old = place(of: id) + ".old"
    try files.rename(place(of: id), to: old)
    try FaultPoint.checkpointAfterRemove.reach()
    try files.removeTree(old)
  }

  package func place(of id: Int64) -> String { FilePath.join(checkpoints, CheckpointFolder.name(of: id)) }

  private static func name(of id: Int64) -> String {
    let digits = String(id)
    return String(repeating: "0", count: max(0, 20 - digits.utf8.count)) + digits
  }

  /// The numbers there are, rising.
  package func ids() throws(EngineError) -> [Int64] { try CheckpointFolder.ids(in: checkpoints, files) }

  private static func ids(in checkpoints: String, _ files: any FileSystem) throws(EngineError) -> [Int64] {
    try files.list(checkpoints).compactMap { $0.utf8.count == 20 ? Int64($0) : nil }.sorted()
  }
}
