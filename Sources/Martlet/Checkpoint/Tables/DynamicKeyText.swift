/// The text of a map's key that was stored without a type (`docs/design/values.md`): JSON, with `{"$bytes": "…"}` for bytes and a list
/// for a tuple, which a key may be where a list may not.
enum DynamicKeyText {
  private enum Tag {
    static let none: UInt8 = 0x05
    static let bool: UInt8 = 0x10
    static let integer: UInt8 = 0x20
    static let text: UInt8 = 0x50
    static let bytes: UInt8 = 0x51
    static let tuple: UInt8 = 0x60
  }

  private static let deepest = 200
  private typealias Rest = Slice<UnsafeRawBufferPointer>

  /// Bytes that are no such key become `{"$raw": "…"}`.
  static func append(_ bytes: UnsafeRawBufferPointer, to text: inout [UInt8]) {
    let start = text.count
    var rest = bytes[...]
    if append(&rest, to: &text, depth: 0), rest.isEmpty { return }
    text.removeLast(text.count - start)
    DynamicText.appendWord("$raw", to: &text) { Base64.append(bytes, to: &$0) }
  }

  private static func append(_ rest: inout Rest, to text: inout [UInt8], depth: Int) -> Bool {
    guard depth < deepest, let tag = rest.popFirst() else { return false }
    switch tag {
    case Tag.none: text.append(contentsOf: "null".utf8)
    case Tag.bool:
      guard let value = rest.popFirst(), value <= 1 else { return false }
      text.append(contentsOf: (value == 1 ? "true" : "false").utf8)
    case Tag.integer:
      guard rest.count >= 9, let sign = rest.popFirst(), sign <= 1 else { return false }
      var bits: UInt64 = 0
      for _ in 0..<8 { bits = bits << 8 | UInt64(rest.removeFirst()) }
      text.append(contentsOf: (sign == 0 ? String(Int64(bitPattern: bits)) : String(bits)).utf8)
    case Tag.text, Tag.bytes:
      guard let part = escaped(&rest) else { return false }
      return part.withUnsafeBytes { part in
        if tag == Tag.bytes {
          DynamicText.appendWord("$bytes", to: &text) { Base64.append(part, to: &$0) }
        } else {
          guard UTF8Check.isValid(part) else { return false }
          DynamicText.append(quoted: part, to: &text)
        }
        return true
      }
    case Tag.tuple:
      text.append(UInt8(ascii: "["))
      var isFirst = true
      while let next = rest.first, next != 0 {
        if !isFirst { text.append(UInt8(ascii: ",")) }
        isFirst = false
        guard append(&rest, to: &text, depth: depth + 1) else { return false }
      }
      guard rest.popFirst() == 0 else { return false }
      text.append(UInt8(ascii: "]"))
    default: return false
    }
    return true
  }

  private static func escaped(_ rest: inout Rest) -> [UInt8]? {
    var part: [UInt8] = []
    while let byte = rest.popFirst() {
      if byte == 0 {
        guard let second = rest.popFirst() else { return nil }
        if second == KeyEncoding.end { return part }
        guard second == 0xFF else { return nil }
      }
      part.append(byte)
    }
    return nil
  }

  // MARK: - Back

  static func bytes(of text: UnsafeRawBufferPointer) throws(DynamicText.Fault) -> [UInt8] {
    let value = try DynamicText.parse(text)
    if case .object(let entries) = value, let raw = DynamicText.word("$raw", entries) {
      return try DynamicText.base64(raw)
    }
    var bytes: [UInt8] = []
    try append(value, to: &bytes)
    return bytes
  }

  private static func append(_ value: JSONValue, to bytes: inout [UInt8]) throws(DynamicText.Fault) {
    switch value {
    case .null: bytes.append(Tag.none)
    case .bool(let value): bytes += [Tag.bool, value ? 1 : 0]
    case .integer(let isNegative, let digits):
      let text = (isNegative ? "-" : "") + String(decoding: digits, as: UTF8.self)
      let bits: UInt64
      if let positive = UInt64(text) {
        bits = positive
      } else if let negative = Int64(text) {
        bits = UInt64(bitPattern: negative)
      } else {
        throw DynamicText.Fault(
          what: "the integer \(text) is out of range for a key; it is at least -2**63 and below 2**64")
      }
      bytes += [Tag.integer, isNegative && bits != 0 ? 0 : 1]
      withUnsafeBytes(of: bits.bigEndian) { bytes.append(contentsOf: $0) }
    case .text(let text): append(Tag.text, text, to: &bytes)
    case .array(let items): try append(items, to: &bytes)
    case .object(let entries):
      if let value = DynamicText.word("$bytes", entries) {
        append(Tag.bytes, try DynamicText.base64(value), to: &bytes)
      } else if case .array(let items) = DynamicText.word("$tuple", entries) {
        try append(items, to: &bytes)
      } else {
        throw noKey
      }
    case .float: throw noKey
    }
  }

  private static let noKey = DynamicText.Fault(
    what: "the key of a map is null, a bool, an integer, a text, {\"$bytes\": …} or a list of these")

  private static func append(_ items: [JSONValue], to bytes: inout [UInt8]) throws(DynamicText.Fault) {
    bytes.append(Tag.tuple)
    for item in items { try append(item, to: &bytes) }
    bytes.append(0)
  }

  private static func append(_ tag: UInt8, _ part: [UInt8], to bytes: inout [UInt8]) {
    bytes.append(tag)
    for byte in part {
      bytes.append(byte)
      if byte == 0 { bytes.append(0xFF) }
    }
    bytes += [0, KeyEncoding.end]
  }
}
