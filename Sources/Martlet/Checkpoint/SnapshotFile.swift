/// A snapshot in its file, which stays readable also where the file is removed meanwhile.
struct SnapshotFile {
  let path: String
  let header: SnapshotHeader
  private let file: any OpenFile
  private let size: Int64

  /// Looks at the frame, in the order that `docs/design/snapshot.md` gives, and at the header. `content` is the hash of all that comes
  /// before the checksum, for a file that is not known to be whole. Throws `.snapshotInvalid` for what is no sound snapshot, `.storageFailed`
  /// where it cannot be read.
  init(_ path: String, content: UInt64? = nil, _ files: any FileSystem) throws(EngineError) {
    guard let info = try files.info(path) else { throw FilePath.missing(path) }
    (self.path, size, file) = (path, info.size, try files.open(path, .read))
    header = try SnapshotFileReader(path, file, size, content: content).header
  }

  /// Its keys, from the first one on.
  func keys() throws(EngineError) -> SnapshotFileReader { try SnapshotFileReader(path, file, size) }
}

/// Reads a snapshot's file, with the part that is read in memory.
final class SnapshotFileReader: SnapshotKeySource {
  let header: SnapshotHeader
  private let window: FileWindow
  private var remainingKeys: UInt64

  fileprivate init(
    _ path: String, _ file: any OpenFile, _ size: Int64, content: UInt64? = nil
  ) throws(EngineError) {
    let window = FileWindow(path, file, end: max(size - Int64(SnapshotFormat.checksumSize), 0))
    self.window = window
    let version = try SnapshotFileReader.checkFrame(window, size, content)
    (header, remainingKeys) = try window.parse { reader throws(ByteReader.Malformed) in
      (try reader.header(version), try reader.integer(UInt64.self))
    }
    if header.keySource == nil, header.second == nil, remainingKeys > 0 { throw window.malformed }
  }

  private static func checkFrame(
    _ window: FileWindow, _ size: Int64, _ content: UInt64?
  ) throws(EngineError) -> UInt32 {
    let (version, length) = try window.parse { reader throws(ByteReader.Malformed) in
      let isSnapshot = try reader.take(SnapshotFormat.magic.count).elementsEqual(SnapshotFormat.magic)
      let version = try reader.integer(UInt32.self)
      _ = try reader.take(SnapshotFormat.lengthAt - SnapshotFormat.magic.count - 4)
      return (isSnapshot ? version : 0, try reader.integer(UInt64.self))
    }
    guard version >= 1, version <= SnapshotFormat.version else {
      throw EngineError(
        .snapshotInvalid,
        version == 0
          ? "'\(window.path)' is no snapshot of Martlet"
          : "'\(window.path)' has format version \(version), this version of Martlet reads up to version \(SnapshotFormat.version)"
      )
    }
    guard length == UInt64(size) else {
      throw EngineError(
        .snapshotInvalid,
        "'\(window.path)' is torn: it has \(size) bytes of \(length); restore from another checkpoint")
    }
    if let content, try window.checksum() != content {
      throw EngineError(
        .snapshotInvalid,
        "'\(window.path)' is corrupt: its checksum does not match its \(size) bytes; restore from another checkpoint")
    }
    return version
  }

  func next() throws(EngineError) -> SnapshotKey? {
    guard remainingKeys > 0 else {
      guard window.isAtEnd else { throw window.malformed }
      return nil
    }
    remainingKeys -= 1
    let states = header.states.count
    return try window.parse { reader throws(ByteReader.Malformed) in try reader.key(states: states) }
  }
}

/// The content of a snapshot's file, up to its checksum, of which as much is in memory as is needed to read on.
private final class FileWindow {
  let path: String
  private let file: any OpenFile
  /// Of the file, where the checksum begins.
  private let end: Int64
  /// Where the next bytes are read from.
  private var fileOffset: Int64 = 0
  private var memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 8)
  private var used = 0..<0

  init(_ path: String, _ file: any OpenFile, end: Int64) { (self.path, self.file, self.end) = (path, file, end) }

  deinit { memory.deallocate() }

  var isAtEnd: Bool { used.isEmpty && fileOffset == end }

  /// What is written behind the content.
  func checksum() throws(EngineError) -> UInt64 {
    var checksum: UInt64 = 0
    let result: Result<Int, EngineError> = withUnsafeMutableBytes(of: &checksum) { bytes in
      do throws(EngineError) { return .success(try file.read(at: end, into: bytes)) } catch { return .failure(error) }
    }
    _ = try result.get()
    return UInt64(littleEndian: checksum)
  }

  var malformed: EngineError {
    EngineError(
      .snapshotInvalid,
      "'\(path)' makes no sense at byte \(fileOffset - Int64(used.count)), although its checksum is right; restore from another checkpoint"
    )
  }

  /// Reads what `body` reads at once: where the bytes in memory end too early, it is called again with more of them.
  func parse<Content>(
    _ body: (inout ByteReader) throws(ByteReader.Malformed) -> Content
  ) throws(EngineError) -> Content {
    while true {
      var reader = ByteReader(UnsafeRawBufferPointer(rebasing: memory[used]))
      do throws(ByteReader.Malformed) {
        let content = try body(&reader)
        used = (used.lowerBound + reader.offset)..<used.upperBound
        return content
      } catch {
        guard try fill() else { throw malformed }
      }
    }
  }

  /// Adds to what is in memory; false at the end.
  private func fill() throws(EngineError) -> Bool {
    guard fileOffset < end else { return false }
    if used.count == memory.count {
      let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: 2 * memory.count, alignment: 8)
      larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: memory[used]))
      memory.deallocate()
      memory = larger
    } else if used.lowerBound > 0, let base = memory.baseAddress {
      base.copyMemory(from: base + used.lowerBound, byteCount: used.count)
    }
    used = 0..<used.count
    let room = min(memory.count - used.count, Int(clamping: end - fileOffset))
    let count = try file.read(
      at: fileOffset, into: UnsafeMutableRawBufferPointer(rebasing: memory[used.count..<(used.count + room)]))
    guard count > 0 else { return false }
    used = 0..<(used.count + count)
    fileOffset += Int64(count)
    return true
  }
}
