import CRocksDB
import CRocksDBShim
import Martlet

/// Large batches of a store that is not logged: each becomes a table of every family it mentions, which RocksDB takes in as it is.
///
/// Rows come sorted, or nearly so, and are so many that they would fill buffers at once. A row in a table of its own costs 0.1 us
/// (10 M rows of 26 bytes, by the million); through a write batch, a buffer and a flush it was 0.8 us. What such a store holds
/// nobody relies on after a failure, so that the families come one after the other does not matter.
struct RocksDBBulk {
  /// Fewer rows than this go into buffers: a file of its own has a price too, and so has every file that is looked into.
  static let leastRows = 4096
  /// More rows than this become two tables, by two threads, in a family that has none yet: both lie in its lowest level then, and a key is
  /// still looked for in one of them. The end of a short job with its only checkpoint, 100,000 rows, took 24 ms, and 18 so and without a copy
  /// of rows that come sorted.
  static let leastSplitRows = 32_768

  private let database: RocksDBDatabase

  /// nil if the batch is not for tables: it is small, or removes ranges.
  init?(_ batch: WriteBatch, _ database: RocksDBDatabase) {
    guard batch.count >= RocksDBBulk.leastRows else { return nil }
    for operation in batch.operations {
      if case .removeRange = operation { return nil }
    }
    self.database = database
  }

  /// `file`: a name for a new file in the store's folder, per family and part.
  func write(_ batch: WriteBatch, file: (_ family: Int, _ part: Int) -> String) throws(EngineError) {
    for index in 0..<batch.familyBound {
      guard let family = database.families[index] else { continue }
      let parts = parts(of: batch, StoreFamily(UInt8(index)), isSplit: isEmpty(family))
      let files = parts.indices.map { file(index, $0) }
      switch parts.count {
      case 0: continue
      case 1: try make(files[0], parts[0])
      default:
        let second = try BackgroundWork("writing a table") { () throws(EngineError) in try make(files[1], parts[1]) }
        do throws(EngineError) { try make(files[0], parts[0]) } catch {
          // Nothing of the batch may be read any more.
          try? second.wait()
          throw error
        }
        try second.wait()
      }
      try takeIn(files, family)
    }
  }

  private func isEmpty(_ family: OpaquePointer) -> Bool {
    database.number("rocksdb.total-sst-files-size", of: family) == 0
  }

  /// The rows of a family in the order of their keys, each key once; in halves if they are many and may be.
  private func parts(of batch: WriteBatch, _ family: StoreFamily, isSplit: Bool) -> [RocksDBRows] {
    let all = RocksDBRows(batch, family)
    let isSplit = isSplit && batch.count >= RocksDBBulk.leastSplitRows
    if batch.isSorted {
      // Of one family, which is the last that is mentioned; to see the order in 100,000 rows took 1 ms.
      if Int(family.index) + 1 < batch.familyBound { return [] }
      let half = batch.count / 2 & -WriteBatch.markedEvery
      return isSplit ? [all.prefix(half), RocksDBRows(batch, family, from: half)] : [all]
    }
    let half = isSplit ? batch.count / 2 : Int.max
    var rows = all
    var second: RocksDBRows?
    var last: UnsafeRawBufferPointer?
    while true {
      if rows.passed == half { second = rows }
      guard let row = rows.next() else { break }
      if let last, !last.isBefore(row.key) { return [all.sorted()] }
      last = row.key
    }
    if rows.passed == 0 { return [] }
    if let second, second.passed < rows.passed { return [all.prefix(half), second] }
    return [all]
  }

  private func make(_ path: String, _ rows: RocksDBRows) throws(EngineError) {
    let environment: OpaquePointer = rocksdb_envoptions_create()
    let writer: OpaquePointer = martlet_internal_sstfilewriter_create(environment, database.settings.options)
    defer {
      rocksdb_sstfilewriter_destroy(writer)
      rocksdb_envoptions_destroy(environment)
    }
    try checked("write", database.path) { rocksdb_sstfilewriter_open(writer, path, $0) }
    var rows = rows
    while let row = rows.next() {
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

  private func takeIn(_ files: [String], _ family: OpaquePointer) throws(EngineError) {
    let options: OpaquePointer = rocksdb_ingestexternalfileoptions_create()
    defer { rocksdb_ingestexternalfileoptions_destroy(options) }
    rocksdb_ingestexternalfileoptions_set_move_files(options, 1)
    try checked("write", database.path) { message in
      RocksDBDatabase.withCStrings(files) { files in
        rocksdb_ingest_external_file_cf(
          database.database, family, files.baseAddress, files.count, options, message)
      }
    }
  }
}

/// Rows of one family of a batch, one after the other: as they come in it, or in an order of their own.
struct RocksDBRows: @unchecked Sendable {
  // The batch does not change meanwhile; each copy goes through it by itself.
  struct Row {
    var key: UnsafeRawBufferPointer
    /// nil: the key is removed.
    var value: UnsafeRawBufferPointer?
  }

  private var operations: WriteBatch.Operations
  private let family: StoreFamily
  private var order: [Row]?
  /// How many rows came.
  private(set) var passed = 0
  private var end = Int.max

  /// `number`: of the change to begin with, one that the batch can be read from.
  init(_ batch: WriteBatch, _ family: StoreFamily, from number: Int = 0) {
    operations = batch.operations(from: number)
    self.family = family
  }

  mutating func next() -> Row? {
    if passed >= end { return nil }
    if let order {
      guard passed < order.count else { return nil }
      defer { passed += 1 }
      return order[passed]
    }
    while let operation = operations.next() {
      switch operation {
      case .put(family, let key, let value):
        passed += 1
        return Row(key: key, value: value)
      case .remove(family, let key):
        passed += 1
        return Row(key: key, value: nil)
      case .put, .remove, .removeRange: continue
      }
    }
    return nil
  }

  /// The first of them only.
  func prefix(_ count: Int) -> RocksDBRows {
    var rows = self
    rows.end = count
    return rows
  }

  /// All that are left, by key; of those with one key the last one.
  func sorted() -> RocksDBRows {
    var rows = self
    var found: [(row: Row, number: Int)] = []
    while let row = rows.next() { found.append((row, found.count)) }
    found.sort { a, b in
      if a.row.key.isBefore(b.row.key) { return true }
      return !b.row.key.isBefore(a.row.key) && a.number < b.number
    }
    var order: [Row] = []
    order.reserveCapacity(found.count)
    for index in found.indices {
      if index + 1 < found.count, !found[index].row.key.isBefore(found[index + 1].row.key) { continue }
      order.append(found[index].row)
    }
    rows = self
    rows.order = order
    return rows
  }
}
