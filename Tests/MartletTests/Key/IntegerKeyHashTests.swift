import Testing

@testable import Martlet

@Suite struct IntegerKeyHashTests {
  /// Keys whose heads share a place of the table take turns, so that what is kept is replaced again and again.
  @Test func isTheHashOfTheCanonicalBytes() {
    let hash = IntegerKeyHash()
    defer { hash.free() }
    var generator = SeededGenerator(17)
    var keys: [Int64] = [0, 1, -1, 255, 256, 65_535, 65_536, -65_536, .max, .min]
    for head in [0, 1, 256, 512, 1 << 20, -256] as [Int64] { keys.append(head << 16 | 7) }
    for _ in 0..<2000 { keys.append(Int64.random(in: .min ... .max, using: &generator)) }
    for _ in 0..<2000 { keys.append(Int64.random(in: -100_000...100_000, using: &generator)) }
    for key in keys + keys.shuffled(using: &generator) {
      #expect(hash(key, isNegative: key < 0) == canonical(key, .signed), "key \(key)")
      // An unsigned key comes with its top bit turned, as `KeyRef` orders it.
      #expect(hash(key, isNegative: false) == canonical(key ^ .min, .unsigned), "key \(UInt64(bitPattern: key))")
    }
  }

  private func canonical(_ value: Int64, _ keyClass: KeyClass) -> UInt64 {
    var bytes: [UInt8] = []
    KeyEncoding.append(integer: value, keyClass, to: &bytes)
    return bytes.withUnsafeBytes { StableHash.hash($0) }
  }
}
