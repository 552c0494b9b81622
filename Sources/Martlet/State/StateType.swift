/// What a state holds: a value of one Arrow type in a native slot, or bytes that the caller encoded.
public enum StateType: Hashable, Sendable {
  case typed(DataType)
  /// Bytes whose meaning is the caller's, such as the dynamic values of Python.
  case encoded
}

extension StateType: CustomStringConvertible {
  public var description: String {
    switch self {
    case .typed(let type): type.description
    case .encoded: "any value"
    }
  }
}

/// The native storage behind a state type.
enum StateStorage {
  /// Integers, bool, dates, times: 64 bits and the bounds that are checked on every write.
  case integer(ClosedRange<Int64>)
  /// uint64: 64 bits without a sign.
  case unsigned
  case double
  /// float32: rounded when written, so that what is read is what a float32 column would hold.
  case float
  case utf8
  case bytes
  /// Exactly so many bytes: decimals and fixed-size binary.
  case fixedBytes(Int)

  init?(_ type: StateType) {
    guard case .typed(let type) = type else {
      self = .bytes
      return
    }
    switch type {
    case .bool: self = .integer(0...1)
    case .int8: self = .integer(Int64(Int8.min)...Int64(Int8.max))
    case .int16: self = .integer(Int64(Int16.min)...Int64(Int16.max))
    case .int32, .date32, .time32: self = .integer(Int64(Int32.min)...Int64(Int32.max))
    case .int64, .date64, .time64, .timestamp, .duration: self = .integer(Int64.min...Int64.max)
    case .uint8: self = .integer(0...Int64(UInt8.max))
    case .uint16: self = .integer(0...Int64(UInt16.max))
    case .uint32: self = .integer(0...Int64(UInt32.max))
    case .uint64: self = .unsigned
    case .float64: self = .double
    case .float32: self = .float
    case .utf8, .largeUtf8, .utf8View: self = .utf8
    case .binary, .largeBinary, .binaryView: self = .bytes
    case .fixedSizeBinary(let width): self = .fixedBytes(width)
    case .decimal128: self = .fixedBytes(16)
    case .null, .float16, .interval, .decimal256, .list, .largeList, .fixedSizeList, .structure, .map, .dictionary:
      return nil
    }
  }
}
