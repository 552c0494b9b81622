/// Whether bytes are well-formed UTF-8 (Unicode 15, table 3-7), eight ASCII bytes at a time.
enum UTF8Check {
  static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard let base = bytes.baseAddress else { return true }
    let count = bytes.count
    // ASCII, which most strings are: whole words, the last one overlapping the one before.
    if count >= 8 {
      var word = 8
      var seen = base.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
      while word < count {
        seen |= base.loadUnaligned(fromByteOffset: word &- 8, as: UInt64.self)
        word &+= 8
      }
      if seen & 0x8080_8080_8080_8080 == 0 { return true }
    }
    return isWellFormed(base, count)
  }

  @inline(never)
  private static func isWellFormed(_ base: UnsafeRawPointer, _ count: Int) -> Bool {
    var position = 0
    while position < count {
      if position + 8 <= count,
        base.loadUnaligned(fromByteOffset: position, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
      {
        position += 8
        continue
      }
      let lead = base.load(fromByteOffset: position, as: UInt8.self)
      if lead < 0x80 {
        position += 1
        continue
      }
      // What may follow: how many bytes, and the range of the first, which excludes overlong forms, surrogates and
      // what lies beyond U+10FFFF.
      let (length, low, high): (Int, UInt8, UInt8)
      switch lead {
      case 0xC2...0xDF: (length, low, high) = (2, 0x80, 0xBF)
      case 0xE0: (length, low, high) = (3, 0xA0, 0xBF)
      case 0xED: (length, low, high) = (3, 0x80, 0x9F)
      case 0xE1...0xEF: (length, low, high) = (3, 0x80, 0xBF)
      case 0xF0: (length, low, high) = (4, 0x90, 0xBF)
      case 0xF1...0xF3: (length, low, high) = (4, 0x80, 0xBF)
      case 0xF4: (length, low, high) = (4, 0x80, 0x8F)
      default: return false
      }
      guard position + length <= count else { return false }
      let second = base.load(fromByteOffset: position + 1, as: UInt8.self)
      guard second >= low, second <= high else { return false }
      for offset in 2..<max(2, length) where base.load(fromByteOffset: position + offset, as: UInt8.self) & 0xC0 != 0x80
      { return false }
      position += length
    }
    return true
  }
}
