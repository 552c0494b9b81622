/// The unit of a time, timestamp or duration.
public enum TimeUnit: Hashable, Sendable, CaseIterable {
  case second, milli, micro, nano

  /// How the unit reads in a type name: `s`, `ms`, `us`, `ns`.
  public var symbol: String {
    switch self {
    case .second: "s"
    case .milli: "ms"
    case .micro: "us"
    case .nano: "ns"
    }
  }
}

/// The three calendar intervals of Arrow: months (int32), days and milliseconds (2 × int32), months,
/// days and nanoseconds (int32, int32, int64).
public enum IntervalUnit: Hashable, Sendable, CaseIterable {
  case months, dayTime, monthDayNano
}

/// An Arrow data type.
///
/// Every type the engine carries has a case here; what it does not carry (unions, run-end encoding, list
/// views, 32- and 64-bit decimals) is refused when a schema is imported. `description` is the readable name used in
/// every message, `format` the string of the Arrow C data interface.
public indirect enum DataType: Hashable, Sendable {
  case null
  case bool
  case int8, int16, int32, int64
  case uint8, uint16, uint32, uint64
  case float16, float32, float64
  case utf8, largeUtf8, utf8View
  case binary, largeBinary, binaryView
  /// The width in bytes.
  case fixedSizeBinary(Int)
  case date32, date64
  case time32(TimeUnit)
  case time64(TimeUnit)
  case timestamp(TimeUnit, timezone: String?)
  case duration(TimeUnit)
  case interval(IntervalUnit)
  case decimal128(precision: Int, scale: Int)
  case decimal256(precision: Int, scale: Int)
  case list(Field)
  case largeList(Field)
  /// The items per cell.
  case fixedSizeList(Field, Int)
  case structure([Field])
  /// The field is that of the entries: a struct of key and value.
  case map(Field, keysSorted: Bool)
  case dictionary(index: DataType, value: DataType, ordered: Bool)
}

extension DataType: CustomStringConvertible {
  public var description: String {
    switch self {
    case .null: "null"
    case .bool: "bool"
    case .int8: "int8"
    case .int16: "int16"
    case .int32: "int32"
    case .int64: "int64"
    case .uint8: "uint8"
    case .uint16: "uint16"
    case .uint32: "uint32"
    case .uint64: "uint64"
    case .float16: "float16"
    case .float32: "float32"
    case .float64: "float64"
    case .utf8: "utf8"
    case .largeUtf8: "large_utf8"
    case .utf8View: "utf8_view"
    case .binary: "binary"
    case .largeBinary: "large_binary"
    case .binaryView: "binary_view"
    case .fixedSizeBinary(let width): "fixed_size_binary[\(width)]"
    case .date32: "date32"
    case .date64: "date64"
    case .time32(let unit): "time32[\(unit.symbol)]"
    case .time64(let unit): "time64[\(unit.symbol)]"
    case .timestamp(let unit, let timezone):
      timezone.map { "timestamp[\(unit.symbol), \($0)]" } ?? "timestamp[\(unit.symbol)]"
    case .duration(let unit): "duration[\(unit.symbol)]"
    case .interval(.months): "interval[months]"
    case .interval(.dayTime): "interval[day_time]"
    case .interval(.monthDayNano): "interval[month_day_nano]"
    case .decimal128(let precision, let scale): "decimal128(\(precision), \(scale))"
    case .decimal256(let precision, let scale): "decimal256(\(precision), \(scale))"
    case .list(let item): "list<\(item.type)>"
    case .largeList(let item): "large_list<\(item.type)>"
    case .fixedSizeList(let item, let width): "fixed_size_list<\(item.type), \(width)>"
    case .structure(let fields):
      "struct<" + fields.map { "\($0.name): \($0.type)" }.joined(separator: ", ") + ">"
    case .map(let entries, _):
      if case .structure(let fields) = entries.type, fields.count == 2 {
        "map<\(fields[0].type), \(fields[1].type)>"
      } else {
        "map<\(entries.type)>"
      }
    case .dictionary(let index, let value, _): "dictionary<\(index), \(value)>"
    }
  }
}

extension DataType {
  /// Bytes of one element in the values buffer; 0 for bool, null, nested and variable-width types.
  public var byteWidth: Int {
    switch self {
    case .int8, .uint8: 1
    case .int16, .uint16, .float16: 2
    case .int32, .uint32, .float32, .date32, .time32, .interval(.months): 4
    case .int64, .uint64, .float64, .date64, .time64, .timestamp, .duration, .interval(.dayTime): 8
    case .decimal128, .interval(.monthDayNano): 16
    case .decimal256: 32
    case .fixedSizeBinary(let width): width
    case .dictionary(let index, _, _): index.byteWidth
    case .null, .bool, .utf8, .largeUtf8, .utf8View, .binary, .largeBinary, .binaryView, .list, .largeList,
      .fixedSizeList, .structure, .map:
      0
    }
  }

  /// The child fields of a nested type, in the order of its child arrays.
  public var children: [Field] {
    switch self {
    case .list(let item), .largeList(let item), .fixedSizeList(let item, _): [item]
    case .map(let entries, _): [entries]
    case .structure(let fields): fields
    default: []
    }
  }

  /// The type of the values: that of the dictionary for a dictionary-encoded type, else the type itself.
  public var valueType: DataType {
    if case .dictionary(_, let value, _) = self { value } else { self }
  }

  /// Whether the type may be the index of a dictionary.
  var isInteger: Bool {
    switch self {
    case .int8, .int16, .int32, .int64, .uint8, .uint16, .uint32, .uint64: true
    default: false
    }
  }
}
