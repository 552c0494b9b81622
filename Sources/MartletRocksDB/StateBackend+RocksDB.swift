import Martlet

extension StateBackend {
  /// In RocksDB, what is used of it in memory: state may be much larger than memory, and a checkpoint adds what has changed.
  public static let rocksDB = StateBackend(RocksDBBackend())
}
