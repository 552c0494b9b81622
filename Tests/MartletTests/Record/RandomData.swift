@testable import Martlet

/// SplitMix64: the same numbers for the same seed everywhere.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64
  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

enum SampleTypes {
  static let flat: [DataType] =
    [
      .null, .bool, .int8, .int16, .int32, .int64, .uint8, .uint16, .uint32, .uint64, .float16, .float32, .float64,
      .utf8, .largeUtf8, .utf8View,
      .binary, .largeBinary, .binaryView, .fixedSizeBinary(1), .fixedSizeBinary(5), .fixedSizeBinary(0), .date32,
      .date64, .time32(.second), .time32(.milli),
      .time64(.micro), .time64(.nano), .timestamp(.second, timezone: nil), .timestamp(.milli, timezone: "UTC"),
      .timestamp(.micro, timezone: "Europe/Berlin"), .timestamp(.nano, timezone: nil),
      .decimal128(precision: 20, scale: 3),
      .decimal256(precision: 50, scale: -2),
    ] + TimeUnit.allCases.map { .duration($0) } + IntervalUnit.allCases.map { .interval($0) }

  static let dictionaries: [DataType] = [
    .dictionary(index: .int32, value: .utf8, ordered: false),
    .dictionary(index: .int8, value: .utf8View, ordered: true),
    .dictionary(index: .uint16, value: .int64, ordered: false),
    .dictionary(index: .int64, value: .fixedSizeBinary(3), ordered: false),
    .dictionary(index: .uint32, value: .bool, ordered: false),
    .dictionary(index: .int32, value: .structure([Field("a", .int32), Field("b", .utf8)]), ordered: false),
  ]

  static func nested(_ type: DataType) -> [DataType] {
    [
      .list(Field("item", type)), .largeList(Field("item", type)), .fixedSizeList(Field("item", type), 2),
      .structure([Field("a", type), Field("b", .int16)]),
      .map(
        Field(
          "entries", .structure([Field("key", .utf8, isNullable: false), Field("value", type)]), isNullable: false),
        keysSorted: false),
    ]
  }

  static let all: [DataType] = {
    let inner = flat + dictionaries
    let once = inner.flatMap(nested)
    let twice = [DataType.utf8, .int16, .bool, dictionaries[0]].flatMap(nested).flatMap(nested)
    return inner + once + twice + [.fixedSizeList(Field("item", .int32), 0), .structure([])]
  }()
}

extension SeededGenerator {
  mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }

  /// A cell of that type; null now and then if it may be.
  mutating func value(_ field: Field, nulls: Int = 25) -> Value {
    if field.type == .null || field.isNullable && chance(nulls) { return .null }
    switch field.type {
    case .null: return .null
    case .bool: return .int(chance(50) ? 1 : 0)
    case .float16, .float32, .float64: return .double(Double(Int.random(in: -99...99, using: &self)) / 4)
    case .utf8, .largeUtf8, .utf8View:
      return .text(String(repeating: "é", count: Int.random(in: 0...9, using: &self)) + "\(next() % 10)")
    case .binary, .largeBinary, .binaryView: return bytes(Int.random(in: 0...20, using: &self))
    case .fixedSizeBinary, .decimal128, .decimal256, .interval: return bytes(field.type.byteWidth)
    case .list(let item), .largeList(let item), .map(let item, _):
      return .nested((0..<Int.random(in: 0...3, using: &self)).map { _ in value(item, nulls: nulls) })
    case .fixedSizeList(let item, let width): return .nested((0..<width).map { _ in value(item, nulls: nulls) })
    case .structure(let fields): return .nested(fields.map { value($0, nulls: nulls) })
    case .dictionary(_, let type, _): return value(Field("", type), nulls: 0)
    case .uint8: return .int(Int64(UInt8.random(in: 0 ... .max, using: &self)))
    case .uint16: return .int(Int64(UInt16.random(in: 0 ... .max, using: &self)))
    case .uint32: return .int(Int64(UInt32.random(in: 0 ... .max, using: &self)))
    default:
      let bits = field.type.byteWidth * 8
      return .int(Int64(truncatingIfNeeded: next()) >> Int64(64 - bits))
    }
  }

  private mutating func bytes(_ count: Int) -> Value {
    .bytes((0..<count).map { _ in UInt8(truncatingIfNeeded: next()) })
  }
}
