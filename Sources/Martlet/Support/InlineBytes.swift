/// A byte string in 16 bytes: up to 12 bytes live inside, longer ones in a block of their own.
///
/// ```
/// short:  count (4) | bytes (12)
/// long:   count (4) | capacity (4) | address (8)
/// ```
///
/// It is a plain value so that tables of millions of entries can be moved with `realloc`. Whoever owns the
/// entry frees it: the struct itself has no lifetime. Most keys and most state values in practice are short,
/// and then neither allocation nor a second cache miss is paid. (The layout is that of Umbra strings and Arrow's
/// binary view without the prefix.)
@usableFromInline
struct InlineBytes: BitwiseCopyable {
  @usableFromInline static let inlineCapacity = 12

  @usableFromInline var word0: UInt64
  @usableFromInline var word1: UInt64

  static var empty: InlineBytes { InlineBytes(word0: 0, word1: 0) }

  @usableFromInline
  init(word0: UInt64, word1: UInt64) {
    self.word0 = word0
    self.word1 = word1
  }

  /// An owned copy of `count` bytes.
  init(copying bytes: UnsafeRawPointer, _ count: Int) {
    self = .empty
    assign(bytes, count)
  }

  @inline(__always) var count: Int { Int(UInt32(truncatingIfNeeded: word0)) }

  private var isLong: Bool { count > InlineBytes.inlineCapacity }
  private var address: UnsafeMutableRawPointer { UnsafeMutableRawPointer(bitPattern: UInt(word1)).unsafelyUnwrapped }

  /// The most bytes one value or key can have: the count is 32 bits wide.
  static let maximumCount = Int(UInt32.max)

  /// Replaces the content, reusing the block if it is large enough. `count` is at most `maximumCount`.
  mutating func assign(_ bytes: UnsafeRawPointer, _ count: Int) {
    if count <= InlineBytes.inlineCapacity {
      release()
      var words: (UInt64, UInt64) = (0, 0)
      withUnsafeMutableBytes(of: &words) { target in
        target.storeBytes(of: UInt32(count), as: UInt32.self)
        target.baseAddress.unsafelyUnwrapped.advanced(by: 4).copyMemory(from: bytes, byteCount: count)
      }
      word0 = words.0
      word1 = words.1
      return
    }
    if isLong, Int(word0 >> 32) >= count, Int(word0 >> 32) <= 4 &* count {
      address.copyMemory(from: bytes, byteCount: count)
      word0 = (word0 & 0xFFFF_FFFF_0000_0000) | UInt64(count)
      return
    }
    let block = allocateBytes(count)
    block.copyMemory(from: bytes, byteCount: count)
    release()
    word0 = UInt64(count) | (UInt64(count) << 32)
    word1 = UInt64(UInt(bitPattern: block))
  }

  /// Frees the block of a long value; the value is empty afterwards.
  mutating func release() {
    if isLong { freeBytes(address) }
    self = .empty
  }

  /// Bytes held outside of the struct.
  var blockBytes: Int { isLong ? Int(word0 >> 32) : 0 }
}

extension UnsafeMutablePointer where Pointee == InlineBytes {
  /// The bytes of the value here; valid until it is assigned, released or moved.
  @inline(__always)
  var bytes: UnsafeRawBufferPointer {
    let count = pointee.count
    if count <= InlineBytes.inlineCapacity {
      return UnsafeRawBufferPointer(start: UnsafeRawPointer(self) + 4, count: count)
    }
    return UnsafeRawBufferPointer(start: UnsafeRawPointer(bitPattern: UInt(pointee.word1)), count: count)
  }
}
