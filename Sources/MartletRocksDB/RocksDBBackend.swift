import CRocksDB
import Martlet
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Stores in RocksDB: one database for each, one column family for each family.
package struct RocksDBBackend: StoreBackend {
  package let name = "rocksdb"
  private let fileSystem: any FileSystem

  /// `fileSystem` is what folders are made, listed and cloned with; RocksDB itself writes its files through the system.
  package init(_ fileSystem: any FileSystem = PosixFileSystem()) { self.fileSystem = fileSystem }

  package func open(_ options: StoreOptions) throws(EngineError) -> any KeyValueStore {
    try options.check()
    try RocksDBBackend.checkProcess(options.path)
    let exists = try checkFiles(options)
    if case .readOnly = options.access {} else { try RocksDBStore.requireRoomToOpen(options, fileSystem) }
    var compressions = RocksDBSettings.Compression.allCases[...]
    while let compression = compressions.popFirst() {
      let settings = RocksDBSettings(options, compression)
      let existing = exists ? try familyNames(options.path, settings) : []
      do throws(RocksDBOpenFailure) {
        return RocksDBStore(options, try RocksDBDatabase(options, existing: existing, settings), fileSystem)
      } catch {
        if error.error.isAboutCompression, !compressions.isEmpty { continue }
        throw error.error.engineError("open", options.path)
      }
    }
    throw EngineError(.internalError, "no compression to open the store at '\(options.path)' with. Please report this")
  }

  /// The first process that opened a store.
  private static let firstProcess = Atomic<Int32>(0)

  /// RocksDB's threads serve all stores of a process. One that was forked has none of them, and would wait for them for ever.
  private static func checkProcess(_ path: String) throws(EngineError) {
    let mine = getpid()
    let first = firstProcess.compareExchange(expected: 0, desired: mine, ordering: .relaxed).original
    guard first == 0 || first == mine else {
      throw EngineError(
        .invalidArgument,
        "cannot open the store at '\(path)' in process \(mine): it was forked from process \(first), which had opened a store, and RocksDB "
          + "does not work in both; start it as a program of its own (exec, spawn), or before a store is opened")
    }
  }

  /// Whether there is a store. RocksDB itself would take a store that has lost its file CURRENT for a new one and begin
  /// again, empty: that must never happen.
  private func checkFiles(_ options: StoreOptions) throws(EngineError) -> Bool {
    if try fileSystem.info(FilePath.join(options.path, "CURRENT")) != nil { return true }
    let names = try fileSystem.info(options.path)?.isDirectory == true ? try fileSystem.list(options.path) : []
    if let left = names.first(where: { $0.hasSuffix(".sst") || $0.hasSuffix(".log") }) {
      throw EngineError(
        .storageCorrupt,
        "cannot open the store at '\(options.path)': its file CURRENT is missing, and '\(left)' is there; restore from a checkpoint"
      )
    }
    guard case .create = options.access else {
      throw EngineError(.invalidArgument, "cannot open the store at '\(options.path)': there is none")
    }
    try fileSystem.makeDirectories(options.path)
    return false
  }

  private func familyNames(_ path: String, _ settings: RocksDBSettings) throws(EngineError) -> [String] {
    var count = 0
    var names: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
    // There is something to free after an error too.
    defer { if let names { rocksdb_list_column_families_destroy(names, count) } }
    try checked("open", path) { names = rocksdb_list_column_families(settings.options, path, &count, $0) }
    return (0..<count).compactMap { names?[$0].map { String(cString: $0) } }
  }

  package func clone(_ copy: String, to path: String) throws(EngineError) {
    guard try fileSystem.info(FilePath.join(copy, "CURRENT")) != nil else {
      throw EngineError(
        .storageCorrupt,
        "there is no copy of a store at '\(copy)': its file CURRENT is missing; restore from another checkpoint")
    }
    if try fileSystem.info(path) != nil {
      throw EngineError(
        .invalidArgument, "cannot clone a store to '\(path)': there is something already; choose a new name")
    }
    let fresh = path + ".new"
    try fileSystem.removeTree(fresh)
    try fileSystem.makeDirectories(fresh)
    for name in try fileSystem.list(copy) where name != "LOCK" && !name.hasPrefix("LOG") {
      let source = FilePath.join(copy, name)
      let target = FilePath.join(fresh, name)
      // Only tables never change; and where a second name is not possible, the content is copied.
      if name.hasSuffix(".sst"), (try? fileSystem.link(source, to: target)) != nil { continue }
      try fileSystem.copyFile(source, to: target)
    }
    try fileSystem.syncDirectory(fresh)
    try FaultPoint.storeBeforeCloneRename.reach()
    try fileSystem.rename(fresh, to: path)
    try fileSystem.syncDirectory(FilePath.parent(path))
  }
}
