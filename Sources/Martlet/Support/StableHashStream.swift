/// `StableHash` of bytes that come in parts: of files too large to be in memory.
struct StableHashStream {
  private var lanes: (UInt64, UInt64, UInt64, UInt64)
  private let seed: UInt64
  private var count: UInt64 = 0
  /// Fewer than 32 bytes that were not taken in.
  private var rest: [UInt8] = []

  private static let stripe = 32

  init(seed: UInt64 = 0) {
    self.seed = seed
    lanes = (
      seed &+ StableHash.prime1 &+ StableHash.prime2, seed &+ StableHash.prime2, seed, seed &- StableHash.prime1
    )
    rest.reserveCapacity(2 * StableHashStream.stripe)
  }

  mutating func update(_ bytes: UnsafeRawBufferPointer) {
    count &+= UInt64(bytes.count)
    var bytes = bytes
    if !rest.isEmpty {
      let missing = min(StableHashStream.stripe - rest.count, bytes.count)
      rest.append(contentsOf: bytes[..<missing])
      bytes = UnsafeRawBufferPointer(rebasing: bytes[missing...])
      guard rest.count == StableHashStream.stripe else { return }
      let full = rest
      rest.removeAll(keepingCapacity: true)
      full.withUnsafeBytes { take($0) }
    }
    let whole = bytes.count - bytes.count % StableHashStream.stripe
    take(UnsafeRawBufferPointer(rebasing: bytes[..<whole]))
    rest.append(contentsOf: bytes[whole...])
  }

  /// Takes in a multiple of 32 bytes.
  private mutating func take(_ bytes: UnsafeRawBufferPointer) {
    var (a, b, c, d) = lanes
    var offset = 0
    while offset < bytes.count {
      a = StableHash.round(a, StableHash.load64(bytes, offset))
      b = StableHash.round(b, StableHash.load64(bytes, offset + 8))
      c = StableHash.round(c, StableHash.load64(bytes, offset + 16))
      d = StableHash.round(d, StableHash.load64(bytes, offset + 24))
      offset += StableHashStream.stripe
    }
    lanes = (a, b, c, d)
  }

  /// Of all bytes so far.
  func finish() -> UInt64 {
    var result = seed &+ StableHash.prime5
    if count >= UInt64(StableHashStream.stripe) {
      let (a, b, c, d) = lanes
      result =
        StableHash.rotate(a, 1) &+ StableHash.rotate(b, 7) &+ StableHash.rotate(c, 12) &+ StableHash.rotate(d, 18)
      for lane in [a, b, c, d] {
        result = (result ^ StableHash.round(0, lane)) &* StableHash.prime1 &+ StableHash.prime4
      }
    }
    return rest.withUnsafeBytes { StableHash.end(result &+ count, rest: $0) }
  }
}
