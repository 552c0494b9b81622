/// The same pseudo-random numbers on every run and machine (SplitMix64, by Sebastiano Vigna).
public struct SplitMix64: RandomNumberGenerator {
  private var state: UInt64

  public init(seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// A key column: `count` keys drawn evenly from `cardinality` different ones.
public struct IntegerKeys: Sendable {
  public let values: [Int64]

  public init(count: Int, cardinality: Int, seed: UInt64 = 1) {
    var random = SplitMix64(seed: seed)
    // Spread over the whole range, as identifiers are, not 0 ..< cardinality.
    values = (0..<count).map { _ in
      Int64(bitPattern: UInt64.random(in: 0..<UInt64(cardinality), using: &random) &* 0xD6E8_FEB8_6659_FD93)
    }
  }
}

/// The same as Arrow utf8: "user-000042".
public struct StringKeys: Sendable {
  public let offsets: [Int32]
  public let bytes: [UInt8]

  public init(count: Int, cardinality: Int, seed: UInt64 = 1) {
    var random = SplitMix64(seed: seed)
    var offsets: [Int32] = [0]
    var bytes: [UInt8] = []
    offsets.reserveCapacity(count + 1)
    bytes.reserveCapacity(count * 12)
    for _ in 0..<count {
      let digits = String(UInt64.random(in: 0..<UInt64(cardinality), using: &random))
      bytes.append(contentsOf: "user-".utf8)
      bytes.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: max(0, 7 - digits.utf8.count)))
      bytes.append(contentsOf: digits.utf8)
      offsets.append(Int32(bytes.count))
    }
    self.offsets = offsets
    self.bytes = bytes
  }
}
