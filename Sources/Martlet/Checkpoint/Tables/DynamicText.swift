/// The text of a value that was stored without a type (`docs/design/values.md`): JSON, with words for what JSON lacks, so that
/// the same value comes back.
///
/// | value | text |
/// |---|---|
/// | None, bool, int of any size, str, list, dict with str keys | as in JSON |
/// | float | always with a point or an exponent; `{"$float": "nan"}`, `"inf"`, `"-inf"`, another NaN as its 16 hexadecimal digits |
/// | bytes | `{"$bytes": "…"}`, Base64 |
/// | tuple | `{"$tuple": […]}` |
/// | dict with other keys, or with only one key that begins with `$` | `{"$dict": [[key, value], …]}` |
/// | bytes that are no such value | `{"$raw": "…"}`, Base64, for the whole |
enum DynamicText {
  static let tupleTag: UInt64 = 19_796
  private static let deepest = 202
  /// Bytes of an integer that is written in digits; a longer one is `$raw`.
  static let longestInteger: UInt64 = 16_384

  /// Appends the text of a value's bytes.
  static func append(_ bytes: UnsafeRawBufferPointer, to text: inout [UInt8]) {
    let start = text.count
    var reader = CBORReader(bytes)
    do throws(CBORReader.Malformed) {
      try append(&reader, to: &text, depth: 0)
      guard reader.isAtEnd else { throw CBORReader.Malformed() }
    } catch {
      text.removeLast(text.count - start)
      appendWord("$raw", to: &text) { Base64.append(bytes, to: &$0) }
    }
  }

  /// `{"word":"…"}`.
  static func appendWord(_ word: StaticString, to text: inout [UInt8], _ body: (inout [UInt8]) -> Void) {
    text.append(contentsOf: "{\"\(word)\":\"".utf8)
    body(&text)
    text.append(contentsOf: "\"}".utf8)
  }

  static func append(quoted bytes: UnsafeRawBufferPointer, to text: inout [UInt8]) {
    text.append(UInt8(ascii: "\""))
    for byte in bytes {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        text.append(UInt8(ascii: "\\"))
        text.append(byte)
      case 8: text.append(contentsOf: "\\b".utf8)
      case 9: text.append(contentsOf: "\\t".utf8)
      case 10: text.append(contentsOf: "\\n".utf8)
      case 12: text.append(contentsOf: "\\f".utf8)
      case 13: text.append(contentsOf: "\\r".utf8)
      case 0..<0x20:
        text.append(contentsOf: "\\u00".utf8)
        text.append(contentsOf: hex(UInt64(byte), digits: 2))
      default: text.append(byte)
      }
    }
    text.append(UInt8(ascii: "\""))
  }

  static func hex(_ value: UInt64, digits: Int) -> [UInt8] {
    (0..<digits).map { position in
      let digit = UInt8(value >> UInt64(4 * (digits - 1 - position)) & 15)
      return digit < 10 ? 0x30 + digit : 0x57 + digit
    }
  }

  private static func append(
    _ reader: inout CBORReader, to text: inout [UInt8], depth: Int
  ) throws(CBORReader.Malformed) {
    guard depth < deepest else { throw CBORReader.Malformed() }
    let head = try reader.head()
    switch head.major {
    case 0: text.append(contentsOf: String(head.argument).utf8)
    case 1: append(negative: head.argument, to: &text)
    case 2:
      let bytes = try reader.take(head.argument)
      appendWord("$bytes", to: &text) { Base64.append(bytes, to: &$0) }
    case 3:
      let bytes = try reader.take(head.argument)
      guard UTF8Check.isValid(bytes) else { throw CBORReader.Malformed() }
      append(quoted: bytes, to: &text)
    case 4: try appendItems(head.argument, &reader, to: &text, depth)
    case 5: try appendEntries(head.argument, &reader, to: &text, depth)
    case 6:
      switch head.argument {
      case 2, 3:
        let block = try reader.head()
        // Their decimal digits take a time that grows with the square of the length.
        guard block.major == 2, block.argument <= longestInteger else { throw CBORReader.Malformed() }
        append(big: try reader.take(block.argument), isNegative: head.argument == 3, to: &text)
      case tupleTag:
        let block = try reader.head()
        guard block.major == 4 else { throw CBORReader.Malformed() }
        text.append(contentsOf: "{\"$tuple\":".utf8)
        try appendItems(block.argument, &reader, to: &text, depth)
        text.append(UInt8(ascii: "}"))
      default: throw CBORReader.Malformed()
      }
    default:
      switch head.code {
      case 20: text.append(contentsOf: "false".utf8)
      case 21: text.append(contentsOf: "true".utf8)
      case 22: text.append(contentsOf: "null".utf8)
      case 27: append(Double(bitPattern: head.argument), to: &text)
      default: throw CBORReader.Malformed()
      }
    }
  }

  private static func appendItems(
    _ count: UInt64, _ reader: inout CBORReader, to text: inout [UInt8], _ depth: Int
  ) throws(CBORReader.Malformed) {
    text.append(UInt8(ascii: "["))
    var rest = count
    while rest > 0 {
      if rest < count { text.append(UInt8(ascii: ",")) }
      try append(&reader, to: &text, depth: depth + 1)
      rest -= 1
    }
    text.append(UInt8(ascii: "]"))
  }

  private static func appendEntries(
    _ count: UInt64, _ reader: inout CBORReader, to text: inout [UInt8], _ depth: Int
  ) throws(CBORReader.Malformed) {
    let isPlain = try reader.hasPlainKeys(count)
    text.append(contentsOf: (isPlain ? "{" : "{\"$dict\":[").utf8)
    var rest = count
    while rest > 0 {
      if rest < count { text.append(UInt8(ascii: ",")) }
      if !isPlain { text.append(UInt8(ascii: "[")) }
      try append(&reader, to: &text, depth: depth + 1)
      text.append(UInt8(ascii: isPlain ? ":" : ","))
      try append(&reader, to: &text, depth: depth + 1)
      if !isPlain { text.append(UInt8(ascii: "]")) }
      rest -= 1
    }
    text.append(contentsOf: (isPlain ? "}" : "]}").utf8)
  }

  private static func append(negative argument: UInt64, to text: inout [UInt8]) {
    text.append(UInt8(ascii: "-"))
    // -1 - argument, whose magnitude may be 2^64.
    let (magnitude, overflow) = argument.addingReportingOverflow(1)
    text.append(contentsOf: (overflow ? "18446744073709551616" : String(magnitude)).utf8)
  }

  private static func append(_ value: Double, to text: inout [UInt8]) {
    guard !value.isFinite else { return text.append(contentsOf: value.description.utf8) }
    appendWord("$float", to: &text) { text in
      if value.isNaN, value.bitPattern != Double.nan.bitPattern {
        text.append(contentsOf: hex(value.bitPattern, digits: 16))
      } else {
        text.append(contentsOf: (value.isNaN ? "nan" : value < 0 ? "-inf" : "inf").utf8)
      }
    }
  }

  private static func append(big bytes: UnsafeRawBufferPointer, isNegative: Bool, to text: inout [UInt8]) {
    var number = BigDecimal(bigEndian: bytes)
    if isNegative {
      number.addOne()
      text.append(UInt8(ascii: "-"))
    }
    text.append(contentsOf: number.digits)
  }
}

/// Heads of CBOR items, as `docs/design/values.md` has them.
struct CBORReader {
  struct Malformed: Error {}

  private let bytes: UnsafeRawBufferPointer
  private var offset = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  var isAtEnd: Bool { offset == bytes.count }

  mutating func head() throws(Malformed) -> (major: UInt8, code: UInt8, argument: UInt64) {
    guard offset < bytes.count else { throw Malformed() }
    let head = bytes[offset]
    offset += 1
    let code = head & 31
    guard code >= 24 else { return (head >> 5, code, UInt64(code)) }
    guard code <= 27 else { throw Malformed() }
    let extra = 1 << Int(code - 24)
    guard bytes.count - offset >= extra else { throw Malformed() }
    var argument: UInt64 = 0
    for _ in 0..<extra {
      argument = argument << 8 | UInt64(bytes[offset])
      offset += 1
    }
    return (head >> 5, code, argument)
  }

  mutating func take(_ count: UInt64) throws(Malformed) -> UnsafeRawBufferPointer {
    guard count <= UInt64(bytes.count - offset) else { throw Malformed() }
    defer { offset += Int(count) }
    return UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + Int(count))])
  }

  /// Whether the entries that follow are those of a JSON object, and not of one that stands for something else.
  func hasPlainKeys(_ count: UInt64) throws(Malformed) -> Bool {
    var ahead = self
    var rest = count
    while rest > 0 {
      let head = try ahead.head()
      guard head.major == 3 else { return false }
      let key = try ahead.take(head.argument)
      if count == 1, key.first == UInt8(ascii: "$") { return false }
      try ahead.skip(depth: 0)
      rest -= 1
    }
    return true
  }

  private mutating func skip(depth: Int) throws(Malformed) {
    guard depth < 210 else { throw Malformed() }
    let head = try head()
    var items: UInt64 = 0
    switch head.major {
    case 2, 3: _ = try take(head.argument)
    case 4: items = head.argument
    case 5:
      guard head.argument <= UInt64(bytes.count) else { throw Malformed() }
      items = 2 * head.argument
    case 6: items = 1
    default: break
    }
    while items > 0 {
      try skip(depth: depth + 1)
      items -= 1
    }
  }
}

/// A whole number of any size on its way between decimal digits and bytes.
struct BigDecimal {
  /// In base 10⁹, the least first.
  private var limbs: [UInt64] = []
  private static let base: UInt64 = 1_000_000_000

  init(bigEndian bytes: UnsafeRawBufferPointer) {
    for byte in bytes { multiply(by: 256, adding: UInt64(byte)) }
  }

  init(digits: [UInt8]) {
    var end = digits.count
    while end > 0 {
      let start = max(0, end - 9)
      limbs.append(digits[start..<end].reduce(0) { $0 * 10 + UInt64($1 - 0x30) })
      end = start
    }
    trim()
  }

  private mutating func trim() { while limbs.last == 0 { limbs.removeLast() } }

  var isZero: Bool { limbs.isEmpty }

  private mutating func multiply(by factor: UInt64, adding value: UInt64) {
    var carry = value
    for index in limbs.indices {
      let product = limbs[index] * factor + carry
      limbs[index] = product % BigDecimal.base
      carry = product / BigDecimal.base
    }
    if carry > 0 { limbs.append(carry) }
  }

  mutating func addOne() { multiply(by: 1, adding: 1) }

  /// Of a number above 0.
  mutating func subtractOne() {
    for index in limbs.indices {
      if limbs[index] > 0 {
        limbs[index] -= 1
        break
      }
      limbs[index] = BigDecimal.base - 1
    }
    trim()
  }

  var digits: [UInt8] {
    guard let first = limbs.last else { return [0x30] }
    var digits = Array(String(first).utf8)
    for limb in limbs.dropLast().reversed() {
      let text = Array(String(limb).utf8)
      digits += Array(repeating: 0x30, count: 9 - text.count) + text
    }
    return digits
  }

  /// Big-endian, the shortest.
  var bytes: [UInt8] {
    var rest = self
    var bytes: [UInt8] = []
    while !rest.isZero {
      var remainder: UInt64 = 0
      for index in rest.limbs.indices.reversed() {
        let value = remainder * BigDecimal.base + rest.limbs[index]
        rest.limbs[index] = value >> 8
        remainder = value & 0xFF
      }
      rest.trim()
      bytes.append(UInt8(remainder))
    }
    return bytes.reversed()
  }
}
