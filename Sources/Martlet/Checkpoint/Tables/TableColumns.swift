import CMartlet

// From the cells of a table to what a state holds.

/// The columns of a table that somebody made, found by their names.
struct TableColumns {
  let schema: Schema

  /// Throws `.missingColumn` for a column that is not there, `.schemaMismatch` for one that the table has no use for.
  init(_ schema: Schema, _ layout: Schema, optional: [Int] = []) throws(EngineError) {
    self.schema = schema
    for (index, field) in layout.fields.enumerated() where schema.index(of: field.name) == nil {
      if !optional.contains(index) { throw schema.missing(field.name) }
    }
    for (index, field) in schema.fields.enumerated() {
      let names = layout.fields.map(\.name)
      guard names.contains(field.name), schema.index(of: field.name) == index else {
        let hint = closeMatch(field.name, among: names).map { " (did you mean '\($0)'?)" } ?? ""
        throw EngineError(
          .schemaMismatch,
          "there is no place for the column '\(field.name)'\(hint); the columns are "
            + names.map { "'\($0)'" }.joined(separator: ", "))
      }
    }
  }
}

/// Reads the cells of one column as values of a type.
struct ValueReader {
  private enum Form {
    case integer(ClosedRange<Int64>)
    case unsigned
    case real(isNarrow: Bool)
    case text, bytes
    case fixed(Int)
    case dynamic, dynamicKey
  }

  private let form: Form
  private let type: StateType
  private let name: String
  private let isFromUnsigned: Bool
  /// Whether a value of None was read last, which a state may not hold.
  private(set) var wasNull = false

  /// Throws `.schemaMismatch` for a column whose values are of another type.
  init(_ type: StateType, _ field: Field, isMapKey: Bool = false) throws(EngineError) {
    self.type = type
    name = field.name
    let column = field.type.valueType
    isFromUnsigned = column == .uint64
    guard let form = ValueReader.form(type, column, isMapKey) else {
      let hint =
        if case .encoded = type { ": values without a type are given as JSON text (utf8)" } else { "; cast it" }
      throw EngineError(
        .schemaMismatch, "column '\(field.name)' is \(field.type), and the state's type is \(type)\(hint)")
    }
    self.form = form
  }

  private static func form(_ type: StateType, _ column: DataType, _ isMapKey: Bool) -> Form? {
    let isText = [.utf8, .largeUtf8, .utf8View].contains(column)
    guard case .typed(let wanted) = type else { return isText ? (isMapKey ? .dynamicKey : .dynamic) : nil }
    switch StateStorage(type) {
    case .integer(let range):
      let fits =
        switch (wanted, column) {
        case (.timestamp(let unit, let zone), .timestamp(let theirs, let theirZone)):
          unit == theirs && (zone == nil) == (theirZone == nil)
        case (.int8, _), (.int16, _), (.int32, _), (.int64, _), (.uint8, _), (.uint16, _), (.uint32, _):
          column.isInteger
        default: wanted == column
        }
      return fits ? .integer(range) : nil
    case .unsigned: return column.isInteger ? .unsigned : nil
    case .double, .float:
      return [.float16, .float32, .float64].contains(column) ? .real(isNarrow: wanted == .float32) : nil
    case .utf8: return isText ? .text : nil
    case .bytes: return isBinary(column) ? .bytes : nil
    case .fixedBytes(let width):
      if case .decimal128(let precision, let scale) = wanted {
        guard case .decimal128(let theirs, scale) = column, theirs <= precision else { return nil }
        return .fixed(width)
      }
      return isBinary(column) ? .fixed(width) : nil
    case nil: return nil
    }
  }

  private static func isBinary(_ type: DataType) -> Bool {
    switch type {
    case .binary, .largeBinary, .binaryView, .fixedSizeBinary: true
    default: false
    }
  }

  /// Appends the cell as `StateColumn.encodeEntries` has it: 8 bytes, or a length (4) and bytes. Throws `.schemaMismatch` for a null,
  /// `.valueRange` for what does not fit.
  mutating func append(_ column: martlet_column, _ row: Int, to bytes: inout [UInt8]) throws(EngineError) {
    guard !column.isNull(row) else { throw EngineError(.schemaMismatch, "column '\(name)' is null") }
    switch form {
    case .integer(let range):
      let value = column.int64(row)
      guard range.contains(value), !isFromUnsigned || value >= 0 else { throw outOfRange(column, row) }
      StoreNumbers.append(value, to: &bytes)
    case .unsigned:
      let value = column.int64(row)
      guard isFromUnsigned || value >= 0 else { throw outOfRange(column, row) }
      StoreNumbers.append(value, to: &bytes)
    case .real(let isNarrow):
      var value = column.double(row)
      if isNarrow {
        guard Float(value).isFinite || !value.isFinite else { throw outOfRange(column, row) }
        value = Double(Float(value))
      }
      StoreNumbers.append(value.bitPattern, to: &bytes)
    case .text:
      let text = column.bytes(row)
      guard UTF8Check.isValid(text) else {
        throw EngineError(.valueRange, "column '\(name)' has a string that is not valid UTF-8")
      }
      try append(text, to: &bytes)
    case .bytes: try append(column.bytes(row), to: &bytes)
    case .fixed(let width):
      let block = column.bytes(row)
      guard block.count == width else {
        throw EngineError(.valueRange, "column '\(name)' has \(block.count) bytes; \(type) takes exactly \(width)")
      }
      try append(block, to: &bytes)
    case .dynamic, .dynamicKey: try appendDynamic(column.bytes(row), to: &bytes)
    }
  }

  private mutating func appendDynamic(_ text: UnsafeRawBufferPointer, to bytes: inout [UInt8]) throws(EngineError) {
    let value: [UInt8]
    do throws(DynamicText.Fault) {
      if case .dynamicKey = form {
        value = try DynamicKeyText.bytes(of: text)
      } else {
        (value, wasNull) = try DynamicText.bytes(of: text)
      }
    } catch {
      throw EngineError(.valueRange, "column '\(name)' holds the JSON text of values, and here \(error.what)")
    }
    StoreNumbers.append(UInt32(value.count), to: &bytes)
    bytes += value
  }

  private func append(_ block: UnsafeRawBufferPointer, to bytes: inout [UInt8]) throws(EngineError) {
    guard let count = UInt32(exactly: block.count) else {
      throw EngineError(.valueRange, "column '\(name)' has \(block.count) bytes; a value has less than 4 GiB")
    }
    StoreNumbers.append(count, to: &bytes)
    bytes.append(contentsOf: block)
  }

  private func outOfRange(_ column: martlet_column, _ row: Int) -> EngineError {
    let value =
      if case .real = form { "\(column.double(row))" } else if isFromUnsigned {
        "\(UInt64(bitPattern: column.int64(row)))"
      } else {
        "\(column.int64(row))"
      }
    return EngineError(.valueRange, "column '\(name)': \(value) does not fit \(type)")
  }
}

/// Reads a column of times as milliseconds: integers as they are, timestamps of any unit rounded down.
struct TimeReader {
  private let divisor: Int64
  private let factor: Int64
  private let isUnsigned: Bool
  private let name: String

  /// Throws `.schemaMismatch` for a column of another type.
  init(_ field: Field) throws(EngineError) {
    name = field.name
    isUnsigned = field.type.valueType == .uint64
    switch field.type.valueType {
    case .timestamp(let unit, _): (divisor, factor) = (max(unit.perSecond / 1000, 1), unit == .second ? 1000 : 1)
    case let type where type.isInteger || type == .null: (divisor, factor) = (1, 1)
    default:
      throw EngineError(
        .schemaMismatch,
        "column '\(field.name)' is \(field.type); a time is an integer (milliseconds since the epoch) or a timestamp")
    }
  }

  /// Nil for a null.
  func time(_ column: martlet_column, _ row: Int) throws(EngineError) -> Int64? {
    guard !column.isNull(row) else { return nil }
    let (time, overflow) = floorDivide(column.int64(row), divisor).multipliedReportingOverflow(by: factor)
    guard !overflow, !isUnsigned || time >= 0 else {
      throw EngineError(.valueRange, "column '\(name)' has a time beyond 64 bits of milliseconds")
    }
    return time
  }
}
