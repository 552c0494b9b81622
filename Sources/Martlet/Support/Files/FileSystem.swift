/// The seam between the engine and the disk: what checkpoints, locks and stores need of a file system, and no more.
///
/// Everything the engine writes goes through it, so that tests can put another one in its place which fails at a chosen
/// call or forgets what was not synced. What the methods promise is what POSIX does: a write is visible at once and
/// survives the process; it survives the machine only after `sync` of the file and, for its name, `syncDirectory` of the
/// folder it is in.
///
/// Errors are `.storageFailed` and name operation, path and reason; `lock` also throws `.storageInUse`.
/// Any thread may call any method.
package protocol FileSystem: Sendable {
  func open(_ path: String, _ mode: FileMode) throws(EngineError) -> any OpenFile

  /// What is at the path; nil if nothing is.
  func info(_ path: String) throws(EngineError) -> FileInfo?

  /// The names in a folder, sorted by their bytes, without `.` and `..`.
  func list(_ path: String) throws(EngineError) -> [String]

  /// Makes one folder; its parent exists, and it does not.
  func makeDirectory(_ path: String) throws(EngineError)

  /// Atomically replaces what is at `target`, if it is a file.
  func rename(_ path: String, to target: String) throws(EngineError)

  /// A second name for the same file; the new name does not exist yet.
  func link(_ path: String, to target: String) throws(EngineError)

  /// Removes a file or an empty folder; nothing there is an error.
  func remove(_ path: String) throws(EngineError)

  /// Makes the names in a folder durable.
  func syncDirectory(_ path: String) throws(EngineError)

  /// Takes the exclusive lock of the file at `path`, which is made if need be and never removed. `.storageInUse`, naming
  /// the process that has it, if it is taken, be it by this very process. The lock ends with its process, however that ends,
  /// unless a child that was forked meanwhile lives on.
  func lock(_ path: String) throws(EngineError) -> any FileLock

  /// Bytes that may still be written to the disk that `path` is on.
  func freeBytes(_ path: String) throws(EngineError) -> Int64
}

package enum FileMode: Sendable {
  /// For reading.
  case read
  /// A new file; one that exists is an error.
  case create
  /// A new file, or an existing one emptied.
  case replace
  /// At the end of what is there; the file is made if need be.
  case append
}

package struct FileInfo: Equatable, Sendable {
  package var isDirectory: Bool
  /// Bytes of a file; of no meaning for a folder.
  package var size: Int64
  /// The number by which the disk knows it: names of one file have the same. 0 where there are none.
  package var inode: UInt64
  /// The number of the disk.
  package var device: UInt64

  package init(isDirectory: Bool, size: Int64, inode: UInt64 = 0, device: UInt64 = 0) {
    self.isDirectory = isDirectory
    self.size = size
    self.inode = inode
    self.device = device
  }
}

/// A file that is open; it closes when the last reference goes. One thread at a time.
package protocol OpenFile: AnyObject {
  var path: String { get }

  /// Appends all of the bytes. After a failure some of them may be there, and every later write or sync is refused: the
  /// kernel may have dropped what it could not write, and would say so only once.
  func write(_ bytes: UnsafeRawBufferPointer) throws(EngineError)

  /// Puts the bytes in the place of some that were written; the file is one that was made by opening it. Fails as `write` does.
  func overwrite(at offset: Int64, with bytes: UnsafeRawBufferPointer) throws(EngineError)

  /// Fills the buffer from `offset` on; returns how many bytes there were, fewer than asked for only at the end of the file.
  func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws(EngineError) -> Int

  /// Makes what was written durable.
  func sync() throws(EngineError)

  /// Closes now and reports what the system has to say about it. Later calls do nothing.
  func close() throws(EngineError)
}

/// A lock that is held until it is released or the last reference goes.
package protocol FileLock: AnyObject, Sendable {
  func release()
}
