import CRocksDB
import Martlet

/// An open database with its column families: the handles, and that they are given back once and in order.
///
/// Cursors keep it, so that it outlives them however they are dropped.
final class RocksDBDatabase: @unchecked Sendable {
  // Constant after the initialiser, and RocksDB's own objects may be used by several threads.
  let path: String
  let database: OpaquePointer
  /// By the number of the family; nil for one that a store opened for reading does not have.
  let families: [OpaquePointer?]
  let settings: RocksDBSettings
  let readOptions: OpaquePointer
  private let allFamilies: [OpaquePointer]
  private let processWrite: OpaquePointer
  private let machineWrite: OpaquePointer

  init(_ options: StoreOptions, existing: [String], _ settings: RocksDBSettings) throws(RocksDBOpenFailure) {
    let isReadOnly = if case .readOnly = options.access { true } else { false }
    let wanted = isReadOnly ? [] : options.families.filter { !existing.contains($0) }
    // RocksDB insists on all that are there, and on its own "default".
    let names = existing + (existing.contains("default") ? [] : ["default"]) + wanted.filter { $0 != "default" }

    var handles = [OpaquePointer?](repeating: nil, count: names.count)
    var message: UnsafeMutablePointer<CChar>?
    let opened = RocksDBDatabase.withCStrings(names) { names in
      var columnOptions = [OpaquePointer?](repeating: settings.options, count: names.count)
      return isReadOnly
        ? rocksdb_open_for_read_only_column_families(
          settings.options, options.path, Int32(names.count), names.baseAddress, &columnOptions, &handles, 0, &message)
        : rocksdb_open_column_families(
          settings.options, options.path, Int32(names.count), names.baseAddress, &columnOptions, &handles, &message)
    }
    let said = RocksDBError(message)
    if let error = settings.files.failure ?? said {
      for case let family? in handles { rocksdb_column_family_handle_destroy(family) }
      if let opened { rocksdb_close(opened) }
      throw RocksDBOpenFailure(error: error)
    }
    guard let opened else { preconditionFailure("RocksDB reports no error and gives no database") }

    path = options.path
    database = opened
    self.settings = settings
    allFamilies = handles.compactMap { $0 }
    families = options.families.map { name in names.firstIndex(of: name).flatMap { handles[$0] } }
    readOptions = rocksdb_readoptions_create()
    processWrite = rocksdb_writeoptions_create()
    machineWrite = rocksdb_writeoptions_create()
    if options.isLogged {
      rocksdb_writeoptions_set_sync(machineWrite, 1)
    } else {
      for write in [processWrite, machineWrite] { rocksdb_writeoptions_disable_WAL(write, 1) }
      // Its files were checked when it was made, or written by this process since; merges check them too.
      rocksdb_readoptions_set_verify_checksums(readOptions, 0)
    }
  }

  deinit {
    for family in allFamilies { rocksdb_column_family_handle_destroy(family) }
    rocksdb_close(database)
    rocksdb_readoptions_destroy(readOptions)
    rocksdb_writeoptions_destroy(processWrite)
    rocksdb_writeoptions_destroy(machineWrite)
  }

  func writeOptions(_ durability: Durability) -> OpaquePointer {
    switch durability {
    case .process: processWrite
    case .machine: machineWrite
    }
  }

  /// What RocksDB tells of a family as a number; nil if it does not know it.
  func number(_ property: String, of family: OpaquePointer) -> UInt64? {
    var value: UInt64 = 0
    return rocksdb_property_int_cf(database, family, property, &value) == 0 ? value : nil
  }

  /// Calls `body` with copies of the strings, which go when it is done.
  static func withCStrings<Result>(
    _ strings: [String], _ body: (UnsafeBufferPointer<UnsafePointer<CChar>?>) -> Result
  ) -> Result {
    let copies = strings.map { text in
      let bytes = text.utf8CString
      let copy = UnsafeMutableBufferPointer<CChar>.allocate(capacity: bytes.count)
      _ = copy.initialize(from: bytes)
      return copy
    }
    defer { copies.forEach { $0.deallocate() } }
    return copies.map { UnsafePointer($0.baseAddress) }.withUnsafeBufferPointer(body)
  }
}

/// RocksDB refused to open: for the caller to look at before it becomes an error of the engine.
struct RocksDBOpenFailure: Error {
  let error: RocksDBError
}
