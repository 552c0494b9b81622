/// What is made of the calls of a `FileSystem`, and so fails and crashes wherever they do.
extension FileSystem {
  /// The whole file.
  package func contents(_ path: String) throws(EngineError) -> [UInt8] {
    let file = try open(path, .read)
    guard let info = try info(path) else { throw FilePath.missing(path) }
    var bytes = [UInt8](repeating: 0, count: Int(info.size))
    var filled = 0
    while filled < bytes.count {
      let count = try readPart(file, &bytes, filled)
      // It became shorter since it was asked for its size.
      if count == 0 { break }
      filled += count
    }
    bytes.removeLast(bytes.count - filled)
    return bytes
  }

  private func readPart(_ file: any OpenFile, _ bytes: inout [UInt8], _ from: Int) throws(EngineError) -> Int {
    var result: Result<Int, EngineError> = .success(0)
    bytes.withUnsafeMutableBytes { buffer in
      do throws(EngineError) {
        result = .success(
          try file.read(at: Int64(from), into: UnsafeMutableRawBufferPointer(rebasing: buffer[from...])))
      } catch { result = .failure(error) }
    }
    return try result.get()
  }

  /// Writes the bytes to a file, in the mode it is opened with, and syncs it.
  package func write(_ bytes: [UInt8], to path: String, _ mode: FileMode = .create) throws(EngineError) {
    let file = try open(path, mode)
    try file.write(bytes)
    try file.sync()
    try file.close()
  }

  /// Puts a file with these bytes at `path`: whatever happens, there is the old content or the new one, whole.
  ///
  /// 1. The bytes go to `path.new`, synced. A crash leaves the old file, and a `path.new` that the next call overwrites.
  /// 2. `path.new` is renamed to `path`. A crash of the process leaves the new file; one of the machine the old or the new.
  /// 3. The folder is synced. From here on the new file is there for good.
  package func replaceFile(_ path: String, with bytes: [UInt8]) throws(EngineError) {
    let fresh = path + ".new"
    try write(bytes, to: fresh, .replace)
    try FaultPoint.fileBeforeRename.reach()
    try rename(fresh, to: path)
    try FaultPoint.fileAfterRename.reach()
    try syncDirectory(FilePath.parent(path))
  }

  /// Makes a folder and those above it that are missing, durably. That it exists is fine.
  package func makeDirectories(_ path: String) throws(EngineError) {
    if let info = try info(path) {
      guard info.isDirectory else {
        throw EngineError(.storageFailed, "cannot make the directory '\(path)': there is a file of that name")
      }
      return
    }
    let parent = FilePath.parent(path)
    if parent != path { try makeDirectories(parent) }
    do throws(EngineError) { try makeDirectory(path) } catch {
      // Another process, such as the next worker of the same job, may have made it meanwhile.
      guard let info = try info(path), info.isDirectory else { throw error }
    }
    try syncDirectory(parent)
  }

  /// Removes a file, or a folder with all that is in it. That nothing is there is fine.
  package func removeTree(_ path: String) throws(EngineError) {
    guard let info = try info(path) else { return }
    if info.isDirectory {
      for name in try list(path) { try removeTree(FilePath.join(path, name)) }
    }
    try remove(path)
  }

  /// Copies the content of a file to a new one, synced.
  package func copyFile(_ path: String, to target: String) throws(EngineError) {
    let source = try open(path, .read)
    let copy = try open(target, .create)
    let block = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
    defer { block.deallocate() }
    var offset: Int64 = 0
    while true {
      let count = try source.read(at: offset, into: block)
      if count == 0 { break }
      try copy.write(UnsafeRawBufferPointer(rebasing: block[..<count]))
      offset += Int64(count)
    }
    try copy.sync()
    try copy.close()
  }
}

extension OpenFile {
  package func write(_ bytes: [UInt8]) throws(EngineError) {
    try with(bytes) { bytes throws(EngineError) in try write(bytes) }
  }

  package func overwrite(at offset: Int64, with bytes: [UInt8]) throws(EngineError) {
    try with(bytes) { bytes throws(EngineError) in try overwrite(at: offset, with: bytes) }
  }

  private func with(
    _ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws(EngineError) -> Void
  ) throws(EngineError) {
    var failure: EngineError?
    bytes.withUnsafeBytes { buffer in
      do throws(EngineError) { try body(buffer) } catch { failure = error }
    }
    if let failure { throw failure }
  }
}

/// Paths as text, with `/` between the names.
package enum FilePath {
  package static func join(_ folder: String, _ name: String) -> String {
    folder.utf8.last == UInt8(ascii: "/") ? folder + name : folder + "/" + name
  }

  /// The folder that a path is in: `.` for a mere name.
  package static func parent(_ path: String) -> String {
    var bytes = Substring(path).utf8
    let slash = UInt8(ascii: "/")
    while bytes.count > 1, bytes.last == slash { bytes.removeLast() }
    guard let cut = bytes.lastIndex(of: slash) else { return "." }
    bytes = bytes[..<cut]
    while bytes.count > 1, bytes.last == slash { bytes.removeLast() }
    return bytes.isEmpty ? "/" : String(Substring(bytes))
  }

  /// The last name of a path.
  package static func name(_ path: String) -> String {
    let names = path.utf8.split(separator: UInt8(ascii: "/"))
    return names.last.map { String(Substring($0)) } ?? path
  }

  static func missing(_ path: String) -> EngineError {
    EngineError(.storageFailed, "cannot read '\(path)': no such file or directory")
  }
}
