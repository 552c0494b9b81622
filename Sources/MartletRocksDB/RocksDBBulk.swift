import CRocksDB
import Martlet

/// Large batches of a store that is not logged: each becomes a table of every family it mentions, which RocksDB takes in as it is.
///
/// Rows come sorted, or nearly so, and are so many that they would fill buffers at once. A row in a table of its own costs 0.1 us
/// (10 M rows of 26 bytes, by the million); through a write batch, a buffer and a flush it was 0.8 us. What such a store holds
/// nobody relies on after a failure, so that the families come one after the other does not matter.
struct RocksDBBulk {
  /// Fewer rows than this go into buffers: a file of its own has a price too, and so has every file that is looked into.
  static let leastRows = 4096

  private struct Row {
    var key: UnsafeRawBufferPointer
    /// nil: the key is removed.
    var value: UnsafeRawBufferPointer?
    /// In the batch: of two rows of one key the later one counts.
    var number: Int
  }

  private let database: RocksDBDatabase

  /// nil if the batch is not for tables: it is small, or removes ranges.
  init?(_ batch: WriteBatch, _ database: RocksDBDatabase) {
    guard batch.count >= RocksDBBulk.leastRows else { return nil }
    for operation in batch.operations {
      if case .removeRange = operation { return nil }
    }
    self.database = database
  }

  /// `file`: a name for a new file in the store's folder, per family.
  func write(_ batch: WriteBatch, file: (Int) -> String) throws(EngineError) {
    for index in 0..<batch.familyBound {
      let rows = RocksDBBulk.rows(of: batch, StoreFamily(UInt8(index)))
      guard !rows.isEmpty, let family = database.families[index] else { continue }
      let path = file(index)
      try make(path, rows)
      let options: OpaquePointer = rocksdb_ingestexternalfileoptions_create()
      defer { rocksdb_ingestexternalfileoptions_destroy(options) }
      rocksdb_ingestexternalfileoptions_set_move_files(options, 1)
      try withPath(path) { (path) throws(EngineError) in
        var path = path
        try checked("write", database.path) {
          rocksdb_ingest_external_file_cf(database.database, family, &path, 1, options, $0)
        }
      }
    }
  }

  private func withPath(_ path: String, _ body: (UnsafePointer<CChar>?) throws(EngineError) -> Void) throws(EngineError)
  {
    let bytes = Array(path.utf8CString)
    var failure: EngineError?
    bytes.withUnsafeBufferPointer {
      do throws(EngineError) { try body($0.baseAddress) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  /// The rows of a family in the order of their keys, each key once.
  private static func rows(of batch: WriteBatch, _ family: StoreFamily) -> [Row] {
    var rows: [Row] = []
    if batch.familyBound == 1 { rows.reserveCapacity(batch.count) }
    var isSorted = true
    for operation in batch.operations {
      let row: Row
      switch operation {
      case .put(family, let key, let value): row = Row(key: key, value: value, number: rows.count)
      case .remove(family, let key): row = Row(key: key, value: nil, number: rows.count)
      case .put, .remove, .removeRange: continue
      }
      if isSorted, let last = rows.last, !last.key.isBefore(row.key) { isSorted = false }
      rows.append(row)
    }
    if isSorted { return rows }
    rows.sort { a, b in
      if a.key.isBefore(b.key) { return true }
      return !b.key.isBefore(a.key) && a.number < b.number
    }
    var kept = 0
    for index in rows.indices {
      if index + 1 < rows.count, !rows[index].key.isBefore(rows[index + 1].key) { continue }
      rows[kept] = rows[index]
      kept += 1
    }
    rows.removeSubrange(kept...)
    return rows
  }

  private func make(_ path: String, _ rows: [Row]) throws(EngineError) {
    let environment: OpaquePointer = rocksdb_envoptions_create()
    let writer: OpaquePointer = rocksdb_sstfilewriter_create(environment, database.settings.options)
    defer {
      rocksdb_sstfilewriter_destroy(writer)
      rocksdb_envoptions_destroy(environment)
    }
    try checked("write", database.path) { rocksdb_sstfilewriter_open(writer, path, $0) }
    for row in rows {
      var message: UnsafeMutablePointer<CChar>?
      if let value = row.value {
        rocksdb_sstfilewriter_put(writer, row.key.chars, row.key.count, value.chars, value.count, &message)
      } else {
        rocksdb_sstfilewriter_delete(writer, row.key.chars, row.key.count, &message)
      }
      if let error = RocksDBError(message) { throw error.engineError("write", database.path) }
    }
    try checked("write", database.path) { rocksdb_sstfilewriter_finish(writer, $0) }
  }
}
