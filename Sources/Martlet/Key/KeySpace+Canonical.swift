// Keys by their canonical bytes: what a snapshot holds, and how keys come back from it.

extension KeySpace {
  /// The canonical bytes of the key of `slot`.
  func canonicalBytes(of slot: UInt32) -> [UInt8] {
    var bytes: [UInt8] = []
    appendCanonicalBytes(of: slot, to: &bytes)
    return bytes
  }

  func appendCanonicalBytes(of slot: UInt32, to bytes: inout [UInt8]) {
    switch schema.form {
    case .integer:
      KeyEncoding.append(integer: slots.integerKeys[Int(slot)], schema.parts[0].keyClass, to: &bytes)
    case .bytes:
      KeyEncoding.append(bytes: (slots.byteKeys + Int(slot)).bytes, schema.parts[0].keyClass, to: &bytes)
    case .encoded:
      bytes.append(contentsOf: (slots.byteKeys + Int(slot)).bytes)
    }
  }

  /// The slot of the key with these canonical bytes, a new one if it has none. Nil if they are not those of a key of this
  /// schema.
  func intern(canonical bytes: [UInt8]) -> UInt32? {
    withHeldKey(bytes) { key in
      var key = key
      var slot: UInt32 = 0
      if schema.form == .integer {
        integers.intern(&key, &slot, count: 1, slots)
      } else {
        byteStrings.intern(&key, &slot, count: 1, slots)
      }
      return slot
    }
  }

  /// The slot of the key of row 0 of a batch that has the key columns, if it has one. Throws `.schemaMismatch` or `.keyType` if
  /// the columns are not those of a key here, `.nullKey` if the key is null.
  func find(_ columns: [String], of batch: RecordBatch) throws(EngineError) -> UInt32? {
    let other = try KeySchema(columns, in: batch.schema)
    for (mine, theirs) in zip(schema.parts, other.parts) where mine.keyClass != theirs.keyClass {
      throw EngineError(
        .keyType,
        "the key column '\(mine.name)' is \(schema.schema.fields[mine.column].type), and a key of it cannot be looked up with a "
          + "\(batch.schema.fields[theirs.column].type)")
    }
    var reader = KeyReader(other)
    var key = KeyRef(integer: 0)
    var slot: UInt32 = 0
    _ = reader.read(batch, RowSelection(start: 0, count: 1), into: &key, &slot)
    guard slot != Slot.none else { throw EngineError(.nullKey, "the key to look up is null") }
    return withExtendedLifetime(reader) {
      if schema.form == .integer { return integers.find(key.integer) }
      return byteStrings.find(UnsafeRawBufferPointer(start: key.bytes, count: key.count), slots)
    }
  }

  /// Calls `body` with the key as the table holds it; nil for bytes that are no key of this schema.
  private func withHeldKey<Result>(_ bytes: [UInt8], _ body: (KeyRef) -> Result) -> Result? {
    bytes.withUnsafeBytes { canonical in
      guard KeyEncoding.isKey(canonical, schema.parts.map(\.keyClass)) else { return nil }
      var rest = canonical[...]
      switch schema.form {
      case .integer:
        guard case .integer(let value) = KeyEncoding.decodePart(schema.parts[0].keyClass, from: &rest) else {
          return nil
        }
        return body(KeyRef(integer: value))
      case .bytes:
        guard case .bytes(let value) = KeyEncoding.decodePart(schema.parts[0].keyClass, from: &rest) else { return nil }
        return value.withUnsafeBytes {
          body(KeyRef(bytes: $0.baseAddress ?? canonical.baseAddress.unsafelyUnwrapped, count: $0.count))
        }
      case .encoded:
        return body(KeyRef(bytes: canonical.baseAddress.unsafelyUnwrapped, count: canonical.count))
      }
    }
  }
}

extension KeyEncoding {
  /// How many bytes of these the key with parts of these classes takes that they begin with; nil if they do not begin with one.
  static func size(_ bytes: UnsafeRawBufferPointer, _ classes: [KeyClass]) -> Int? {
    var rest = bytes[...]
    for keyClass in classes {
      guard let tag = rest.first, tag == keyClass.tag, let size = partSize(keyClass, rest), size <= rest.count else {
        return nil
      }
      rest = rest.dropFirst(size)
    }
    return bytes.count - rest.count
  }

  /// Whether bytes from outside are the encoding of one key with parts of these classes, so that they can be decoded.
  static func isKey(_ bytes: UnsafeRawBufferPointer, _ classes: [KeyClass]) -> Bool {
    !classes.isEmpty && size(bytes, classes) == bytes.count
  }

  private static func partSize(_ keyClass: KeyClass, _ bytes: Slice<UnsafeRawBufferPointer>) -> Int? {
    switch keyClass {
    case .bool: return 2
    case .signed, .unsigned: return 10
    case .date: return 9
    case .time, .duration, .timestamp: return 13
    case .decimal: return 18
    case .null: return nil
    case .utf8, .binary:
      var position = bytes.startIndex + 1
      while position + 1 < bytes.endIndex {
        guard bytes[position] == 0 else {
          position += 1
          continue
        }
        if bytes[position + 1] == 1 { return position + 2 - bytes.startIndex }
        guard bytes[position + 1] == 0xFF else { return nil }
        position += 2
      }
      return nil
    }
  }
}

extension KeyClass {
  fileprivate var tag: UInt8 {
    switch self {
    case .bool: KeyEncoding.Tag.bool
    case .signed, .unsigned: KeyEncoding.Tag.integer
    case .date: KeyEncoding.Tag.date
    case .time: KeyEncoding.Tag.time
    case .duration: KeyEncoding.Tag.duration
    case .timestamp(_, let zoned): zoned ? KeyEncoding.Tag.zonedTimestamp : KeyEncoding.Tag.timestamp
    case .decimal: KeyEncoding.Tag.decimal
    case .utf8: KeyEncoding.Tag.utf8
    case .binary: KeyEncoding.Tag.binary
    case .null: 0
    }
  }
}
