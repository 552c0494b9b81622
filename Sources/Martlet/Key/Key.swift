import CMartlet

/// The key of the current callback, borrowed for its duration.
///
/// A key is one value, or several if the stream is keyed by several columns: then `key[0]`, `key[1]` … are its parts.
public struct Key: BitwiseCopyable {
  @usableFromInline let parts: UnsafePointer<martlet_key_part>
  /// How many columns the key has.
  public let count: Int

  @usableFromInline
  init(_ parts: UnsafePointer<martlet_key_part>, _ count: Int) {
    self.parts = parts
    self.count = count
  }

  /// Part `index` as a key of its own.
  @inlinable
  public subscript(index: Int) -> Key {
    precondition(index >= 0 && index < count, "the key has \(count) parts")
    return Key(parts + index, 1)
  }

  /// The value of an integer, bool, date, time or timestamp key, in the column's own unit. 0 for other keys.
  @inlinable @inline(__always)
  public var int64: Int64 { parts.pointee.integer }

  /// The bytes of a string or binary key; empty for other keys.
  @inlinable @inline(__always)
  public var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: parts.pointee.bytes, count: Int(parts.pointee.length))
  }

  /// The text of a string key.
  public var string: String { String(decoding: bytes, as: UTF8.self) }
}

extension Key: CustomStringConvertible {
  /// As messages show it: `42`, `'user-1'`, `(7, 'a')`.
  public var description: String {
    let texts = (0..<count).map { Key.describe(parts[$0]) }
    return count == 1 ? texts[0] : "(" + texts.joined(separator: ", ") + ")"
  }

  private static func describe(_ part: martlet_key_part) -> String {
    let type = part.field.pointee.type
    switch part.kind {
    case Int32(MARTLET_KEY_UNSIGNED.rawValue):
      return "\(UInt64(bitPattern: part.integer))"
    case Int32(MARTLET_KEY_BYTES.rawValue):
      let bytes = UnsafeRawBufferPointer(start: part.bytes, count: Int(part.length))
      let isText = [MARTLET_TYPE_UTF8, MARTLET_TYPE_LARGE_UTF8, MARTLET_TYPE_UTF8_VIEW].contains {
        Int32($0.rawValue) == type
      }
      return isText ? "'\(String(decoding: bytes, as: UTF8.self))'" : hexText(bytes)
    case Int32(MARTLET_KEY_DECIMAL.rawValue):
      return "decimal " + hexText(UnsafeRawBufferPointer(start: part.bytes, count: Int(part.length)))
    default:
      return type == Int32(MARTLET_TYPE_BOOL.rawValue) ? "\(part.integer != 0)" : "\(part.integer)"
    }
  }

  private static func hexText(_ bytes: UnsafeRawBufferPointer) -> String {
    "0x" + bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
  }
}
