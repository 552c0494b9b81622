/// The canonical bytes of a key: what the stable hash is taken of, what keys are ordered by and what a checkpoint
/// holds.
///
/// Each part is a tag and a payload; a composite key is its parts one after another. Bytewise order is the natural
/// order of the values, and no encoding is a prefix of another, so that what is stored under a key can be found by
/// its prefix. Bytes are escaped as CockroachDB does it: 00 FF for a zero byte, 00 01 at the end. (The single 00 that
/// ends them in FoundationDB's tuple layer would make "a" a prefix of "a\0".) The layout is drawn in
/// `docs/design/keys.md`.
enum KeyEncoding {
  enum Tag {
    static let bool: UInt8 = 0x10
    static let integer: UInt8 = 0x20
    static let date: UInt8 = 0x30
    static let time: UInt8 = 0x31
    static let duration: UInt8 = 0x32
    static let timestamp: UInt8 = 0x33
    static let zonedTimestamp: UInt8 = 0x34
    static let decimal: UInt8 = 0x40
    static let utf8: UInt8 = 0x50
    static let binary: UInt8 = 0x51
  }

  /// What follows a 00 within bytes, and the 00 that ends them.
  private static let zeroByte: UInt8 = 0xFF
  static let end: UInt8 = 0x01

  /// Appends the part of class `keyClass` with this integer (as `KeyReader` gives it).
  static func append(integer: Int64, _ keyClass: KeyClass, to bytes: inout [UInt8]) {
    switch keyClass {
    case .bool:
      bytes.append(Tag.bool)
      bytes.append(integer == 0 ? 0 : 1)
    case .signed:
      bytes.append(Tag.integer)
      bytes.append(integer < 0 ? 0 : 1)
      append(bigEndian: UInt64(bitPattern: integer), to: &bytes)
    case .unsigned:
      // The reader flips the top bit, so that signed comparison orders unsigned values.
      bytes.append(Tag.integer)
      bytes.append(1)
      append(bigEndian: UInt64(bitPattern: integer ^ Int64.min), to: &bytes)
    case .date:
      bytes.append(Tag.date)
      append(ordered: integer, to: &bytes)
    case .time(let unit):
      bytes.append(Tag.time)
      append(instant: integer, unit, to: &bytes)
    case .duration(let unit):
      bytes.append(Tag.duration)
      append(instant: integer, unit, to: &bytes)
    case .timestamp(let unit, let zoned):
      bytes.append(zoned ? Tag.zonedTimestamp : Tag.timestamp)
      append(instant: integer, unit, to: &bytes)
    case .utf8, .binary, .decimal, .null:
      preconditionFailure("a key of class \(keyClass) is not an integer")
    }
  }

  /// Appends a utf8, binary or decimal part.
  static func append(bytes part: UnsafeRawBufferPointer, _ keyClass: KeyClass, to bytes: inout [UInt8]) {
    switch keyClass {
    case .utf8, .binary:
      bytes.append(keyClass == .utf8 ? Tag.utf8 : Tag.binary)
      for byte in part {
        bytes.append(byte)
        if byte == 0 { bytes.append(zeroByte) }
      }
      bytes.append(0)
      bytes.append(end)
    case .decimal(let scale):
      bytes.append(Tag.decimal)
      bytes.append(UInt8(truncatingIfNeeded: scale) ^ 0x80)
      // Little-endian two's complement to big-endian with the sign flipped.
      bytes.append(part[15] ^ 0x80)
      for index in stride(from: 14, through: 0, by: -1) { bytes.append(part[index]) }
    case .bool, .signed, .unsigned, .date, .time, .duration, .timestamp, .null:
      preconditionFailure("a key of class \(keyClass) is not bytes")
    }
  }

  private static func append(bigEndian value: UInt64, to bytes: inout [UInt8]) {
    withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
  }

  private static func append(ordered value: Int64, to bytes: inout [UInt8]) {
    append(bigEndian: UInt64(bitPattern: value ^ Int64.min), to: &bytes)
  }

  /// Seconds and nanoseconds, so that one moment is one key in every unit.
  private static func append(instant value: Int64, _ unit: TimeUnit, to bytes: inout [UInt8]) {
    let perSecond = unit.perSecond
    var (seconds, fraction) = value.quotientAndRemainder(dividingBy: perSecond)
    if fraction < 0 {
      seconds -= 1
      fraction += perSecond
    }
    append(ordered: seconds, to: &bytes)
    withUnsafeBytes(of: UInt32(fraction * (1_000_000_000 / perSecond)).bigEndian) { bytes.append(contentsOf: $0) }
  }
}

extension KeyEncoding {
  /// One decoded part.
  enum Decoded {
    case integer(Int64)
    case bytes([UInt8])
  }

  /// Takes the part at the front of `bytes`, which this module encoded, off it.
  static func decodePart(_ keyClass: KeyClass, from bytes: inout Slice<UnsafeRawBufferPointer>) -> Decoded {
    bytes.removeFirst()
    switch keyClass {
    case .bool:
      return .integer(Int64(bytes.removeFirst()))
    case .signed:
      bytes.removeFirst()
      return .integer(Int64(bitPattern: takeBigEndian(from: &bytes)))
    case .unsigned:
      bytes.removeFirst()
      return .integer(Int64(bitPattern: takeBigEndian(from: &bytes)) ^ Int64.min)
    case .date:
      return .integer(takeOrdered(from: &bytes))
    case .time(let unit), .duration(let unit), .timestamp(let unit, _):
      let seconds = takeOrdered(from: &bytes)
      var nanos: Int64 = 0
      for _ in 0..<4 { nanos = nanos << 8 | Int64(bytes.removeFirst()) }
      return .integer(seconds &* unit.perSecond &+ nanos / (1_000_000_000 / unit.perSecond))
    case .utf8, .binary:
      var part: [UInt8] = []
      while true {
        let byte = bytes.removeFirst()
        if byte == 0 {
          guard bytes.removeFirst() == zeroByte else { return .bytes(part) }
        }
        part.append(byte)
      }
    case .decimal:
      bytes.removeFirst()
      var part = [UInt8](bytes.prefix(16))
      bytes.removeFirst(16)
      part[0] ^= 0x80
      part.reverse()
      return .bytes(part)
    case .null:
      preconditionFailure("there are no null keys")
    }
  }

  private static func takeBigEndian(from bytes: inout Slice<UnsafeRawBufferPointer>) -> UInt64 {
    var value: UInt64 = 0
    for _ in 0..<8 { value = value << 8 | UInt64(bytes.removeFirst()) }
    return value
  }

  private static func takeOrdered(from bytes: inout Slice<UnsafeRawBufferPointer>) -> Int64 {
    Int64(bitPattern: takeBigEndian(from: &bytes)) ^ Int64.min
  }
}

extension TimeUnit {
  /// Ticks in a second.
  var perSecond: Int64 {
    switch self {
    case .second: 1
    case .milli: 1_000
    case .micro: 1_000_000
    case .nano: 1_000_000_000
    }
  }
}
