/// Where the keys of a job's operators go when a checkpoint is taken.
enum KeysTarget {
  /// Into snapshots in memory.
  case memory
  /// Into snapshots in files of a checkpoint's folder.
  case folder(String, any FileSystem)
  /// What changed is put down for the stores, which have the rest; snapshots are without keys.
  case stores

  var isStores: Bool { if case .stores = self { true } else { false } }

  /// Where the snapshot of an operator is written.
  func place(ofOperator index: Int) -> SnapshotTarget {
    guard case .folder(let path, let files) = self else { return .memory }
    return .file(FilePath.join(path, Checkpoint.operatorFile(index)), files)
  }

  /// Where an instance of a parallel operator writes its keys, which are then merged: a file that does not stay.
  func place(ofOperator index: Int, instance: Int) -> SnapshotTarget {
    guard case .folder(let path, let files) = self else { return .memory }
    return .file(FilePath.join(path, "\(Checkpoint.operatorFile(index)).\(instance)"), files)
  }
}
