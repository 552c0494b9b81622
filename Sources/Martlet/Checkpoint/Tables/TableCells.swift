// From what a checkpoint has to the cells of a table.

/// Appends keys to the columns of a table.
struct KeyCells {
  private let parts: [KeySchema.Part]
  private let classes: [KeyClass]

  init(_ schema: KeySchema?) {
    parts = schema?.parts ?? []
    classes = parts.map(\.keyClass)
  }

  /// Throws `.snapshotInvalid` for bytes that are no key of these columns.
  func append(_ key: [UInt8], to columns: ArraySlice<ColumnBuilder>) throws(EngineError) {
    guard let cells = decoded(key) else { throw KeyCells.damaged("a key is not one of its own key types") }
    for (position, (part, cell)) in zip(parts, cells).enumerated() {
      let column = columns[columns.startIndex + position]
      do throws(EngineError) { try append(part, cell, to: column) } catch {
        throw KeyCells.damaged("a key does not fit: \(error.message)")
      }
    }
  }

  private func decoded(_ key: [UInt8]) -> [KeyEncoding.Decoded]? {
    key.withUnsafeBytes { bytes in
      guard KeyEncoding.isKey(bytes, classes) else { return nil }
      var rest = bytes[...]
      return classes.map { KeyEncoding.decodePart($0, from: &rest) }
    }
  }

  private func append(
    _ part: KeySchema.Part, _ cell: KeyEncoding.Decoded, to column: ColumnBuilder
  ) throws(EngineError) {
    switch cell {
    case .integer(let value):
      switch part.keyClass {
      case .bool: try column.append(bool: value != 0)
      case .unsigned: try column.append(uint64: UInt64(bitPattern: value ^ Int64.min))
      case .date where part.isDate64:
        let (milliseconds, overflow) = value.multipliedReportingOverflow(by: millisecondsPerDay)
        guard !overflow else { throw EngineError(.valueRange, "\(value) days are beyond date64") }
        try column.append(int64: milliseconds)
      default: try column.append(int64: value)
      }
    case .bytes(let bytes): try column.append(copying: bytes)
    }
  }

  static func damaged(_ what: String) -> EngineError {
    EngineError(.snapshotInvalid, "\(what), although the checksum is right; restore from another checkpoint")
  }
}

extension ColumnBuilder {
  /// Text or bytes of the caller's.
  func append(copying bytes: [UInt8]) throws(EngineError) {
    let failure: EngineError? = bytes.withUnsafeBytes { bytes in
      do throws(EngineError) {
        try append(bytes: bytes)
        return nil
      } catch {
        return error
      }
    }
    if let failure { throw failure }
  }
}

/// Appends values of one type to a column.
struct ValueCells {
  private enum Form {
    case bool, signed, unsigned, real, bytes
    /// The text of a value, or of a map's key.
    case dynamic, dynamicKey
  }

  private let form: Form
  let cells: CellForm

  init(_ type: StateType, isMapKey: Bool = false) {
    cells = CellForm(type)
    form =
      switch type {
      case .encoded: isMapKey ? .dynamicKey : .dynamic
      case .typed(.bool): .bool
      case .typed(.uint64): .unsigned
      default:
        switch StateStorage(type) {
        case .double, .float: .real
        case .integer, .unsigned: .signed
        case .utf8, .bytes, .fixedBytes, nil: .bytes
        }
      }
  }

  func append(word: Int64, to column: ColumnBuilder) throws(EngineError) {
    switch form {
    case .bool: try column.append(bool: word != 0)
    case .unsigned: try column.append(uint64: UInt64(bitPattern: word))
    case .real: try column.append(double: Double(bitPattern: UInt64(bitPattern: word)))
    default: try column.append(int64: word)
    }
  }

  func append(bytes: UnsafeRawBufferPointer, to column: ColumnBuilder) throws(EngineError) {
    switch form {
    case .dynamic, .dynamicKey:
      var text: [UInt8] = []
      if form == .dynamic {
        DynamicText.append(bytes, to: &text)
      } else {
        DynamicKeyText.append(bytes, to: &text)
      }
      try column.append(copying: text)
    default: try column.append(bytes: bytes)
    }
  }
}

/// The entries of one key's state, read one by one (`StateColumn.encodeEntries` draws them).
struct EntriesCursor {
  private let bytes: [UInt8]
  private let keys: ValueCells?
  private let values: ValueCells
  private let ttl: Int64?
  private let isTimed: Bool
  private var offset = 10
  /// How many there are, and how many were read.
  let count: Int64
  private(set) var position: Int64 = 0

  /// How many entries these bytes say that they have.
  static func count(_ bytes: [UInt8]) -> Int64 {
    guard bytes.count >= 10 else { return 0 }
    return bytes.withUnsafeBytes { Int64(littleEndian: $0.loadUnaligned(fromByteOffset: 2, as: Int64.self)) }
  }

  /// Throws `.snapshotInvalid` for entries of another kind or type.
  init(_ bytes: [UInt8], _ state: StateDescriptor, _ keys: ValueCells?, _ values: ValueCells) throws(EngineError) {
    self.bytes = bytes
    self.keys = keys
    self.values = values
    ttl = state.ttl?.milliseconds
    count = EntriesCursor.count(bytes)
    let kind: UInt8 =
      switch state.kind {
      case .value, .reducing, .aggregating: 1
      case .list: 2
      case .map, .broadcast: 3
      }
    guard bytes.count >= 10, bytes[0] == kind, bytes[1] < 8, count > 0, kind != 1 || count == 1,
      (bytes[1] & 2 != 0) == values.cells.isBytes, (bytes[1] & 4 != 0) == (keys?.cells.isBytes ?? false)
    else { throw EntriesCursor.damaged(state) }
    isTimed = bytes[1] & 1 != 0
  }

  static func damaged(_ state: StateDescriptor) -> EngineError {
    KeyCells.damaged("the entries of state '\(state.name)' make no sense")
  }

  var isAtEnd: Bool { position == count }
  /// Bytes that were read.
  var bytesRead: Int { offset }

  /// Appends the next entry; the key's own columns are the caller's.
  mutating func append(_ layout: StateTableLayout, to columns: [ColumnBuilder]) throws(EngineError) {
    do throws(EngineError) {
      if let index = layout.index { try columns[index].append(int64: position) }
      if let mapKey = layout.mapKey, let keys { try appendCell(keys, to: columns[mapKey], layout.state) }
      try appendCell(values, to: columns[layout.value], layout.state)
      let stamp = isTimed ? try integer(layout.state) : nil
      if let expiresAt = layout.expiresAt, let ttl {
        if let stamp {
          try columns[expiresAt].append(int64: stamp.saturatingAdding(ttl))
        } else {
          try columns[expiresAt].appendNull()
        }
      }
    } catch {
      if error.kind == .snapshotInvalid { throw error }
      throw KeyCells.damaged("a value of state '\(layout.state.name)' does not fit: \(error.message)")
    }
    position += 1
    if isAtEnd, offset != bytes.count { throw EntriesCursor.damaged(layout.state) }
  }

  private mutating func integer(_ state: StateDescriptor) throws(EngineError) -> Int64 {
    guard bytes.count - offset >= 8 else { throw EntriesCursor.damaged(state) }
    defer { offset += 8 }
    return bytes.withUnsafeBytes { Int64(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: Int64.self)) }
  }

  private mutating func appendCell(
    _ cells: ValueCells, to column: ColumnBuilder, _ state: StateDescriptor
  ) throws(EngineError) {
    guard cells.cells.isBytes else { return try cells.append(word: try integer(state), to: column) }
    guard bytes.count - offset >= 4 else { throw EntriesCursor.damaged(state) }
    let length = bytes.withUnsafeBytes {
      Int(UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
    }
    guard length <= bytes.count - offset - 4 else { throw EntriesCursor.damaged(state) }
    let start = offset + 4
    offset = start + length
    let failure: EngineError? = bytes.withUnsafeBytes { all in
      do throws(EngineError) {
        try cells.append(bytes: UnsafeRawBufferPointer(rebasing: all[start..<(start + length)]), to: column)
        return nil
      } catch {
        return error
      }
    }
    if let failure { throw failure }
  }
}
