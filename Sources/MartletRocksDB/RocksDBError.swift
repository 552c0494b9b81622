import CRocksDB
import Martlet

/// What RocksDB said, as an error of the engine.
///
/// The C interface gives a status as text only: the code's name first ("IO error: ", "Corruption: "), then the message. The
/// names are part of what RocksDB keeps stable.
struct RocksDBError {
  private let text: String

  init(text: String) { self.text = text }

  /// Takes the message over; nil if there is none.
  init?(_ message: UnsafeMutablePointer<CChar>?) {
    guard let message else { return nil }
    text = String(cString: message)
    rocksdb_free(message)
  }

  /// Whether it is about a compression that this build of RocksDB does not have.
  var isAboutCompression: Bool { text.hasPrefix("Invalid argument: Compression type") }

  func engineError(_ operation: String, _ path: String) -> EngineError {
    let said = "cannot \(operation) the store at '\(path)': \(text)"
    if text.contains("lock hold by current process") || text.contains("While lock file:") && isLockTaken {
      return EngineError(
        .storageInUse,
        "cannot \(operation) the store at '\(path)': it is open already, in this process or another one; wait for that to end, "
          + "or choose another directory (\(text))")
    }
    // A file that the store's manifest names and that is gone is damage, whatever the call that noticed says.
    if text.hasPrefix("Corruption:") || text.hasPrefix("IO error: No such file") && !operation.hasPrefix("copy") {
      return EngineError(.storageCorrupt, said + "; its files are damaged or missing: restore from a checkpoint")
    }
    if text.contains("No space left on device") {
      return EngineError(.storageFailed, said + "; make room on that disk, then start again")
    }
    if text.contains("File too large") {
      return EngineError(.storageFailed, said + "; raise the limit of a file's size (ulimit -f)")
    }
    if text.contains("Permission denied") || text.contains("Read-only file system") {
      return EngineError(.storageFailed, said + "; choose a directory that this user can write")
    }
    if text.contains("Too many open files") {
      return EngineError(.storageFailed, said + "; raise the limit of open files (ulimit -n)")
    }
    if text.hasPrefix("Invalid argument:") || text.hasPrefix("Not implemented:") {
      return EngineError(.invalidArgument, said)
    }
    return EngineError(.storageFailed, said)
  }

  private var isLockTaken: Bool {
    text.contains("Resource temporarily unavailable") || text.contains("No locks available")
  }
}

/// Calls a function of the C interface, which reports failure through its last argument.
func checked<Result>(
  _ operation: String, _ path: String, _ call: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
) throws(EngineError) -> Result {
  var message: UnsafeMutablePointer<CChar>?
  let result = call(&message)
  if let error = RocksDBError(message) { throw error.engineError(operation, path) }
  return result
}
