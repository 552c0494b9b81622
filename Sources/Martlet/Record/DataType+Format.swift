/// Arrow format strings (https://arrow.apache.org/docs/format/CDataInterface.html#data-type-description-format-strings).
extension DataType {
  /// The format string of the C data interface; for a dictionary-encoded type that of its index.
  public var format: String {
    switch self {
    case .null: "n"
    case .bool: "b"
    case .int8: "c"
    case .uint8: "C"
    case .int16: "s"
    case .uint16: "S"
    case .int32: "i"
    case .uint32: "I"
    case .int64: "l"
    case .uint64: "L"
    case .float16: "e"
    case .float32: "f"
    case .float64: "g"
    case .utf8: "u"
    case .largeUtf8: "U"
    case .utf8View: "vu"
    case .binary: "z"
    case .largeBinary: "Z"
    case .binaryView: "vz"
    case .fixedSizeBinary(let width): "w:\(width)"
    case .date32: "tdD"
    case .date64: "tdm"
    case .time32(let unit), .time64(let unit): "tt\(unit.formatLetter)"
    case .timestamp(let unit, let timezone): "ts\(unit.formatLetter):\(timezone ?? "")"
    case .duration(let unit): "tD\(unit.formatLetter)"
    case .interval(.months): "tiM"
    case .interval(.dayTime): "tiD"
    case .interval(.monthDayNano): "tin"
    case .decimal128(let precision, let scale): "d:\(precision),\(scale)"
    case .decimal256(let precision, let scale): "d:\(precision),\(scale),256"
    case .list: "+l"
    case .largeList: "+L"
    case .fixedSizeList(_, let width): "+w:\(width)"
    case .structure: "+s"
    case .map: "+m"
    case .dictionary(let index, _, _): index.format
    }
  }

  /// The type of a format string, with the child fields that the schema lists beside it. Nil for a
  /// format that the engine does not carry or that does not fit its children.
  init?(format: String, children: [Field], keysSorted: Bool) {
    if let flat = DataType(flatFormat: format) {
      guard children.isEmpty else { return nil }
      self = flat
      return
    }
    switch format {
    case "+l" where children.count == 1: self = .list(children[0])
    case "+L" where children.count == 1: self = .largeList(children[0])
    case "+s": self = .structure(children)
    case "+m" where children.count == 1:
      guard case .structure(let entry) = children[0].type, entry.count == 2 else { return nil }
      self = .map(children[0], keysSorted: keysSorted)
    default:
      guard format.hasPrefix("+w:"), children.count == 1, let width = Int(format.dropFirst(3)), width >= 0,
        width <= Int32.max
      else { return nil }
      self = .fixedSizeList(children[0], width)
    }
  }

  /// The type of a format string without children (`"l"`, `"tsu:UTC"`, `"d:12,2"`), or nil.
  public init?(flatFormat format: String) {
    if let simple = Self.simpleFormats[format] {
      self = simple
      return
    }
    if format.hasPrefix("w:") {
      guard let width = Int(format.dropFirst(2)), width >= 0, width <= Int32.max else { return nil }
      self = .fixedSizeBinary(width)
    } else if format.hasPrefix("ts") {
      let rest = format.dropFirst(2)
      guard let unit = rest.first.flatMap(TimeUnit.init(formatLetter:)), rest.dropFirst().first == ":" else {
        return nil
      }
      let timezone = String(rest.dropFirst(2))
      self = .timestamp(unit, timezone: timezone.isEmpty ? nil : timezone)
    } else if format.hasPrefix("d:") {
      let parts = format.dropFirst(2).split(separator: ",", omittingEmptySubsequences: false)
      guard parts.count == 2 || parts.count == 3, let precision = Int32(parts[0]), let scale = Int32(parts[1]) else {
        return nil
      }
      switch parts.count == 3 ? String(parts[2]) : "128" {
      case "128": self = .decimal128(precision: Int(precision), scale: Int(scale))
      case "256": self = .decimal256(precision: Int(precision), scale: Int(scale))
      default: return nil
      }
    } else {
      return nil
    }
  }

  private static let simpleFormats: [String: DataType] = {
    var types: [DataType] = [
      .null, .bool, .int8, .int16, .int32, .int64, .uint8, .uint16, .uint32, .uint64, .float16, .float32, .float64,
      .utf8,
      .largeUtf8, .utf8View, .binary, .largeBinary, .binaryView, .date32, .date64, .time32(.second), .time32(.milli),
      .time64(.micro), .time64(.nano),
    ]
    types += IntervalUnit.allCases.map { .interval($0) }
    types += TimeUnit.allCases.map { .duration($0) }
    return Dictionary(uniqueKeysWithValues: types.map { ($0.format, $0) })
  }()
}

extension TimeUnit {
  fileprivate var formatLetter: Character {
    switch self {
    case .second: "s"
    case .milli: "m"
    case .micro: "u"
    case .nano: "n"
    }
  }

  fileprivate init?(formatLetter: Character) {
    switch formatLetter {
    case "s": self = .second
    case "m": self = .milli
    case "u": self = .micro
    case "n": self = .nano
    default: return nil
    }
  }
}
