/// The frame around the bytes of a file: magic, version, length, content, checksum. The snapshot of an operator has a frame of the same
/// shape.
struct CheckedBytes {
  /// 8 bytes.
  let magic: [UInt8]
  /// The newest version that is read, and the one that is written unless `write` is told an older one.
  let version: UInt32

  private static let headSize = 24
  private static let checksumSize = 8

  /// The file with what `body` writes as its content.
  func write(version older: UInt32? = nil, _ body: (inout ByteWriter) -> Void) -> [UInt8] {
    var writer = ByteWriter()
    writer.bytes += magic
    writer.integer(older ?? version)
    writer.integer(UInt32(0))
    writer.integer(UInt64(0))
    body(&writer)
    withUnsafeBytes(of: UInt64(writer.bytes.count + CheckedBytes.checksumSize).littleEndian) { length in
      writer.bytes.replaceSubrange(16..<24, with: length)
    }
    writer.integer(writer.bytes.withUnsafeBytes { StableHash.hash($0) })
    return writer.bytes
  }

  /// Gives the content, and the version that wrote it, to `body`, which has to read all of it. Throws `.storageCorrupt`, naming `path`, for bytes that are torn, corrupt
  /// or no such file, `.snapshotInvalid` for a newer version.
  func read<Content>(
    _ bytes: [UInt8], _ path: String, _ body: (inout ByteReader, UInt32) throws -> Content
  ) throws(EngineError) -> Content {
    guard bytes.count >= CheckedBytes.headSize + CheckedBytes.checksumSize else {
      throw CheckedBytes.damaged(path, "it has only \(bytes.count) bytes")
    }
    guard bytes.starts(with: magic) else { throw CheckedBytes.damaged(path, "it does not begin as such a file does") }
    let (written, length, checksum, actual) = bytes.withUnsafeBytes { bytes in
      let end = bytes.count - CheckedBytes.checksumSize
      return (
        UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self)),
        UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self)),
        UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: end, as: UInt64.self)),
        StableHash.hash(UnsafeRawBufferPointer(rebasing: bytes[..<end]))
      )
    }
    guard written >= 1, written <= version else {
      throw EngineError(
        .snapshotInvalid,
        "'\(path)' has format version \(written), this version of Martlet reads up to version \(version); restore it with the version "
          + "that wrote it, or a newer one")
    }
    guard length == UInt64(bytes.count) else {
      throw CheckedBytes.damaged(path, "it is torn: it has \(bytes.count) bytes of \(length)")
    }
    guard checksum == actual else { throw CheckedBytes.damaged(path, "its checksum does not match its content") }
    let result: Result<Content, EngineError> = bytes.withUnsafeBytes { bytes in
      let content = bytes[CheckedBytes.headSize..<(bytes.count - CheckedBytes.checksumSize)]
      var reader = ByteReader(UnsafeRawBufferPointer(rebasing: content))
      do {
        let content = try body(&reader, written)
        if reader.isAtEnd { return .success(content) }
      } catch let error as EngineError where error.kind != .internalError {
        return .failure(error)
      } catch {}
      let place = CheckedBytes.headSize + reader.offset
      return .failure(
        CheckedBytes.damaged(path, "it makes no sense at byte \(place), although its checksum is right"))
    }
    return try result.get()
  }

  static func damaged(_ path: String, _ what: String) -> EngineError {
    EngineError(.storageCorrupt, "the checkpoint file '\(path)' is damaged: \(what); restore from another checkpoint")
  }
}
