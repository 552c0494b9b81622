import Testing

@testable import Martlet

/// XXH64 against vectors published with the reference implementation and with its ports.
@Suite struct StableHashTests {
  static let texts: [(text: String, hash: UInt64)] = [
    ("", 0xEF46_DB37_51D8_E999),
    ("a", 0xD24E_C4F1_A98C_6E5B),
    ("as", 0x1C33_0FB2_D66B_E179),
    ("asd", 0x631C_37CE_72A9_7393),
    ("asdf", 0x4158_72F5_99CE_A71E),
    ("abc", 0x44BC_2CF5_AD77_0999),
    ("Nobody inspects the spammish repetition", 0xFBCE_A83C_8A37_8BF1),
    ("Call me Ishmael. Some years ago--never mind how long precisely-", 0x02A2_E854_70D6_FD96),
  ]

  @Test(arguments: texts)
  func publishedTexts(_ vector: (text: String, hash: UInt64)) {
    #expect(hash(Array(vector.text.utf8)) == vector.hash)
  }

  /// The buffer and the seed of xxHash's own sanity check.
  static let sanity: [(length: Int, unseeded: UInt64, seeded: UInt64)] = [
    (0, 0xEF46_DB37_51D8_E999, 0xAC75_FDA2_929B_17EF),
    (1, 0xE934_A84A_DB05_2768, 0x5014_6076_43A9_B4C3),
    (14, 0x8282_DCC4_994E_35C8, 0xC3BD_6BF6_3DEB_6DF0),
    (222, 0xB641_AE8C_B691_C174, 0x20CB_8AB7_AE10_C14A),
  ]

  @Test(arguments: sanity)
  func referenceSanityCheck(_ vector: (length: Int, unseeded: UInt64, seeded: UInt64)) {
    let prime32: UInt64 = 2_654_435_761
    var generator = prime32
    let buffer = (0..<vector.length).map { _ in
      defer { generator &*= 11_400_714_785_074_694_797 }
      return UInt8(generator >> 56)
    }
    #expect(hash(buffer) == vector.unseeded)
    #expect(hash(buffer, seed: prime32) == vector.seeded)
  }

  /// Neither the place nor what lies behind the bytes matters.
  @Test func alignmentDoesNotMatter() {
    for length in 0..<80 {
      let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 37) }
      for shift in 0..<8 {
        let shifted = Array(repeating: UInt8(0xAA), count: shift) + bytes + [0x55]
        let moved = shifted.withUnsafeBytes {
          StableHash.hash(UnsafeRawBufferPointer(rebasing: $0[shift..<shift + length]))
        }
        #expect(moved == hash(bytes), "length \(length), shift \(shift)")
      }
    }
  }

  /// The hash of the key tables sees every byte of a key of every length.
  @Test func tableHashSeesEveryByte() {
    for length in 1..<40 {
      let bytes = Array(repeating: UInt8(7), count: length)
      let plain = bytes.withUnsafeBytes { mixHash($0.baseAddress!, length) }
      for position in 0..<length {
        var changed = bytes
        changed[position] ^= 0x80
        let other = changed.withUnsafeBytes { mixHash($0.baseAddress!, length) }
        #expect(other != plain, "length \(length), byte \(position)")
      }
    }
  }

  private func hash(_ bytes: [UInt8], seed: UInt64 = 0) -> UInt64 {
    bytes.withUnsafeBytes { StableHash.hash($0, seed: seed) }
  }
}
