#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The file system of the machine.
package struct PosixFileSystem: FileSystem {
  package init() {}

  package func open(_ path: String, _ mode: FileMode) throws(EngineError) -> any OpenFile {
    let (flags, operation) =
      switch mode {
      case .read: (O_RDONLY, "open")
      case .create: (O_WRONLY | O_CREAT | O_EXCL, "create")
      case .replace: (O_WRONLY | O_CREAT | O_TRUNC, "create")
      case .append: (O_WRONLY | O_CREAT | O_APPEND, "open for appending")
      }
    return PosixFile(path, try descriptor(path, flags, operation))
  }

  package func info(_ path: String) throws(EngineError) -> FileInfo? {
    var status = stat()
    guard stat(path, &status) == 0 else {
      if errno == ENOENT { return nil }
      throw SystemError.last("look at", path)
    }
    return FileInfo(
      isDirectory: status.st_mode & S_IFMT == S_IFDIR, size: Int64(status.st_size), inode: UInt64(status.st_ino),
      device: UInt64(truncatingIfNeeded: status.st_dev))
  }

  package func list(_ path: String) throws(EngineError) -> [String] {
    guard let folder = opendir(path) else { throw SystemError.last("list", path) }
    defer { closedir(folder) }
    var names: [String] = []
    while true {
      errno = 0
      guard let entry = readdir(folder) else { break }
      let name = withUnsafePointer(to: &entry.pointee.d_name) { field in
        field.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: field.pointee)) {
          String(cString: $0)
        }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    guard errno == 0 else { throw SystemError.last("list", path) }
    return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  package func makeDirectory(_ path: String) throws(EngineError) {
    guard mkdir(path, 0o777) == 0 else { throw SystemError.last("make the directory", path) }
  }

  package func rename(_ path: String, to target: String) throws(EngineError) {
    guard renameFile(path, target) == 0 else { throw SystemError.last("rename '\(path)' to", target) }
  }

  package func link(_ path: String, to target: String) throws(EngineError) {
    guard linkFile(path, target) == 0 else { throw SystemError.last("link '\(path)' to", target) }
  }

  package func remove(_ path: String) throws(EngineError) {
    guard removeFile(path) == 0 else { throw SystemError.last("remove", path) }
  }

  package func syncDirectory(_ path: String) throws(EngineError) {
    let folder = try descriptor(path, O_RDONLY | O_DIRECTORY, "open")
    defer { closeDescriptor(folder) }
    guard retrying({ fsync(folder) }) == 0 else { throw SystemError.last("sync", path) }
  }

  package func freeBytes(_ path: String) throws(EngineError) -> Int64 {
    var status = statvfs()
    guard statvfs(path, &status) == 0 else { throw SystemError.last("look at the free space of", path) }
    return Int64(
      clamping: UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize)).partialValue)
  }

  package func lock(_ path: String) throws(EngineError) -> any FileLock {
    let file = try descriptor(path, O_RDWR | O_CREAT, "open")
    let lock = PosixFileLock(file)
    guard retrying({ flock(file, LOCK_EX | LOCK_NB) }) == 0 else {
      guard errno == EWOULDBLOCK else { throw SystemError.last("lock", path) }
      let owner = lock.owner()
      let holder =
        switch owner {
        case nil: "another process"
        case getpid(): "this process (\(getpid()))"
        case .some(let owner): "process \(owner)"
        }
      throw EngineError(
        .storageInUse,
        "'\(FilePath.parent(path))' is in use by \(holder), which holds the lock '\(path)'; wait for it to end, or choose "
          + "another directory")
    }
    try lock.writeOwner(path)
    return lock
  }

  private func descriptor(_ path: String, _ flags: Int32, _ operation: String) throws(EngineError) -> Int32 {
    let file = retrying { openDescriptor(path, flags | O_CLOEXEC) }
    guard file >= 0 else { throw SystemError.last(operation, path) }
    return file
  }
}

/// An open file of the machine: one descriptor, closed exactly once.
private final class PosixFile: OpenFile {
  let path: String
  private var descriptor: Int32
  private var hasFailed = false

  init(_ path: String, _ descriptor: Int32) {
    self.path = path
    self.descriptor = descriptor
  }

  deinit { if descriptor >= 0 { closeDescriptor(descriptor) } }

  func write(_ bytes: UnsafeRawBufferPointer) throws(EngineError) {
    try check("write")
    var rest = bytes
    while let start = rest.baseAddress, !rest.isEmpty {
      let count = writeDescriptor(descriptor, start, rest.count)
      if count < 0 {
        if errno == EINTR { continue }
        hasFailed = true
        throw SystemError.last("write \(bytes.count) bytes to", path)
      }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
  }

  func overwrite(at offset: Int64, with bytes: UnsafeRawBufferPointer) throws(EngineError) {
    try check("write")
    var done = 0
    while let start = bytes.baseAddress, done < bytes.count {
      let count = pwrite(descriptor, start + done, bytes.count - done, off_t(offset) + off_t(done))
      if count < 0 {
        if errno == EINTR { continue }
        hasFailed = true
        throw SystemError.last("write \(bytes.count) bytes to", path)
      }
      done += count
    }
  }

  func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws(EngineError) -> Int {
    try check("read")
    guard let start = buffer.baseAddress else { return 0 }
    var filled = 0
    while filled < buffer.count {
      let count = pread(descriptor, start + filled, buffer.count - filled, off_t(offset) + off_t(filled))
      if count < 0 {
        if errno == EINTR { continue }
        throw SystemError.last("read", path)
      }
      if count == 0 { break }
      filled += count
    }
    return filled
  }

  func sync() throws(EngineError) {
    try check("sync")
    guard retrying({ fsync(descriptor) }) == 0 else {
      hasFailed = true
      throw SystemError.last("sync", path)
    }
  }

  func close() throws(EngineError) {
    guard descriptor >= 0 else { return }
    let file = descriptor
    descriptor = -1
    // EINTR too has closed it, on Linux.
    guard closeDescriptor(file) == 0 || errno == EINTR else { throw SystemError.last("close", path) }
  }

  private func check(_ operation: String) throws(EngineError) {
    guard descriptor >= 0 else {
      throw EngineError(.internalError, "cannot \(operation) '\(path)': it was closed. Please report this")
    }
    if hasFailed {
      throw EngineError(
        .storageFailed, "cannot \(operation) '\(path)': writing it failed before, so its content is not known")
    }
  }
}

/// The lock on a file, in which the process that holds it writes its number for the others' messages.
private final class PosixFileLock: FileLock {
  private let descriptor: Int32

  init(_ descriptor: Int32) { self.descriptor = descriptor }

  deinit { closeDescriptor(descriptor) }

  /// The number in the file, if there is a sensible one.
  func owner() -> Int32? {
    var text = [UInt8](repeating: 0, count: 16)
    let count = text.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, 0) }
    guard count > 0, let line = text[..<count].split(separator: UInt8(ascii: "\n")).first else { return nil }
    return Int32(String(decoding: line, as: UTF8.self))
  }

  func writeOwner(_ path: String) throws(EngineError) {
    let text = Array("\(getpid())\n".utf8)
    guard ftruncate(descriptor, 0) == 0, pwrite(descriptor, text, text.count, 0) == text.count else {
      throw SystemError.last("write the number of this process to", path)
    }
  }

  /// By hand and not by closing: a child of this process may share the descriptor.
  func release() { _ = flock(descriptor, LOCK_UN) }
}

/// Calls again what a signal has interrupted.
private func retrying(_ call: () -> Int32) -> Int32 {
  while true {
    let result = call()
    if result != -1 || errno != EINTR { return result }
  }
}

// The system's functions by names that the methods above do not hide.
private func openDescriptor(_ path: String, _ flags: Int32) -> Int32 { open(path, flags, 0o666) }
@discardableResult
private func closeDescriptor(_ descriptor: Int32) -> Int32 { close(descriptor) }
private func writeDescriptor(_ descriptor: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
  write(descriptor, bytes, count)
}
private func renameFile(_ path: String, _ target: String) -> Int32 { rename(path, target) }
private func linkFile(_ path: String, _ target: String) -> Int32 { link(path, target) }
private func removeFile(_ path: String) -> Int32 { remove(path) }
