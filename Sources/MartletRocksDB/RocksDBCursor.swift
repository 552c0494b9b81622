import CRocksDB
import Martlet

/// An iterator of RocksDB, with the bounds it points into and the database it needs.
final class RocksDBCursor: StoreCursor {
  private let store: RocksDBStore
  private let database: RocksDBDatabase
  /// nil if it is closed, or if its family is not there.
  private var iterator: OpaquePointer?
  /// RocksDB keeps pointers into these options and the bounds as long as the iterator lives.
  private let options: OpaquePointer
  private let lower: UnsafeMutableRawBufferPointer
  private let upper: UnsafeMutableRawBufferPointer
  private var isOpen = true
  private var isPlaced = false

  init(_ store: RocksDBStore, _ database: RocksDBDatabase, _ family: OpaquePointer?, _ range: KeyRange) {
    self.store = store
    self.database = database
    options = rocksdb_readoptions_create()
    lower = RocksDBCursor.copy(range.lower)
    upper = RocksDBCursor.copy(range.upper ?? [])
    let isEmpty = range.upper.map { upper in !range.lower.lexicographicallyPrecedes(upper) } ?? false
    if let family, !isEmpty {
      if range.upper != nil {
        rocksdb_readoptions_set_iterate_upper_bound(options, UnsafeRawBufferPointer(upper).chars, upper.count)
      }
      iterator = rocksdb_create_iterator_cf(database.database, options, family)
    }
    store.cursorOpened()
  }

  deinit {
    close()
    rocksdb_readoptions_destroy(options)
    lower.deallocate()
    upper.deallocate()
  }

  func next() throws(EngineError) -> Bool {
    guard isOpen else {
      throw EngineError(.closed, "cannot read the store at '\(store.path)': the cursor was closed")
    }
    guard let iterator else { return false }
    if !isPlaced {
      isPlaced = true
      rocksdb_iter_seek(iterator, UnsafeRawBufferPointer(lower).chars, lower.count)
    } else if rocksdb_iter_valid(iterator) != 0 {
      rocksdb_iter_next(iterator)
    }
    if rocksdb_iter_valid(iterator) != 0 { return true }
    var message: UnsafeMutablePointer<CChar>?
    rocksdb_iter_get_error(iterator, &message)
    let said = RocksDBError(message)
    try store.checkFiles("read", database)
    if let error = said?.engineError("read", store.path) {
      store.fail(error)
      throw error
    }
    return false
  }

  var key: UnsafeRawBufferPointer {
    var size = 0
    let bytes = iterator.flatMap { rocksdb_iter_key($0, &size) }
    return UnsafeRawBufferPointer(start: bytes, count: size)
  }

  var value: UnsafeRawBufferPointer {
    var size = 0
    let bytes = iterator.flatMap { rocksdb_iter_value($0, &size) }
    return UnsafeRawBufferPointer(start: bytes, count: size)
  }

  func close() {
    guard isOpen else { return }
    isOpen = false
    if let iterator { rocksdb_iter_destroy(iterator) }
    iterator = nil
    store.cursorClosed()
  }

  private static func copy(_ bytes: [UInt8]) -> UnsafeMutableRawBufferPointer {
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    copy.copyBytes(from: bytes)
    return copy
  }
}
