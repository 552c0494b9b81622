/// Little-endian bitmaps as Arrow uses them for validity and booleans: bit `i` is bit `i % 8` of byte `i / 8`.
enum Bitmap {
  static func byteCount(_ bits: Int) -> Int { (bits + 7) >> 3 }

  @inline(__always)
  static func get(_ bitmap: UnsafePointer<UInt8>, _ bit: Int) -> Bool {
    (bitmap[bit >> 3] >> UInt8(truncatingIfNeeded: bit & 7)) & 1 != 0
  }

  @inline(__always)
  static func set(_ bitmap: UnsafeMutablePointer<UInt8>, _ bit: Int, _ value: Bool) {
    let mask = UInt8(1) << UInt8(truncatingIfNeeded: bit & 7)
    if value { bitmap[bit >> 3] |= mask } else { bitmap[bit >> 3] &= ~mask }
  }

  /// Set bits in `[from, from + count)`.
  static func popcount(_ bitmap: UnsafePointer<UInt8>, from: Int, count: Int) -> Int {
    var bit = from
    let end = from + count
    var total = 0
    while bit < end && bit & 7 != 0 {
      total += get(bitmap, bit) ? 1 : 0
      bit += 1
    }
    while bit + 64 <= end {
      total += UnsafeRawPointer(bitmap + (bit >> 3)).loadUnaligned(as: UInt64.self).nonzeroBitCount
      bit += 64
    }
    while bit < end {
      total += get(bitmap, bit) ? 1 : 0
      bit += 1
    }
    return total
  }

  static func fill(_ bitmap: UnsafeMutablePointer<UInt8>, from: Int, count: Int, _ value: Bool) {
    var bit = from
    let end = from + count
    while bit < end && bit & 7 != 0 {
      set(bitmap, bit, value)
      bit += 1
    }
    let bytes = (end - bit) >> 3
    if bytes > 0 {
      (bitmap + (bit >> 3)).update(repeating: value ? 0xFF : 0, count: bytes)
      bit += bytes << 3
    }
    while bit < end {
      set(bitmap, bit, value)
      bit += 1
    }
  }

  /// Copies `count` bits from bit `from` of `source` to bit `to` of `target`.
  static func copy(
    _ source: UnsafePointer<UInt8>, from: Int, to target: UnsafeMutablePointer<UInt8>, at to: Int, count: Int
  ) {
    var read = from
    var write = to
    let end = from + count
    while read < end && write & 7 != 0 {
      set(target, write, get(source, read))
      read += 1
      write += 1
    }
    let bytes = (end - read) >> 3
    let shift = UInt8(truncatingIfNeeded: read & 7)
    if shift == 0 {
      (target + (write >> 3)).update(from: source + (read >> 3), count: bytes)
    } else {
      // All 8 bits of each target byte lie before `end`, so the second byte read is part of the source.
      for byte in 0..<bytes {
        let low = source[(read >> 3) + byte]
        let high = source[(read >> 3) + byte + 1]
        target[(write >> 3) + byte] = (low >> shift) | (high << (8 - shift))
      }
    }
    read += bytes << 3
    write += bytes << 3
    while read < end {
      set(target, write, get(source, read))
      read += 1
      write += 1
    }
  }
}
