import CRocksDB
import Martlet

// The free space is looked at before anything is written, for an error that says how much is missing, and so that RocksDB does not begin what must
// fail. (What fails all the same, because others write to the disk too, `RocksDBFiles` sees.) RocksDB's own reserve, SstFileManager, is not in the C
// interface, and looks at the disk only once a write has failed. The stores of a job's processes look at the same disk before any of them writes:
// each asks for as much as all of them need, if they need as much as it does.

extension RocksDBStore {
  /// Left free for what RocksDB writes besides: its manifest, its log of messages, the ends of tables.
  static let spareBytes: Int64 = 4 << 20

  /// Makes sure that there is room for `bytes` more and what is in buffers. Merges of tables are switched off while there is none for the largest,
  /// of all tables: RocksDB would begin it at a time of its own. Throws `.storageFailed`, saying how much is free and how much is needed; the
  /// store is as it was.
  func requireRoom(_ operation: String, for bytes: Int64, _ database: RocksDBDatabase) throws(EngineError) {
    let needed = bytes + buffered(database)
    let free = try requireRoom(operation, at: path, for: needed)
    let merged = sum("rocksdb.total-sst-files-size", database)
    setMerging(free >= RocksDBStore.forAll(needed + merged, writers), database)
  }

  /// A copy first makes tables of what is in buffers. It has other names of the tables there are, or, on another disk, copies.
  func requireRoom(toCopyTo target: String, _ database: RocksDBDatabase) throws(EngineError) {
    let operation = "copy to '\(target)'"
    let tables = sum("rocksdb.total-sst-files-size", database)
    try requireRoom(operation, for: 0, database)
    let folder = FilePath.parent(target)
    guard let there = try fileSystem.info(folder), let here = try fileSystem.info(path), there.device != here.device
    else { return }
    _ = try requireRoom(operation, at: folder, for: tables + buffered(database))
  }

  static func requireRoomToOpen(_ options: StoreOptions, _ fileSystem: any FileSystem) throws(EngineError) {
    _ = try requireRoom("open", options.path, at: options.path, for: forAll(0, options.writers), fileSystem)
  }

  private func requireRoom(_ operation: String, at place: String, for bytes: Int64) throws(EngineError) -> Int64 {
    try RocksDBStore.requireRoom(operation, path, at: place, for: RocksDBStore.forAll(bytes, writers), fileSystem)
  }

  /// What all stores that are written at once need together, if each needs so much.
  private static func forAll(_ bytes: Int64, _ writers: Int) -> Int64 { (bytes + spareBytes) * Int64(writers) }

  private static func requireRoom(
    _ operation: String, _ path: String, at place: String, for needed: Int64, _ fileSystem: any FileSystem
  ) throws(EngineError) -> Int64 {
    let free = try fileSystem.freeBytes(place)
    guard free >= needed else {
      throw EngineError(
        .storageFailed,
        "cannot \(operation) the store at '\(path)': No space left on device: the disk of '\(place)' has \(free) bytes free, and "
          + "\(needed) are needed; make room on that disk, then start again")
    }
    return free
  }

  private func buffered(_ database: RocksDBDatabase) -> Int64 { sum("rocksdb.cur-size-all-mem-tables", database) }

  func sum(_ property: String, _ database: RocksDBDatabase) -> Int64 {
    var total: UInt64 = 0
    for case let family? in database.families { total &+= database.number(property, of: family) ?? 0 }
    return Int64(clamping: total)
  }

  /// With merges off, tables pile up and lookups take longer, until there is room again. Writes do not wait for merges then.
  private func setMerging(_ isOn: Bool, _ database: RocksDBDatabase) {
    guard changesMerging(to: isOn) else { return }
    "disable_auto_compactions".withCString { name in
      (isOn ? "false" : "true").withCString { value in
        var (name, value): (UnsafePointer<CChar>?, UnsafePointer<CChar>?) = (name, value)
        for family in database.families {
          guard let family else { continue }
          var message: UnsafeMutablePointer<CChar>?
          rocksdb_set_options_cf(database.database, family, 1, &name, &value, &message)
          // What cannot be switched goes on as it was.
          if let message { rocksdb_free(message) }
        }
      }
    }
  }
}
