// What an earlier life left of a live store is removed before the next one is made: `<path>/<number>`, where the path is the user's.

extension ProcessStore {
  /// Whether what is at `path`, if anything, was left by a store: its lock is beside it, which is never removed, and it has nothing but files
  /// with a store's names. To be called before the lock is taken. Throws `.storageFailed`, naming the folder, if not.
  static func checkLeftByStore(_ path: String, _ files: any FileSystem) throws(EngineError) {
    let hasLock = try files.info(path + lockSuffix) != nil
    // The second is a store that was being cloned.
    for folder in [path, path + ".new"] {
      guard let info = try files.info(folder) else { continue }
      guard info.isDirectory else { throw foreign(folder, "there is a file of that name") }
      for name in try files.list(folder) {
        let isFile = try files.info(FilePath.join(folder, name)).map { !$0.isDirectory } ?? true
        guard isFile, isStoreFile(name) else { throw foreign(folder, "'\(name)' in it is no part of a store") }
        guard hasLock else { throw foreign(folder, "no lock '\(path + lockSuffix)' is beside it") }
      }
    }
  }

  /// Names of files in a folder of `MemoryStore` or of RocksDB.
  private static func isStoreFile(_ name: String) -> Bool {
    ["CURRENT", "IDENTITY", "LOCK", "LOG", MemoryStoreFile.name].contains(name)
      || [".sst", ".log", ".dbtmp", ".blob"].contains(where: name.hasSuffix)
      || ["LOG.old.", "MANIFEST-", "OPTIONS-", "bulk-"].contains(where: name.hasPrefix)
  }

  private static func foreign(_ folder: String, _ what: String) -> EngineError {
    EngineError(
      .storageFailed,
      "'\(folder)' is where the job's store is to be, and whatever is there would be removed, but a job did not leave it: \(what); choose "
        + "another path for the state, or remove the folder yourself")
  }
}
