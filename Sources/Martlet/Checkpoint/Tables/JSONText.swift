/// A JSON document: what the text of a state's value is read into. Numbers keep what they were written as, so that no digit is lost.
indirect enum JSONValue {
  case null
  case bool(Bool)
  /// Decimal digits without leading zeros.
  case integer(isNegative: Bool, digits: [UInt8])
  case float(Double)
  /// UTF-8.
  case text([UInt8])
  case array([JSONValue])
  /// In the order they were written; no key comes twice.
  case object([(key: [UInt8], value: JSONValue)])
}

/// Reads JSON (RFC 8259), with NaN, Infinity and -Infinity beside its numbers, as Python writes them.
struct JSONParser {
  struct Fault: Error {
    let offset: Int
    let what: String
  }

  /// As deep as values of states may be.
  static let deepest = 200
  private let bytes: UnsafeRawBufferPointer
  private var offset = 0
  private var depth = 0

  static func parse(_ bytes: UnsafeRawBufferPointer) throws(Fault) -> JSONValue {
    var parser = JSONParser(bytes)
    guard UTF8Check.isValid(bytes) else { throw Fault(offset: 0, what: "it is not valid UTF-8") }
    let value = try parser.value()
    parser.skipSpace()
    guard parser.offset == bytes.count else { throw parser.fault("something follows the value") }
    return value
  }

  private init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  private func fault(_ what: String) -> Fault { Fault(offset: offset, what: what) }

  private var next: UInt8? { offset < bytes.count ? bytes[offset] : nil }

  private mutating func skipSpace() {
    while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { offset += 1 }
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard next == byte else { return false }
    offset += 1
    return true
  }

  private mutating func take(_ word: StaticString) -> Bool {
    guard bytes.count - offset >= word.utf8CodeUnitCount else { return false }
    for index in 0..<word.utf8CodeUnitCount where bytes[offset + index] != word.utf8Start[index] { return false }
    offset += word.utf8CodeUnitCount
    return true
  }

  private mutating func value() throws(Fault) -> JSONValue {
    skipSpace()
    switch next {
    case UInt8(ascii: "{"): return try nested { parser throws(Fault) in try parser.object() }
    case UInt8(ascii: "["): return try nested { parser throws(Fault) in try parser.array() }
    case UInt8(ascii: "\""): return .text(try text())
    case nil: throw fault("the text ends where a value is expected")
    default: break
    }
    if take("null") { return .null }
    if take("true") { return .bool(true) }
    if take("false") { return .bool(false) }
    if take("NaN") { return .float(.nan) }
    if take("Infinity") { return .float(.infinity) }
    if take("-Infinity") { return .float(-.infinity) }
    return try number()
  }

  private mutating func nested(
    _ body: (inout JSONParser) throws(Fault) -> JSONValue
  ) throws(Fault) -> JSONValue {
    guard depth < JSONParser.deepest else { throw fault("it is nested deeper than \(JSONParser.deepest) levels") }
    depth += 1
    defer { depth -= 1 }
    offset += 1
    return try body(&self)
  }

  private mutating func array() throws(Fault) -> JSONValue {
    var items: [JSONValue] = []
    skipSpace()
    if take(UInt8(ascii: "]")) { return .array(items) }
    while true {
      items.append(try value())
      skipSpace()
      if take(UInt8(ascii: "]")) { return .array(items) }
      guard take(UInt8(ascii: ",")) else { throw fault("',' or ']' is expected") }
    }
  }

  private mutating func object() throws(Fault) -> JSONValue {
    var entries: [(key: [UInt8], value: JSONValue)] = []
    var seen: Set<[UInt8]> = []
    skipSpace()
    if take(UInt8(ascii: "}")) { return .object(entries) }
    while true {
      skipSpace()
      guard next == UInt8(ascii: "\"") else { throw fault("a key in quotes is expected") }
      let key = try text()
      guard seen.insert(key).inserted else {
        throw fault("the key '\(String(decoding: key, as: UTF8.self))' comes twice")
      }
      skipSpace()
      guard take(UInt8(ascii: ":")) else { throw fault("':' is expected") }
      entries.append((key, try value()))
      skipSpace()
      if take(UInt8(ascii: "}")) { return .object(entries) }
      guard take(UInt8(ascii: ",")) else { throw fault("',' or '}' is expected") }
    }
  }

  // MARK: - Numbers

  private mutating func digits() -> Int {
    let start = offset
    while let byte = next, byte >= 0x30, byte <= 0x39 { offset += 1 }
    return offset - start
  }

  private mutating func number() throws(Fault) -> JSONValue {
    let start = offset
    let isNegative = take(UInt8(ascii: "-"))
    let first = offset
    let count = digits()
    guard count > 0 else {
      offset = start
      throw fault("a value is expected")
    }
    guard count == 1 || bytes[first] != 0x30 else { throw fault("a number begins with a zero") }
    var isFloat = false
    if take(UInt8(ascii: ".")) {
      isFloat = true
      guard digits() > 0 else { throw fault("a digit is expected") }
    }
    if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
      isFloat = true
      if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
      guard digits() > 0 else { throw fault("a digit is expected") }
    }
    guard isFloat else { return .integer(isNegative: isNegative, digits: Array(bytes[first..<(first + count)])) }
    let text = String(decoding: bytes[start..<offset], as: UTF8.self)
    guard let value = Double(text), value.isFinite else { throw fault("\(text) is beyond a 64-bit float") }
    return .float(value)
  }

  // MARK: - Text

  private mutating func text() throws(Fault) -> [UInt8] {
    offset += 1
    var text: [UInt8] = []
    while let byte = next {
      offset += 1
      switch byte {
      case UInt8(ascii: "\""): return text
      case UInt8(ascii: "\\"): try escape(&text)
      case 0..<0x20: throw fault("a control character in a text is written as \\u00xx")
      default: text.append(byte)
      }
    }
    throw fault("a text has no end")
  }

  private mutating func escape(_ text: inout [UInt8]) throws(Fault) {
    guard let byte = next else { throw fault("a text has no end") }
    offset += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
    case UInt8(ascii: "b"): text.append(8)
    case UInt8(ascii: "f"): text.append(12)
    case UInt8(ascii: "n"): text.append(10)
    case UInt8(ascii: "r"): text.append(13)
    case UInt8(ascii: "t"): text.append(9)
    case UInt8(ascii: "u"):
      var code = try hex4()
      if code & 0xFC00 == 0xD800 {
        guard take("\\u") else { throw fault("half of a surrogate pair is no character") }
        let low = try hex4()
        guard low & 0xFC00 == 0xDC00 else { throw fault("half of a surrogate pair is no character") }
        code = 0x10000 + (code & 0x3FF) << 10 + (low & 0x3FF)
      }
      guard let scalar = Unicode.Scalar(code) else { throw fault("half of a surrogate pair is no character") }
      text.append(contentsOf: Character(scalar).utf8)
    default: throw fault("'\\' is followed by what is no escape")
    }
  }

  private mutating func hex4() throws(Fault) -> UInt32 {
    guard bytes.count - offset >= 4 else { throw fault("four hexadecimal digits are expected") }
    var code: UInt32 = 0
    for _ in 0..<4 {
      guard let digit = Character(Unicode.Scalar(bytes[offset])).hexDigitValue else {
        throw fault("four hexadecimal digits are expected")
      }
      code = code << 4 | UInt32(digit)
      offset += 1
    }
    return code
  }
}

/// Base64 (RFC 4648, with padding).
enum Base64 {
  private static let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  static func append(_ bytes: UnsafeRawBufferPointer, to text: inout [UInt8]) {
    var position = 0
    while position < bytes.count {
      let rest = bytes.count - position
      let word =
        UInt32(bytes[position]) << 16 | (rest > 1 ? UInt32(bytes[position + 1]) << 8 : 0)
        | (rest > 2 ? UInt32(bytes[position + 2]) : 0)
      text.append(letters[Int(word >> 18)])
      text.append(letters[Int(word >> 12 & 63)])
      text.append(rest > 1 ? letters[Int(word >> 6 & 63)] : UInt8(ascii: "="))
      text.append(rest > 2 ? letters[Int(word & 63)] : UInt8(ascii: "="))
      position += 3
    }
  }

  /// Nil for what is no Base64.
  static func decode(_ text: [UInt8]) -> [UInt8]? {
    guard text.count % 4 == 0 else { return nil }
    var bytes: [UInt8] = []
    var word: UInt32 = 0
    let padding = text.last == UInt8(ascii: "=") ? (text[text.count - 2] == UInt8(ascii: "=") ? 2 : 1) : 0
    for (position, letter) in text.enumerated() {
      let value: UInt32
      switch letter {
      case 0x41...0x5A: value = UInt32(letter) - 0x41
      case 0x61...0x7A: value = UInt32(letter) - 0x61 + 26
      case 0x30...0x39: value = UInt32(letter) - 0x30 + 52
      case UInt8(ascii: "+"): value = 62
      case UInt8(ascii: "/"): value = 63
      case UInt8(ascii: "=") where position >= text.count - padding: value = 0
      default: return nil
      }
      word = word << 6 | value
      if position % 4 == 3 {
        bytes.append(UInt8(word >> 16 & 0xFF))
        bytes.append(UInt8(word >> 8 & 0xFF))
        bytes.append(UInt8(word & 0xFF))
        word = 0
      }
    }
    bytes.removeLast(padding)
    return bytes
  }
}
