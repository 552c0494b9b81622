/// What a snapshot says before its keys: whose it is, what its bytes mean, and where time stood.
struct SnapshotHeader {
  var operatorName: String
  /// The columns that make up the key, in order.
  var keyColumns: [String]
  /// The input's schema; nil if no record had come yet, and then there are no keys.
  var schema: Schema?
  var states: [StateDescriptor]
  var watermark: Int64
  var processingTime: Int64
  /// Records of the input so far.
  var records: Int64
  /// Of an operator of two inputs.
  var second: SecondSnapshot?

  /// The schema and columns that keys were made of; nil if there can be none.
  var keySource: (schema: Schema, columns: [String])? {
    if let schema { return (schema, keyColumns) }
    guard let second, second.kind == .connect, let schema = second.schema else { return nil }
    return (schema, second.keyColumns)
  }
}

/// The state and timers of one key.
struct SnapshotKey {
  /// The canonical bytes (`KeyEncoding`).
  var key: [UInt8]
  /// What each state holds, by its number in the header, as `StateColumn.encodeEntries` writes it.
  var entries: [(state: Int, bytes: [UInt8])] = []
  /// Event time first, each domain by time, then in order of registration.
  var timers: [PendingTimer] = []
}

/// Writes the snapshot of one operator instance. The format is drawn byte by byte in `docs/design/snapshot.md`.
///
/// Keys come in the order of their canonical bytes, so that equal content has equal bytes.
struct SnapshotWriter {
  private var writer = ByteWriter()
  /// Where the number of keys is.
  let keyCountAt: Int
  private(set) var keyCount: UInt64 = 0

  init(_ header: SnapshotHeader) {
    writer.bytes.append(contentsOf: SnapshotFormat.magic)
    writer.integer(SnapshotFormat.version(of: header))
    writer.integer(UInt32(0))
    writer.integer(UInt64(0))
    writer.text(header.operatorName)
    writer.integer(UInt16(header.keyColumns.count))
    for column in header.keyColumns { writer.text(column) }
    writer.integer(UInt8(header.schema == nil ? 0 : 1))
    if let schema = header.schema { writer.schema(schema) }
    writer.integer(UInt16(header.states.count))
    for state in header.states { writer.state(state) }
    writer.integer(header.watermark)
    writer.integer(header.processingTime)
    writer.integer(header.records)
    if let second = header.second { writer.second(second) }
    keyCountAt = writer.bytes.count
    writer.integer(UInt64(0))
  }

  /// So far, without what was taken.
  var byteCount: Int { writer.bytes.count }

  /// Hands over what was written so far, for a snapshot that is not held as a whole.
  mutating func take() -> [UInt8] {
    defer { writer.bytes.removeAll(keepingCapacity: true) }
    return writer.bytes
  }

  mutating func add(_ key: SnapshotKey) {
    keyCount += 1
    writer.short(key.key)
    writer.integer(UInt16(key.entries.count))
    for (state, bytes) in key.entries {
      writer.integer(UInt16(state))
      writer.long(bytes)
    }
    writer.integer(UInt32(key.timers.count))
    for timer in key.timers {
      writer.integer(UInt8(truncatingIfNeeded: timer.domain.rawValue))
      writer.integer(timer.time)
      writer.text(timer.name ?? "")
    }
  }

  /// The complete snapshot: the number of keys and the length filled in, the checksum at the end.
  mutating func finish() -> [UInt8] {
    put(keyCount, at: keyCountAt)
    put(UInt64(writer.bytes.count + 8), at: SnapshotFormat.lengthAt)
    writer.integer(writer.bytes.withUnsafeBytes { StableHash.hash($0) })
    return writer.bytes
  }

  private mutating func put(_ value: UInt64, at offset: Int) {
    withUnsafeBytes(of: value.littleEndian) { bytes in
      for (index, byte) in bytes.enumerated() { writer.bytes[offset + index] = byte }
    }
  }
}

/// Reads a snapshot: checks it as a whole, then gives its keys one by one.
///
/// The bytes are borrowed and must live as long as the reader.
struct SnapshotReader {
  let header: SnapshotHeader
  /// Keys still to come.
  private(set) var remainingKeys: UInt64
  private var reader: ByteReader

  /// Throws `.snapshotInvalid` for bytes that are no snapshot, of a newer format, torn or corrupt.
  init(_ bytes: UnsafeRawBufferPointer) throws(EngineError) {
    let version: UInt32
    (reader, version) = try SnapshotFormat.check(bytes)
    do throws(ByteReader.Malformed) {
      header = try reader.header(version)
      remainingKeys = try reader.integer(UInt64.self)
    } catch {
      throw SnapshotFormat.malformed(at: reader.offset)
    }
    if header.schema == nil, header.second == nil, remainingKeys > 0 {
      throw SnapshotFormat.malformed(at: reader.offset)
    }
  }

  /// The next key, nil after the last one. Throws `.snapshotInvalid` where the content makes no sense.
  mutating func next() throws(EngineError) -> SnapshotKey? {
    guard remainingKeys > 0 else {
      guard reader.isAtEnd else { throw SnapshotFormat.malformed(at: reader.offset) }
      return nil
    }
    remainingKeys -= 1
    do throws(ByteReader.Malformed) {
      return try reader.key(states: header.states.count)
    } catch {
      throw SnapshotFormat.malformed(at: reader.offset)
    }
  }
}

/// The frame around a snapshot.
enum SnapshotFormat {
  static let magic = Array("MARTLET\0".utf8)
  /// The newest version; each one reads all before it.
  static let version: UInt32 = 2
  /// Operators of one input are written as they always were.
  static func version(of header: SnapshotHeader) -> UInt32 { header.second == nil ? 1 : 2 }

  static let lengthAt = 16
  static let headSize = 24
  static let checksumSize = 8

  /// The content between the fixed head and the checksum.
  fileprivate static func check(
    _ bytes: UnsafeRawBufferPointer
  ) throws(EngineError) -> (content: ByteReader, version: UInt32) {
    guard bytes.count >= magic.count, bytes.prefix(magic.count).elementsEqual(magic) else {
      throw EngineError(.snapshotInvalid, "these \(bytes.count) bytes are not a snapshot of Martlet")
    }
    guard bytes.count >= headSize + checksumSize else { throw torn(bytes.count, nil) }
    let written = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
    guard written >= 1, written <= version else {
      throw EngineError(
        .snapshotInvalid,
        "the snapshot has format version \(written), this version of Martlet reads up to version \(version); restore it with the "
          + "version that wrote it, or a newer one")
    }
    let length = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: lengthAt, as: UInt64.self))
    guard length == UInt64(bytes.count) else { throw torn(bytes.count, length) }
    let content = UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count - checksumSize)])
    let checksum = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: content.count, as: UInt64.self))
    guard checksum == StableHash.hash(content) else {
      throw EngineError(
        .snapshotInvalid,
        "the snapshot is corrupt: its checksum does not match its \(bytes.count) bytes; restore from another one")
    }
    return (ByteReader(UnsafeRawBufferPointer(rebasing: content[headSize...])), written)
  }

  private static func torn(_ count: Int, _ length: UInt64?) -> EngineError {
    let expected = length.map { "\($0)" } ?? "at least \(headSize + checksumSize)"
    return EngineError(
      .snapshotInvalid, "the snapshot is torn: it has \(count) bytes of \(expected); restore from another one")
  }

  /// The checksum is right and the content is not: written by something else.
  static func malformed(at offset: Int) -> EngineError {
    EngineError(
      .snapshotInvalid,
      "the snapshot makes no sense at byte \(headSize + offset), although its checksum is right; restore from another one"
    )
  }
}

extension ByteReader {
  mutating func header(_ version: UInt32) throws(Malformed) -> SnapshotHeader {
    let name = try text()
    var keyColumns: [String] = []
    for _ in 0..<(try integer(UInt16.self)) { keyColumns.append(try text()) }
    let schema: Schema? = try flag() ? try self.schema() : nil
    var states: [StateDescriptor] = []
    for _ in 0..<(try integer(UInt16.self)) { states.append(try state()) }
    var header = SnapshotHeader(
      operatorName: name, keyColumns: keyColumns, schema: schema, states: states, watermark: try integer(Int64.self),
      processingTime: try integer(Int64.self), records: try integer(Int64.self))
    if version >= 2 { header.second = try second() }
    return header
  }

  mutating func key(states: Int) throws(Malformed) -> SnapshotKey {
    var key = SnapshotKey(key: Array(try short()))
    for _ in 0..<(try integer(UInt16.self)) {
      let state = Int(try integer(UInt16.self))
      guard state < states else { throw Malformed() }
      key.entries.append((state, Array(try long())))
    }
    for _ in 0..<(try integer(UInt32.self)) {
      guard let domain = TimerDomain(rawValue: Int32(try integer(UInt8.self))) else { throw Malformed() }
      let time = try integer(Int64.self)
      let name = try text()
      key.timers.append(PendingTimer(domain, time, name: name.isEmpty ? nil : name))
    }
    return key
  }

  /// One byte that is 0 or 1.
  mutating func flag() throws(Malformed) -> Bool {
    switch try integer(UInt8.self) {
    case 0: false
    case 1: true
    default: throw Malformed()
    }
  }
}
