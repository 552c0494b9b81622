/// Bytes of a file format, in the order they are written. Numbers are little-endian; a text is its length in bytes (4) and
/// its UTF-8.
struct ByteWriter {
  var bytes: [UInt8] = []

  mutating func integer<Value: FixedWidthInteger>(_ value: Value) {
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }

  mutating func text(_ text: String) {
    integer(UInt32(text.utf8.count))
    bytes.append(contentsOf: text.utf8)
  }

  /// A length (4) and so many bytes.
  mutating func short(_ block: some Collection<UInt8>) {
    integer(UInt32(block.count))
    bytes.append(contentsOf: block)
  }

  /// A length (8) and so many bytes.
  mutating func long(_ block: some Collection<UInt8>) {
    integer(UInt64(block.count))
    bytes.append(contentsOf: block)
  }
}

/// Reads what a `ByteWriter` wrote. Never reads past the end, whatever the bytes are.
struct ByteReader {
  /// The bytes ended too early, or are no text.
  struct Malformed: Error {}

  let bytes: UnsafeRawBufferPointer
  private(set) var offset = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  var isAtEnd: Bool { offset == bytes.count }

  mutating func take(_ count: Int) throws(Malformed) -> UnsafeRawBufferPointer {
    guard count >= 0, count <= bytes.count - offset else { throw Malformed() }
    defer { offset += count }
    return UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + count)])
  }

  mutating func integer<Value: FixedWidthInteger & BitwiseCopyable>(_: Value.Type) throws(Malformed) -> Value {
    Value(littleEndian: try take(MemoryLayout<Value>.size).loadUnaligned(as: Value.self))
  }

  mutating func text() throws(Malformed) -> String {
    let block = try short()
    guard UTF8Check.isValid(block) else { throw Malformed() }
    return String(decoding: block, as: UTF8.self)
  }

  mutating func short() throws(Malformed) -> UnsafeRawBufferPointer { try take(Int(try integer(UInt32.self))) }

  mutating func long() throws(Malformed) -> UnsafeRawBufferPointer {
    try take(Int(clamping: try integer(UInt64.self)))
  }
}
