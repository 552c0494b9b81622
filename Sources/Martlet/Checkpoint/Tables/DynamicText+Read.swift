// From the text of a value back to its bytes.

extension DynamicText {
  struct Fault: Error {
    let what: String
  }

  /// The bytes that a state holds for the value of this text. `isNull`: the value is None.
  static func bytes(of text: UnsafeRawBufferPointer) throws(Fault) -> (bytes: [UInt8], isNull: Bool) {
    let value = try parse(text)
    if case .object(let entries) = value, let raw = word("$raw", entries) { return (try base64(raw), false) }
    var bytes: [UInt8] = []
    try append(value, to: &bytes)
    if case .null = value { return (bytes, true) }
    return (bytes, false)
  }

  static func parse(_ text: UnsafeRawBufferPointer) throws(Fault) -> JSONValue {
    do throws(JSONParser.Fault) { return try JSONParser.parse(text) } catch {
      throw Fault(what: "it is not JSON: \(error.what) at byte \(error.offset)")
    }
  }

  /// What an object of one entry says with this word.
  static func word(_ word: StaticString, _ entries: [(key: [UInt8], value: JSONValue)]) -> JSONValue? {
    guard entries.count == 1, entries[0].key == Array("\(word)".utf8) else { return nil }
    return entries[0].value
  }

  static func base64(_ value: JSONValue) throws(Fault) -> [UInt8] {
    guard case .text(let text) = value, let bytes = Base64.decode(text) else {
      throw Fault(what: "what follows \"$bytes\" or \"$raw\" is not Base64 in quotes")
    }
    return bytes
  }

  private static func append(_ value: JSONValue, to bytes: inout [UInt8]) throws(Fault) {
    switch value {
    case .null: bytes.append(7 << 5 | 22)
    case .bool(let value): bytes.append(7 << 5 | (value ? 21 : 20))
    case .integer(let isNegative, let digits):
      guard digits.count <= 40_000 else { throw Fault(what: "it has an integer of \(digits.count) digits; use $raw") }
      append(isNegative, digits, to: &bytes)
    case .float(let value): append(value.bitPattern, to: &bytes)
    case .text(let text):
      appendHead(3, UInt64(text.count), to: &bytes)
      bytes += text
    case .array(let items): try append(items, to: &bytes)
    case .object(let entries): try append(entries, to: &bytes)
    }
  }

  private static func append(_ items: [JSONValue], to bytes: inout [UInt8]) throws(Fault) {
    appendHead(4, UInt64(items.count), to: &bytes)
    for item in items { try append(item, to: &bytes) }
  }

  private static func append(
    _ entries: [(key: [UInt8], value: JSONValue)], to bytes: inout [UInt8]
  ) throws(Fault) {
    if let value = word("$bytes", entries) {
      let block = try base64(value)
      appendHead(2, UInt64(block.count), to: &bytes)
      bytes += block
    } else if let value = word("$tuple", entries) {
      guard case .array(let items) = value else { throw Fault(what: "\"$tuple\" is followed by a list") }
      appendHead(6, tupleTag, to: &bytes)
      try append(items, to: &bytes)
    } else if let value = word("$float", entries) {
      append(try bits(of: value), to: &bytes)
    } else if let value = word("$dict", entries) {
      guard case .array(let pairs) = value else { throw Fault(what: "\"$dict\" is followed by a list of pairs") }
      appendHead(5, UInt64(pairs.count), to: &bytes)
      for pair in pairs {
        guard case .array(let both) = pair, both.count == 2 else {
          throw Fault(what: "\"$dict\" is followed by a list of pairs")
        }
        if isNested(both[0]) { throw Fault(what: "the key of a dict is None, bool, int, float, str or bytes") }
        try append(both[0], to: &bytes)
        try append(both[1], to: &bytes)
      }
    } else if word("$raw", entries) != nil {
      throw Fault(what: "\"$raw\" stands for a whole value, and not within one")
    } else {
      appendHead(5, UInt64(entries.count), to: &bytes)
      for entry in entries {
        try append(.text(entry.key), to: &bytes)
        try append(entry.value, to: &bytes)
      }
    }
  }

  private static func isNested(_ value: JSONValue) -> Bool {
    switch value {
    case .array: true
    case .object(let entries): word("$bytes", entries) == nil && word("$float", entries) == nil
    case .null, .bool, .integer, .float, .text: false
    }
  }

  private static func bits(of value: JSONValue) throws(Fault) -> UInt64 {
    guard case .text(let text) = value else { throw Fault(what: "\"$float\" is followed by a text") }
    let word = String(decoding: text, as: UTF8.self)
    switch word {
    case "nan": return Double.nan.bitPattern
    case "inf": return Double.infinity.bitPattern
    case "-inf": return (-Double.infinity).bitPattern
    default:
      guard text.count == 16, let bits = UInt64(word, radix: 16) else {
        throw Fault(what: "\"$float\" is followed by \"nan\", \"inf\", \"-inf\" or 16 hexadecimal digits")
      }
      return bits
    }
  }

  private static func append(_ bits: UInt64, to bytes: inout [UInt8]) {
    bytes.append(7 << 5 | 27)
    withUnsafeBytes(of: bits.bigEndian) { bytes.append(contentsOf: $0) }
  }

  private static func append(_ isNegative: Bool, _ digits: [UInt8], to bytes: inout [UInt8]) {
    var number = BigDecimal(digits: digits)
    let isNegative = isNegative && !number.isZero
    // A negative number is -1 - n.
    if isNegative { number.subtractOne() }
    let magnitude = number.bytes
    guard magnitude.count > 8 else {
      return appendHead(isNegative ? 1 : 0, magnitude.reduce(0) { $0 << 8 | UInt64($1) }, to: &bytes)
    }
    appendHead(6, isNegative ? 3 : 2, to: &bytes)
    appendHead(2, UInt64(magnitude.count), to: &bytes)
    bytes += magnitude
  }

  /// The shortest head.
  private static func appendHead(_ major: UInt8, _ argument: UInt64, to bytes: inout [UInt8]) {
    let extra = argument < 24 ? 0 : argument <= 0xFF ? 1 : argument <= 0xFFFF ? 2 : argument <= 0xFFFF_FFFF ? 4 : 8
    let code: UInt8 =
      switch extra {
      case 0: UInt8(argument)
      case 1: 24
      case 2: 25
      case 4: 26
      default: 27
      }
    bytes.append(major << 5 | code)
    for index in (0..<extra).reversed() { bytes.append(UInt8(argument >> UInt64(8 * index) & 0xFF)) }
  }
}
