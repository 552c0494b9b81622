// What a job goes on from.

extension StateDirectory {
  /// Lets a job that is complete and has not begun keep its state here. It goes on from the newest whole checkpoint of the directory; if
  /// there is none, from what is at `from`, a savepoint or checkpoint, or the directory of another job; if that is nil, it begins anew.
  ///
  /// `forgetting` may name what is gone already, so that a program that says it once can always say it. Errors: as
  /// `Job.restore`; `.storageCorrupt` if there are checkpoints and none is whole; `.snapshotInvalid` if a newer version wrote the newest one.
  @discardableResult
  package func attach(_ job: Job, from: String? = nil, forgetting: Forgetting = Forgetting()) throws(EngineError)
    -> Resumed
  {
    guard self.job == nil else {
      throw EngineError(
        .invalidArgument,
        "a job is attached to the state directory '\(path)' already; open the directory anew for another")
    }
    try job.requireBuilding()
    let (newest, damaged) = try folder.newest()
    resumed = Resumed(damaged: damaged)
    var forgetting = forgetting
    if let newest {
      resumed.id = newest.id
      forgetting.mayBeGone = true
    }
    var start = newest
    if start == nil, let from { start = try checkpoint(at: from) }
    if let start {
      (resumed.sink, resumed.notReplayable) = (start.sink, start.notReplayable)
      try job.restore(start, forgetting: forgetting)
    }
    self.job = job
    return resumed
  }

  /// The checkpoint at a path that a user names: of a whole directory the newest one.
  private func checkpoint(at path: String) throws(EngineError) -> Checkpoint {
    let checkpoints = FilePath.join(path, CheckpointFolder.subfolder)
    guard try files.info(FilePath.join(path, Manifest.fileName)) == nil, try files.info(checkpoints) != nil else {
      return try Checkpoint(reading: path, files)
    }
    let found = try CheckpointFolder.newest(in: checkpoints, files)
    resumed.damaged += found.damaged
    guard let checkpoint = found.checkpoint else {
      throw EngineError(.storageFailed, "there is no checkpoint in the state directory '\(path)' to go on from")
    }
    return checkpoint
  }
}
