/// What a column holds for one key as bytes, to be written to a snapshot and read into another instance's column.
///
/// ```
/// entries:  kind (1: 1 value, 2 list, 3 map) | flags (1: bit 0 stamps, bit 1 byte values, bit 2 byte keys)
///           | count (8) | entry | entry | …
/// entry:    key (maps only) | cell | stamp (8, with bit 0)
/// cell:     8 bytes, or with its bit length (4) | bytes
/// ```
///
/// Integers are little-endian. Reducing and aggregating states are values. Map entries are in key order. A stamp is in the domain of
/// the state's TTL; what has expired is written too, and expires again where it is read.
extension StateColumn {
  /// Nothing if the slot holds nothing.
  final func encodeEntries(of slot: UInt32, into bytes: inout [UInt8]) {
    guard isSet(slot) else { return }
    let isTimed = expiry != nil
    let values = CellForm(descriptor.type)
    var writer = EntryWriter(bytes: bytes)
    bytes = []
    switch self {
    case let list as ListStateColumn:
      writer.head(2, isTimed, values, nil, list.storedCount(of: slot))
      list.forEachStored(slot) { cell, stamp in
        writer.cell(cell, values)
        if isTimed { writer.integer(stamp) }
      }
    case let map as MapStateColumn:
      writer.head(3, isTimed, values, map.layout.keys, map.storedCount(of: slot))
      map.forEachStored(slot) { key, cell, stamp in
        writer.cell(key, map.layout.keys)
        writer.cell(cell, values)
        if isTimed { writer.integer(stamp) }
      }
    case let value as ValueStateColumn:
      writer.head(1, isTimed, values, nil, 1)
      writer.cell(value.storedCell(slot), values)
      if let stamp = value.stamp(of: slot) { writer.integer(stamp) }
    default: preconditionFailure("every column is one of the three")
    }
    bytes = writer.bytes
  }

  /// Puts what `encodeEntries` wrote in the place of what the slot holds. Stamps that a column without TTL does not want are left
  /// out; a column with one gives the present time to what has none. Throws `.internalError` for bytes that are damaged or of another
  /// kind or form of cell, and leaves the slot empty then.
  final func restoreEntries(_ slot: UInt32, _ bytes: UnsafeRawBufferPointer) throws(EngineError) {
    clear(slot)
    guard !bytes.isEmpty else { return }
    try addEntries(slot, bytes)
  }

  /// Adds them to what a list or map of the slot holds already. After an error the slot is empty.
  final func addEntries(_ slot: UInt32, _ bytes: UnsafeRawBufferPointer) throws(EngineError) {
    do {
      try restore(slot, EntryReader(bytes: bytes))
    } catch {
      clear(slot)
      throw EngineError(.internalError, "state '\(descriptor.name)': the bytes of its snapshot \(error.rawValue)")
    }
  }

  /// Whether something in bytes that `encodeEntries` wrote has expired; not if they are damaged.
  final func holdsExpired(_ bytes: UnsafeRawBufferPointer, _ expiry: Expiry) -> Bool {
    var reader = EntryReader(bytes: bytes)
    let now = expiry.now()
    do throws(EntryReader.Fault) {
      let kind = try reader.byte()
      let flags = try reader.byte()
      let count = try reader.integer()
      if flags & 1 == 0 { return false }
      for _ in 0..<max(count, 0) {
        if kind == 3 { try reader.skipCell(isBytes: flags & 4 != 0) }
        try reader.skipCell(isBytes: flags & 2 != 0)
        if expiry.hasExpired(try reader.integer(), at: now) { return true }
      }
    } catch {}
    return false
  }

  private final func restore(_ slot: UInt32, _ source: EntryReader) throws(EntryReader.Fault) {
    var reader = source
    let values = CellForm(descriptor.type)
    let kind = try reader.byte()
    let flags = try reader.byte()
    let count = try reader.integer()
    let keys = (self as? MapStateColumn)?.layout.keys
    guard (flags & 2 != 0) == values.isBytes, (flags & 4 != 0) == (keys?.isBytes ?? false), flags < 8 else {
      throw .form
    }
    let isTimed = flags & 1 != 0
    switch (kind, self) {
    case (1, let value as ValueStateColumn):
      guard count == 1 else { throw .damaged }
      value.restore(slot, try reader.cell(values), stamp: isTimed ? try reader.integer() : nil)
    case (2, let list as ListStateColumn):
      for _ in 0..<max(count, 0) {
        let cell = try reader.cell(values)
        list.restore(slot, cell, stamp: isTimed ? try reader.integer() : nil)
      }
    case (3, let map as MapStateColumn):
      for _ in 0..<max(count, 0) {
        let key = try reader.cell(map.layout.keys)
        guard map.accepts(key: key) else { throw .damaged }
        let cell = try reader.cell(values)
        map.restore(slot, key, cell, stamp: isTimed ? try reader.integer() : nil)
      }
    default: throw .form
    }
    guard reader.isAtEnd, count > 0 else { throw .damaged }
  }
}

extension MapStateColumn {
  /// Whether a key that was read has the width its type demands.
  fileprivate func accepts(key: StateCell) -> Bool {
    if case .fixedBytes(let width) = keyStorage { return key.bytes.count == width }
    return true
  }
}

extension ValueStateColumn {
  final func storedCell(_ slot: UInt32) -> StateCell {
    switch self {
    case let integers as FixedStateColumn<Int64>: StateCell(word: integers.values[Int(slot)])
    case let doubles as FixedStateColumn<Double>: StateCell(double: doubles.values[Int(slot)])
    case let byteStrings as BytesStateColumn: StateCell(bytes: byteStrings.stored(slot))
    default: preconditionFailure("every value column is one of the three")
    }
  }

  final func restore(_ slot: UInt32, _ cell: StateCell, stamp: Int64?) {
    switch self {
    case let integers as FixedStateColumn<Int64>: integers.set(slot, cell.word)
    case let doubles as FixedStateColumn<Double>: doubles.set(slot, cell.double)
    case let byteStrings as BytesStateColumn: byteStrings.set(slot, cell.bytes)
    default: preconditionFailure("every value column is one of the three")
    }
    if let stamp { setStamp(of: slot, stamp) }
  }
}

private struct EntryWriter {
  var bytes: [UInt8]

  mutating func head(_ kind: UInt8, _ isTimed: Bool, _ values: CellForm, _ keys: CellForm?, _ count: Int) {
    bytes.append(kind)
    bytes.append((isTimed ? 1 : 0) | (values.isBytes ? 2 : 0) | (keys?.isBytes ?? false ? 4 : 0))
    integer(Int64(count))
  }

  mutating func integer(_ value: Int64) { withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) } }

  mutating func cell(_ cell: StateCell, _ form: CellForm) {
    guard form.isBytes else { return integer(cell.word) }
    withUnsafeBytes(of: UInt32(cell.bytes.count).littleEndian) { bytes.append(contentsOf: $0) }
    bytes.append(contentsOf: cell.bytes)
  }
}

private struct EntryReader {
  enum Fault: String, Error {
    case damaged = "are damaged; restore from the snapshot before it"
    case form = "are of another kind or type of state; declare the state as it was, or under another name"
  }

  let bytes: UnsafeRawBufferPointer
  var offset = 0

  init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  var isAtEnd: Bool { offset == bytes.count }

  mutating func byte() throws(Fault) -> UInt8 { try take(1)[0] }

  mutating func integer() throws(Fault) -> Int64 {
    Int64(littleEndian: try take(8).loadUnaligned(as: Int64.self))
  }

  mutating func cell(_ form: CellForm) throws(Fault) -> StateCell {
    guard form.isBytes else { return StateCell(word: try integer()) }
    let count = UInt32(littleEndian: try take(4).loadUnaligned(as: UInt32.self))
    return StateCell(bytes: try take(Int(count)))
  }

  mutating func skipCell(isBytes: Bool) throws(Fault) {
    let count = isBytes ? Int(UInt32(littleEndian: try take(4).loadUnaligned(as: UInt32.self))) : 8
    _ = try take(count)
  }

  private mutating func take(_ count: Int) throws(Fault) -> UnsafeRawBufferPointer {
    guard count <= bytes.count - offset else { throw .damaged }
    defer { offset += count }
    return UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + count)])
  }
}
