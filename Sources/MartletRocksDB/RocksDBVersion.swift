import CRocksDBShim

/// The RocksDB library that this process runs with.
public enum RocksDB {
  /// Its version, such as `7.8.3`.
  public static var version: String { String(cString: martlet_internal_rocksdb_version()) }

  /// The same as a static C string.
  package static var versionCString: UnsafePointer<CChar> { martlet_internal_rocksdb_version() }
}
