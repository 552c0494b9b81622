import CRocksDB
import Martlet

/// A store in RocksDB, through its C interface.
///
/// RocksDB gives what the contract asks for by itself: a write batch is one record of its log, whatever the column families,
/// and an iterator sees one moment. Added here: the refusal to go on after a failure, families by number, errors in words.
package final class RocksDBStore: KeyValueStore {
  package let path: String
  package let families: [String]
  let fileSystem: any FileSystem
  private let isReadOnly: Bool
  private let isLogged: Bool
  /// See `StoreOptions`.
  let writers: Int
  private let state: Locked<State>

  private struct State {
    /// nil once it is closed.
    var database: RocksDBDatabase?
    /// What the first failure was.
    var failure: String?
    var openCursors = 0
    /// Batches that became files of their own, which are named after it.
    var bulkCount = 0
    /// Whether tables are merged in the background; not while the disk has no room for it.
    var isMerging = true
  }

  /// The log is copied as it is up to this size; a longer one is first made into a file that copies can share.
  private static let longestCopiedLog: UInt64 = 8 << 20

  init(_ options: StoreOptions, _ database: RocksDBDatabase, _ fileSystem: any FileSystem) {
    path = options.path
    families = options.families
    isReadOnly = if case .readOnly = options.access { true } else { false }
    isLogged = options.isLogged
    writers = options.writers
    self.fileSystem = fileSystem
    state = Locked(State(database: database))
  }

  package func write(_ batch: WriteBatch, _ durability: Durability) throws(EngineError) {
    let database = try usable("write")
    if isReadOnly {
      throw EngineError(.invalidArgument, "cannot write the store at '\(path)': it was opened for reading only")
    }
    if batch.familyBound > families.count { throw unknownFamily(batch.familyBound - 1) }
    // A table of its own, or the log and later a table.
    try requireRoom("write", for: Int64(batch.size) * (isLogged ? 2 : 1), database)
    try remembering("write", database) { () throws(EngineError) in
      try FaultPoint.storeBeforeWrite.reach()
      if !isLogged, let bulk = RocksDBBulk(batch, database) {
        let number = state.withLock { state in
          defer { state.bulkCount += 1 }
          return state.bulkCount
        }
        try bulk.write(batch) { family, part in FilePath.join(path, "bulk-\(number)-\(family)-\(part).sst") }
      } else {
        let changes = RocksDBStore.changes(batch, database)
        defer { rocksdb_writebatch_destroy(changes) }
        try checked("write", path) {
          rocksdb_write(database.database, database.writeOptions(durability), changes, $0)
        }
      }
      try FaultPoint.storeAfterWrite.reach()
    }
  }

  private static func changes(_ batch: WriteBatch, _ database: RocksDBDatabase) -> OpaquePointer {
    let changes: OpaquePointer = rocksdb_writebatch_create()
    for operation in batch.operations {
      switch operation {
      case .put(let family, let key, let value):
        rocksdb_writebatch_put_cf(
          changes, database.families[Int(family.index)], key.chars, key.count, value.chars, value.count)
      case .remove(let family, let key):
        rocksdb_writebatch_delete_cf(changes, database.families[Int(family.index)], key.chars, key.count)
      case .removeRange(let family, let lower, let upper):
        rocksdb_writebatch_delete_range_cf(
          changes, database.families[Int(family.index)], lower.chars, lower.count, upper.chars, upper.count)
      }
    }
    return changes
  }

  package func sync() throws(EngineError) {
    let database = try usable("sync")
    if isReadOnly || !isLogged { return }
    try remembering("sync", database) { () throws(EngineError) in
      try checked("sync", path) { rocksdb_flush_wal(database.database, 1, $0) }
    }
  }

  package func copy(to path: String) throws(EngineError) {
    let database = try usable("copy")
    if isReadOnly {
      throw EngineError(
        .invalidArgument, "cannot copy the store at '\(self.path)': it was opened for reading only; clone it instead")
    }
    if try fileSystem.info(path) != nil {
      throw EngineError(
        .invalidArgument, "cannot copy a store to '\(path)': there is something already; choose a new name")
    }
    try requireRoom(toCopyTo: path, database)
    let operation = "copy to '\(path)'"
    try remembering(operation, database) { () throws(EngineError) in
      try FaultPoint.storeBeforeCopy.reach()
      let copier = try checked(operation, self.path) { rocksdb_checkpoint_object_create(database.database, $0) }
      defer { rocksdb_checkpoint_object_destroy(copier) }
      // It is made under another name, synced, and renamed.
      try checked(operation, self.path) {
        // 0: whatever is in buffers becomes a file.
        rocksdb_checkpoint_create(copier, path, isLogged ? RocksDBStore.longestCopiedLog : 0, $0)
      }
      try FaultPoint.storeAfterCopy.reach()
      try fileSystem.syncDirectory(FilePath.parent(path))
    }
  }

  package func usage() throws(EngineError) -> StoreUsage {
    let database = try usable("look at")
    let cached = Int64(rocksdb_cache_get_usage(database.settings.cache))
    return StoreUsage(
      diskBytes: sum("rocksdb.total-sst-files-size", database) + sum("rocksdb.cur-size-all-mem-tables", database),
      memoryBytes: sum("rocksdb.cur-size-all-mem-tables", database)
        + sum("rocksdb.estimate-table-readers-mem", database)
        + cached,
      entries: sum("rocksdb.estimate-num-keys", database))
  }

  /// What RocksDB itself tells under a name such as `rocksdb.stats`; nil if it does not know the name.
  package func property(_ name: String) throws(EngineError) -> String? {
    let database = try usable("look at")
    guard let text = rocksdb_property_value(database.database, name) else { return nil }
    defer { rocksdb_free(text) }
    return String(cString: text)
  }

  package func close() throws(EngineError) {
    let (database, open) = state.withLock { state -> (RocksDBDatabase?, Int) in
      if state.openCursors > 0 { return (nil, state.openCursors) }
      defer { state.database = nil }
      return (state.database, 0)
    }
    if open > 0 {
      throw EngineError(.busy, "cannot close the store at '\(path)': \(open) cursors are open; close them first")
    }
    let files = database?.settings.files
    // Its last reference goes here, and with it the lock.
    _ = consume database
    // What was written last may have been in memory until now. A store that is not logged has nothing to keep.
    if isLogged, state.withLock({ $0.failure }) == nil, let error = files?.failure {
      throw error.engineError("close", path)
    }
  }

  // ---- shared with the reading side ----------------------------------------------------------------------------------------

  /// The database, if it is open and nothing has failed.
  func usable(_ operation: String) throws(EngineError) -> RocksDBDatabase {
    let (database, failure) = state.withLock { ($0.database, $0.failure) }
    guard let database else {
      throw EngineError(.closed, "cannot \(operation) the store at '\(path)': it was closed")
    }
    if let failure {
      throw EngineError(
        .storageFailed,
        "cannot \(operation) the store at '\(path)': it failed before, so what it holds is not known; open it again (\(failure))"
      )
    }
    try checkFiles(operation, database)
    return database
  }

  /// Throws what RocksDB was not told of: that a file could not be written, by the last call or in the background.
  func checkFiles(_ operation: String, _ database: RocksDBDatabase) throws(EngineError) {
    guard let error = database.settings.files.failure?.engineError(operation, path) else { return }
    fail(error)
    throw error
  }

  /// Does what may fail for good.
  private func remembering(
    _ operation: String, _ database: RocksDBDatabase, _ body: () throws(EngineError) -> Void
  ) throws(EngineError) {
    let result = Result { () throws(EngineError) in try body() }
    try checkFiles(operation, database)
    do throws(EngineError) {
      try result.get()
    } catch {
      fail(error)
      throw error
    }
  }

  func fail(_ error: EngineError) {
    state.withLock { if $0.failure == nil { $0.failure = error.message } }
  }

  /// Whether merging is not already as wanted; then it counts as switched.
  func changesMerging(to isOn: Bool) -> Bool {
    state.withLock { state in
      defer { state.isMerging = isOn }
      return state.isMerging != isOn
    }
  }

  func cursorOpened() { state.withLock { $0.openCursors += 1 } }
  func cursorClosed() { state.withLock { $0.openCursors -= 1 } }

  func unknownFamily(_ index: Int) -> EngineError {
    EngineError(.invalidArgument, "the store at '\(path)' has no family number \(index); it has \(families)")
  }
}

extension UnsafeRawBufferPointer {
  /// As the C interface takes bytes. Never NULL, which some of its functions take for "not given".
  var chars: UnsafePointer<CChar> {
    (baseAddress ?? UnsafeRawPointer(RocksDB.versionCString)).assumingMemoryBound(to: CChar.self)
  }
}
