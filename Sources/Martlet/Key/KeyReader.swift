import CMartlet

/// The rows of a batch that are processed together: a range, or a selection in order.
@usableFromInline
struct RowSelection {
  @usableFromInline let start: Int
  @usableFromInline let count: Int
  /// Row numbers, `count` of them, if the rows are not `start ..< start + count`.
  @usableFromInline let rows: UnsafePointer<Int32>?

  init(start: Int, count: Int, rows: UnsafePointer<Int32>? = nil) {
    self.start = start
    self.count = count
    self.rows = rows
  }

  @inlinable @inline(__always)
  subscript(index: Int) -> Int {
    if let rows { return Int(rows[index]) }
    return start &+ index
  }
}

/// Reads key columns into `KeyRef`s, one tight loop per storage width.
struct KeyReader {
  private let schema: KeySchema
  /// The canonical bytes of the current chunk's keys, for the encoded form.
  private var arena: [UInt8] = []

  init(_ schema: KeySchema) { self.schema = schema }

  /// Fills `keys` for the selected rows; `slots[i]` becomes `Slot.none` where the key is null, 0 elsewhere. Returns whether there
  /// may be nulls; if not, the slots are as they were. The refs point into the batch or this reader and are valid until the next
  /// call.
  mutating func read(
    _ batch: RecordBatch, _ selection: RowSelection, into keys: UnsafeMutablePointer<KeyRef>,
    _ slots: UnsafeMutablePointer<UInt32>
  ) -> Bool {
    switch schema.form {
    case .integer:
      let part = schema.parts[0]
      return readIntegers(batch.columns[part.column], part.keyClass, selection, keys, slots)
    case .bytes:
      return readBytes(batch.columns[schema.parts[0].column], selection, keys, slots)
    case .encoded:
      readEncoded(batch, selection, keys, slots)
      return true
    }
  }

  /// The selected rows' keys where the column has them as they are shown: 64-bit integers without nulls, one after the other.
  func integersInPlace(_ batch: RecordBatch, _ selection: RowSelection) -> UnsafePointer<Int64>? {
    guard schema.form == .integer, selection.rows == nil, selection.count > 0 else { return nil }
    let part = schema.parts[0]
    let column = batch.columns[part.column]
    guard part.keyClass != .unsigned, part.keyClass != .null, !part.isDate64, column.dictionary == nil,
      column.width == 8,
      column.null_count == 0, let values = column.values
    else { return nil }
    return UnsafePointer(values.assumingMemoryBound(to: Int64.self)) + Int(column.offset) + selection.start
  }

  private func readIntegers(
    _ column: martlet_column, _ keyClass: KeyClass, _ selection: RowSelection,
    _ keys: UnsafeMutablePointer<KeyRef>, _ slots: UnsafeMutablePointer<UInt32>
  ) -> Bool {
    guard column.dictionary == nil, column.type != Int32(MARTLET_TYPE_BOOL.rawValue), keyClass != .null else {
      for index in 0..<selection.count {
        let row = selection[index]
        let isNull = column.isNull(row)
        slots[index] = isNull ? Slot.none : 0
        keys[index] = KeyRef(integer: isNull ? 0 : KeyReader.integer(column, row, keyClass))
      }
      return true
    }
    switch (keyClass, column.width) {
    case (.unsigned, 1): load(UInt8.self, column, .min, selection, keys)
    case (.unsigned, 2): load(UInt16.self, column, .min, selection, keys)
    case (.unsigned, 4): load(UInt32.self, column, .min, selection, keys)
    case (.unsigned, _): load(UInt64.self, column, .min, selection, keys)
    case (_, 1): load(Int8.self, column, 0, selection, keys)
    case (_, 2): load(Int16.self, column, 0, selection, keys)
    case (_, 4): load(Int32.self, column, 0, selection, keys)
    default: load(Int64.self, column, 0, selection, keys)
    }
    if column.type == Int32(MARTLET_TYPE_DATE64.rawValue) {
      for index in 0..<selection.count { keys[index].integer = floorDivide(keys[index].integer, millisecondsPerDay) }
    }
    return markNulls(column, selection, slots)
  }

  @inline(__always)
  private func load<Storage: FixedWidthInteger & BitwiseCopyable>(
    _ type: Storage.Type, _ column: martlet_column, _ bias: Int64, _ selection: RowSelection,
    _ keys: UnsafeMutablePointer<KeyRef>
  ) {
    guard selection.count > 0 else { return }
    let values = column.values.unsafelyUnwrapped.assumingMemoryBound(to: Storage.self) + Int(column.offset)
    for index in 0..<selection.count {
      keys[index] = KeyRef(integer: Int64(truncatingIfNeeded: values[selection[index]]) ^ bias)
    }
  }

  private func markNulls(
    _ column: martlet_column, _ selection: RowSelection, _ slots: UnsafeMutablePointer<UInt32>
  ) -> Bool {
    guard column.null_count > 0 else { return false }
    for index in 0..<selection.count { slots[index] = column.isNull(selection[index]) ? Slot.none : 0 }
    return true
  }

  private func readBytes(
    _ column: martlet_column, _ selection: RowSelection, _ keys: UnsafeMutablePointer<KeyRef>,
    _ slots: UnsafeMutablePointer<UInt32>
  ) -> Bool {
    let mayBeNull = markNulls(column, selection, slots)
    if column.dictionary == nil, column.type == Int32(MARTLET_TYPE_UTF8.rawValue), let data = column.data {
      let offsets = column.values.unsafelyUnwrapped.assumingMemoryBound(to: Int32.self) + Int(column.offset)
      for index in 0..<selection.count {
        let row = selection[index]
        keys[index] = KeyRef(bytes: data + Int(offsets[row]), count: Int(offsets[row &+ 1] &- offsets[row]))
      }
      return mayBeNull
    }
    for index in 0..<selection.count where !mayBeNull || slots[index] != Slot.none {
      let bytes = column.bytes(selection[index])
      keys[index] = KeyRef(bytes: bytes.baseAddress ?? UnsafeRawPointer(keys), count: bytes.count)
    }
    return mayBeNull
  }

  private mutating func readEncoded(
    _ batch: RecordBatch, _ selection: RowSelection, _ keys: UnsafeMutablePointer<KeyRef>,
    _ slots: UnsafeMutablePointer<UInt32>
  ) {
    arena.removeAll(keepingCapacity: true)
    for index in 0..<selection.count {
      let row = selection[index]
      let start = arena.count
      slots[index] = 0
      for part in schema.parts {
        let column = batch.columns[part.column]
        if column.isNull(row) || part.keyClass == .null {
          slots[index] = Slot.none
          break
        }
        switch part.keyClass {
        case .utf8, .binary, .decimal:
          KeyEncoding.append(bytes: column.bytes(row), part.keyClass, to: &arena)
        case .bool, .signed, .unsigned, .date, .time, .duration, .timestamp, .null:
          let value = KeyReader.integer(column, row, part.keyClass)
          KeyEncoding.append(integer: value, part.keyClass, to: &arena)
        }
      }
      keys[index] = KeyRef(integer: Int64(start))
      keys[index].count = arena.count - start
    }
    // The arena may have moved while it grew: positions become addresses only now.
    arena.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      for index in 0..<selection.count {
        keys[index] = KeyRef(bytes: base + Int(keys[index].integer), count: keys[index].count)
      }
    }
  }

  /// The cell as the integer that orders it within its class.
  private static func integer(_ column: martlet_column, _ row: Int, _ keyClass: KeyClass) -> Int64 {
    let value = column.int64(row)
    switch keyClass {
    case .unsigned: return value ^ Int64.min
    case .date:
      let type = column.dictionary?.pointee.type ?? column.type
      return type == Int32(MARTLET_TYPE_DATE64.rawValue) ? floorDivide(value, millisecondsPerDay) : value
    case .bool, .signed, .time, .duration, .timestamp, .utf8, .binary, .decimal, .null: return value
    }
  }
}
