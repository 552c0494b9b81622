import CMartlet

@usableFromInline let millisecondsPerDay: Int64 = 86_400_000

/// How one key column is read, ordered and encoded. The class decides identity: keys of different classes are
/// different keys, whatever their values.
enum KeyClass: Equatable {
  case bool, signed, unsigned, utf8, binary, date
  case time(TimeUnit)
  case duration(TimeUnit)
  case timestamp(TimeUnit, zoned: Bool)
  case decimal(scale: Int)
  /// A column of type null: it has rows only where the key is null.
  case null
}

/// The key columns of an operator, resolved against the schema of its input.
struct KeySchema {
  /// How a key is held in the key table.
  enum Form {
    /// One column that fits an integer; compared as signed integers.
    case integer
    /// One column of bytes, held as they are; compared bytewise.
    case bytes
    /// Anything else: the canonical encoding of `KeyEncoding`, compared bytewise.
    case encoded
  }

  struct Part {
    let column: Int
    let name: String
    let keyClass: KeyClass
    /// The column's type without its buffers, the value type for dictionaries; lives as long as `schema`.
    let field: UnsafePointer<martlet_column>

    /// Held as days, as every date is, and shown in the column's own unit, milliseconds.
    var isDate64: Bool { field.pointee.type == Int32(MARTLET_TYPE_DATE64.rawValue) }
  }

  let schema: Schema
  let parts: [Part]
  let form: Form

  init(_ names: [String], in schema: Schema) throws(EngineError) {
    var parts: [Part] = []
    for name in names {
      guard let column = schema.index(of: name) else { throw schema.missing(name, as: "key column") }
      let type = schema.fields[column].type.valueType
      guard let keyClass = KeyClass(type) else { throw KeySchema.notAKey(name, type) }
      var field = schema.templates.baseAddress.unsafelyUnwrapped + column
      if let dictionary = field.pointee.dictionary { field = dictionary }
      parts.append(Part(column: column, name: name, keyClass: keyClass, field: field))
    }
    self.schema = schema
    self.parts = parts
    form = parts.count == 1 ? KeySchema.form(of: parts[0].keyClass) : .encoded
  }

  /// Throws `.keyType` unless keys of `other` are keys of this, too.
  func checkContinues(_ other: KeySchema) throws(EngineError) {
    for (mine, theirs) in zip(parts, other.parts) where mine.keyClass != theirs.keyClass {
      throw EngineError(
        .keyType,
        "the key column '\(mine.name)' is \(schema.fields[mine.column].type), and the state that the job began with has keys of type "
          + "\(other.schema.fields[theirs.column].type); cast the column, or write the state with such keys")
    }
  }

  private static func form(of keyClass: KeyClass) -> Form {
    switch keyClass {
    case .utf8, .binary: .bytes
    case .decimal: .encoded
    case .bool, .signed, .unsigned, .date, .time, .duration, .timestamp, .null: .integer
    }
  }

  private static func notAKey(_ name: String, _ type: DataType) -> EngineError {
    switch type {
    case .float16, .float32, .float64:
      EngineError(
        .keyType,
        "column '\(name)' is \(type), and a float cannot be a key: equal-looking values differ in their last bits; "
          + "cast it to an integer, a decimal or a string first")
    default:
      EngineError(
        .keyType,
        "column '\(name)' is \(type), which cannot be a key; keys are int, string, binary, bool, date, time, timestamp, "
          + "duration or decimal128 columns")
    }
  }
}

extension KeyClass {
  init?(_ type: DataType) {
    switch type {
    case .bool: self = .bool
    case .int8, .int16, .int32, .int64: self = .signed
    case .uint8, .uint16, .uint32, .uint64: self = .unsigned
    case .utf8, .largeUtf8, .utf8View: self = .utf8
    case .binary, .largeBinary, .binaryView, .fixedSizeBinary: self = .binary
    case .date32, .date64: self = .date
    case .time32(let unit), .time64(let unit): self = .time(unit)
    case .duration(let unit): self = .duration(unit)
    case .timestamp(let unit, let zone): self = .timestamp(unit, zoned: zone != nil)
    case .decimal128(_, let scale): self = .decimal(scale: scale)
    case .null: self = .null
    case .float16, .float32, .float64, .interval, .decimal256, .list, .largeList, .fixedSizeList, .structure, .map,
      .dictionary:
      return nil
    }
  }
}
