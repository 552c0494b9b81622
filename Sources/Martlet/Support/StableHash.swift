/// The hash that decides where a key lives: XXH64 with seed 0.
///
/// It must be the same on every machine, in every process and in every version of Martlet, because key groups,
/// and with them checkpoints and the division of work, are derived from it. Swift's own `Hasher` is seeded per
/// process and so never used. The algorithm and its test vectors are published at
/// https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md.
public enum StableHash {
  static let prime1: UInt64 = 0x9E37_79B1_85EB_CA87
  static let prime2: UInt64 = 0xC2B2_AE3D_27D4_EB4F
  private static let prime3: UInt64 = 0x1656_67B1_9E37_79F9
  static let prime4: UInt64 = 0x85EB_CA77_C2B2_AE63
  static let prime5: UInt64 = 0x27D4_EB2F_1656_67C5

  public static func hash(_ bytes: UnsafeRawBufferPointer, seed: UInt64 = 0) -> UInt64 {
    var offset = 0
    var result: UInt64
    if bytes.count >= 32 {
      var a = seed &+ prime1 &+ prime2
      var b = seed &+ prime2
      var c = seed
      var d = seed &- prime1
      while offset + 32 <= bytes.count {
        a = round(a, load64(bytes, offset))
        b = round(b, load64(bytes, offset + 8))
        c = round(c, load64(bytes, offset + 16))
        d = round(d, load64(bytes, offset + 24))
        offset += 32
      }
      result = rotate(a, 1) &+ rotate(b, 7) &+ rotate(c, 12) &+ rotate(d, 18)
      for lane in [a, b, c, d] {
        result = (result ^ round(0, lane)) &* prime1 &+ prime4
      }
    } else {
      result = seed &+ prime5
    }
    result &+= UInt64(bytes.count)
    return end(result, rest: UnsafeRawBufferPointer(rebasing: bytes[offset...]))
  }

  /// Takes in what is left behind the last 32 bytes, and finishes.
  @inline(__always)
  static func end(_ state: UInt64, rest bytes: UnsafeRawBufferPointer) -> UInt64 {
    var result = state
    var offset = 0
    while offset + 8 <= bytes.count {
      result = rotate(result ^ round(0, load64(bytes, offset)), 27) &* prime1 &+ prime4
      offset += 8
    }
    if offset + 4 <= bytes.count {
      let word = UInt64(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
      result = rotate(result ^ (word &* prime1), 23) &* prime2 &+ prime3
      offset += 4
    }
    while offset < bytes.count {
      result = rotate(result ^ (UInt64(bytes[offset]) &* prime5), 11) &* prime1
      offset += 1
    }
    return avalanche(result)
  }

  /// The hash of ten bytes in two steps: the first eight are those of `word`, little-endian …
  @inline(__always)
  static func begin(tenBytes word: UInt64) -> UInt64 {
    rotate((prime5 &+ 10) ^ round(0, word), 27) &* prime1 &+ prime4
  }

  /// … and `tail` the other two.
  @inline(__always)
  static func end(_ state: UInt64, tail: (UInt8, UInt8)) -> UInt64 {
    var result = rotate(state ^ (UInt64(tail.0) &* prime5), 11) &* prime1
    result = rotate(result ^ (UInt64(tail.1) &* prime5), 11) &* prime1
    return avalanche(result)
  }

  @inline(__always)
  private static func avalanche(_ hash: UInt64) -> UInt64 {
    var result = (hash ^ (hash >> 33)) &* prime2
    result = (result ^ (result >> 29)) &* prime3
    return result ^ (result >> 32)
  }

  static func round(_ accumulator: UInt64, _ lane: UInt64) -> UInt64 {
    rotate(accumulator &+ lane &* prime2, 31) &* prime1
  }

  static func rotate(_ value: UInt64, _ bits: UInt64) -> UInt64 {
    (value << bits) | (value >> (64 - bits))
  }

  static func load64(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
    UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }
}

/// The table hash for integers: one widening multiplication, both halves folded (the step wyhash is built
/// from). It never leaves the process, so it need not be stable, only quick and well spread.
@inline(__always)
func mixHash(_ value: UInt64) -> UInt64 {
  let product = (value ^ 0x2D35_8DCC_AA6C_78A5).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
  return product.high ^ product.low
}

/// The table hash for bytes, eight at a time, in the manner of wyhash. Like `mixHash` it stays in the process.
@inline(__always)
func mixHash(_ bytes: UnsafeRawPointer, _ count: Int) -> UInt64 {
  var seed = UInt64(truncatingIfNeeded: count) &* 0x9E37_79B9_7F4A_7C15
  var offset = 0
  while offset &+ 8 <= count {
    seed = mixHash(seed ^ bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    offset &+= 8
  }
  if offset < count {
    // The tail of a longer string is read as the last eight bytes, overlapping what was read before.
    if count >= 8 {
      seed = mixHash(seed ^ bytes.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self))
    } else {
      var tail: UInt64 = 0
      if count >= 4 {
        tail = UInt64(bytes.loadUnaligned(as: UInt32.self))
        tail |= UInt64(bytes.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self)) << 32
      } else {
        tail = UInt64(bytes.load(as: UInt8.self))
        tail |= UInt64(bytes.load(fromByteOffset: count >> 1, as: UInt8.self)) << 8
        tail |= UInt64(bytes.load(fromByteOffset: count &- 1, as: UInt8.self)) << 16
      }
      seed = mixHash(seed ^ tail)
    }
  }
  return mixHash(seed)
}
