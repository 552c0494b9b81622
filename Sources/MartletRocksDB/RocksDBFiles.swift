import CRocksDBShim
import Martlet

/// The files of one store: a write of theirs that fails ends the store, not the process (`martlet_rocksdb.h` tells how).
final class RocksDBFiles: @unchecked Sendable {
  // Constant, and what is behind it may be used by several threads.
  private let files: OpaquePointer

  /// What is in the store's folder is on the disk when RocksDB says so, if it is logged; else its tables, which copies share, and no more.
  init(_ store: StoreOptions) {
    let fault: martlet_internal_fault = {
      do throws(EngineError) {
        try FaultPoint.storeFileChange.reach()
        return 0
      } catch {
        return 1
      }
    }
    files = martlet_internal_files_create(fault, store.isLogged ? nil : store.path)
  }

  deinit { martlet_internal_files_destroy(files) }

  /// For everything that is opened with the options from now on. They may not outlive the files.
  func use(_ options: OpaquePointer) { martlet_internal_files_use(files, options) }

  /// The first failure of which RocksDB was not told; whatever it said since counts for nothing.
  var failure: RocksDBError? { martlet_internal_files_failure(files).map { RocksDBError(text: String(cString: $0)) } }
}
