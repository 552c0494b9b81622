import Testing

@testable import Martlet

/// The canonical bytes of keys: reversible, ordered as the values are, and none the beginning of another.
@Suite struct KeyEncodingTests {
  /// One part of a key, as the encoder takes it.
  struct Part: Hashable {
    enum Payload: Hashable {
      case integer(Int64)
      case bytes([UInt8])
    }
    var payload: Payload
  }

  static let classes: [KeyClass] =
    [.bool, .signed, .unsigned, .utf8, .binary, .date, .decimal(scale: 0), .decimal(scale: -3), .decimal(scale: 9)]
    + TimeUnit.allCases.flatMap { unit in
      [.time(unit), .duration(unit), .timestamp(unit, zoned: false), .timestamp(unit, zoned: true)]
    }

  @Test(arguments: classes.indices, UInt64(1)...4)
  func roundTripsAndOrders(_ position: Int, seed: UInt64) {
    let keyClass = KeyEncodingTests.classes[position]
    var random = SeededGenerator(seed)
    var parts = edges(keyClass)
    for _ in 0..<60 { parts.append(sample(keyClass, &random)) }
    let keys = parts.map { (part: $0, encoded: encode($0, keyClass)) }
    for key in keys {
      #expect(decode(key.encoded, [keyClass]) == [key.part], "\(keyClass), seed \(seed)")
    }
    for a in keys {
      for b in keys where a.part != b.part {
        let ordered = a.encoded.lexicographicallyPrecedes(b.encoded)
        #expect(ordered == precedes(a.part, b.part, keyClass), "\(a.part) and \(b.part) of \(keyClass), seed \(seed)")
        #expect(!b.encoded.starts(with: a.encoded), "\(a.part) begins \(b.part) of \(keyClass), seed \(seed)")
      }
    }
  }

  /// Composite keys compare part by part, whatever bytes the parts hold.
  @Test(arguments: UInt64(1)...40)
  func compositesCompareByPart(seed: UInt64) {
    var random = SeededGenerator(seed)
    let classes = (0..<Int.random(in: 2...4, using: &random)).map { _ in
      KeyEncodingTests.classes.randomElement(using: &random)!
    }
    let keys = (0..<40).map { _ in
      classes.map { random.chance(60) ? edges($0).randomElement(using: &random)! : sample($0, &random) }
    }
    for a in keys {
      let encodedA = zip(a, classes).flatMap { encode($0, $1) }
      #expect(decode(encodedA, classes) == a, "\(classes), seed \(seed)")
      for b in keys where a != b {
        let encodedB = zip(b, classes).flatMap { encode($0, $1) }
        let first = a.indices.first { a[$0] != b[$0] }!
        let expected = precedes(a[first], b[first], classes[first])
        #expect(encodedA.lexicographicallyPrecedes(encodedB) == expected, "\(a) and \(b) of \(classes), seed \(seed)")
        #expect(!encodedB.starts(with: encodedA), "\(a) begins \(b) of \(classes), seed \(seed)")
      }
    }
  }

  /// `1`, `true`, "1", the bytes of "1", a date and a time are six keys; one number is one key in every width.
  @Test func identityIsByTypeAndValue() {
    let keys: [(Part, KeyClass)] = [
      (Part(payload: .integer(1)), .signed), (Part(payload: .integer(1)), .bool),
      (Part(payload: .bytes([0x31])), .utf8), (Part(payload: .bytes([0x31])), .binary),
      (Part(payload: .integer(1)), .date), (Part(payload: .integer(1)), .time(.second)),
      (Part(payload: .integer(1)), .duration(.second)), (Part(payload: .integer(1)), .timestamp(.second, zoned: false)),
      (Part(payload: .integer(1)), .timestamp(.second, zoned: true)),
      (Part(payload: .bytes([1] + Array(repeating: 0, count: 15))), .decimal(scale: 0)),
      (Part(payload: .bytes([1] + Array(repeating: 0, count: 15))), .decimal(scale: 1)),
    ]
    #expect(Set(keys.map { encode($0.0, $0.1) }).count == keys.count)
    // The reader flips the top bit of unsigned integers.
    #expect(encode(Part(payload: .integer(1 ^ .min)), .unsigned) == encode(Part(payload: .integer(1)), .signed))
    #expect(encode(Part(payload: .integer(.max)), .unsigned) > encode(Part(payload: .integer(.max)), .signed))
  }

  @Test func oneMomentIsOneKeyInEveryUnit() {
    let units: [(TimeUnit, Int64)] = [(.second, 1), (.milli, 1000), (.micro, 1_000_000), (.nano, 1_000_000_000)]
    for seconds: Int64 in [-3_000_000_000, -1, 0, 1, 1_700_000_000] {
      let encodings = units.map { unit, scale in
        encode(Part(payload: .integer(seconds * scale)), .timestamp(unit, zoned: true))
      }
      #expect(Set(encodings).count == 1, "\(seconds) s")
    }
  }

  /// The layout, byte by byte: checkpoints and the division of work depend on it.
  @Test func layout() {
    #expect(encode(Part(payload: .integer(-2)), .signed) == [0x20, 0] + Array(repeating: 0xFF, count: 7) + [0xFE])
    #expect(encode(Part(payload: .integer(258)), .signed) == [0x20, 1, 0, 0, 0, 0, 0, 0, 1, 2])
    #expect(encode(Part(payload: .integer(1)), .bool) == [0x10, 1])
    #expect(encode(Part(payload: .bytes([0x61, 0, 0x62])), .utf8) == [0x50, 0x61, 0, 0xFF, 0x62, 0, 1])
    #expect(encode(Part(payload: .bytes([])), .binary) == [0x51, 0, 1])
    #expect(encode(Part(payload: .integer(-1)), .date) == [0x30, 0x7F] + Array(repeating: 0xFF, count: 7))
    #expect(
      encode(Part(payload: .integer(-1)), .timestamp(.milli, zoned: false))
        == [0x33, 0x7F] + Array(repeating: 0xFF, count: 7) + [0x3B, 0x8B, 0x87, 0xC0])
  }
}

private func encode(_ part: KeyEncodingTests.Part, _ keyClass: KeyClass) -> [UInt8] {
  var bytes: [UInt8] = []
  switch part.payload {
  case .integer(let value): KeyEncoding.append(integer: value, keyClass, to: &bytes)
  case .bytes(let value): value.withUnsafeBytes { KeyEncoding.append(bytes: $0, keyClass, to: &bytes) }
  }
  return bytes
}

private func decode(_ bytes: [UInt8], _ classes: [KeyClass]) -> [KeyEncodingTests.Part] {
  bytes.withUnsafeBytes { buffer in
    var rest = buffer[...]
    let parts = classes.map { keyClass in
      switch KeyEncoding.decodePart(keyClass, from: &rest) {
      case .integer(let value): KeyEncodingTests.Part(payload: .integer(value))
      case .bytes(let value): KeyEncodingTests.Part(payload: .bytes(value))
      }
    }
    #expect(rest.isEmpty)
    return parts
  }
}

/// The order of the values themselves.
private func precedes(_ a: KeyEncodingTests.Part, _ b: KeyEncodingTests.Part, _ keyClass: KeyClass) -> Bool {
  switch (a.payload, b.payload) {
  case (.integer(let a), .integer(let b)): return a < b
  case (.bytes(let a), .bytes(let b)):
    guard case .decimal = keyClass else { return a.lexicographicallyPrecedes(b) }
    return int128(a) < int128(b)
  default: return false
  }
}

/// Little-endian two's complement as a sign-flipped high word and a low word.
private func int128(_ bytes: [UInt8]) -> (UInt64, UInt64) {
  var words: [UInt64] = [0, 0]
  for (position, byte) in bytes.enumerated() { words[position / 8] |= UInt64(byte) << UInt64(position % 8 * 8) }
  return (words[1] ^ (1 << 63), words[0])
}

private func edges(_ keyClass: KeyClass) -> [KeyEncodingTests.Part] {
  let payloads: [KeyEncodingTests.Part.Payload]
  switch keyClass {
  case .bool: payloads = [.integer(0), .integer(1)]
  case .utf8, .binary:
    payloads = [
      "", "a", "a\0", "a\0\0", "a\0b", "a\u{1}", "\0", "\0\0", "b", "ab", "\u{FF}", "longer than twelve bytes",
    ]
    .map { .bytes(Array($0.utf8)) }
  case .decimal:
    payloads = [0x00, 0x01, 0x7F, 0x80, 0xFF].flatMap { high in
      [0x00, 0xFF].map { low in .bytes(Array(repeating: low, count: 15) + [high]) }
    }
  default: payloads = [.min, .min + 1, -1001, -1000, -1, 0, 1, 255, 256, 999, .max - 1, .max].map { .integer($0) }
  }
  return payloads.map { KeyEncodingTests.Part(payload: $0) }
}

private func sample(_ keyClass: KeyClass, _ random: inout SeededGenerator) -> KeyEncodingTests.Part {
  switch keyClass {
  case .bool: return KeyEncodingTests.Part(payload: .integer(random.chance(50) ? 1 : 0))
  case .utf8, .binary:
    let count = Int.random(in: 0...16, using: &random)
    return KeyEncodingTests.Part(
      payload: .bytes((0..<count).map { _ in [0, 1, 0x61, 0xFE, 0xFF].randomElement(using: &random)! }))
  case .decimal:
    return KeyEncodingTests.Part(payload: .bytes((0..<16).map { _ in UInt8(truncatingIfNeeded: random.next()) }))
  default:
    let shift = Int64.random(in: 0..<64, using: &random)
    return KeyEncodingTests.Part(payload: .integer(Int64(bitPattern: random.next()) >> shift))
  }
}

extension [UInt8] {
  fileprivate static func > (a: [UInt8], b: [UInt8]) -> Bool { b.lexicographicallyPrecedes(a) }
}
