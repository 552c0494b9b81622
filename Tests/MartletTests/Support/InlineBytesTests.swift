import Testing

@testable import Martlet

@Suite struct InlineBytesTests {
  private func content(_ value: UnsafeMutablePointer<InlineBytes>) -> [UInt8] { [UInt8](value.bytes) }

  /// Every length around the limit of what fits inside, over every other.
  @Test func assignsOverAnyContent() {
    var value = InlineBytes.empty
    defer { value.release() }
    let lengths = [0, 1, 3, 11, 12, 13, 14, 64, 13, 1000, 20, 12, 5000, 13, 0, 4, 100, 101]
    for (step, length) in lengths.enumerated() {
      let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0 + step) }
      bytes.withUnsafeBytes { value.assign($0.baseAddress ?? UnsafeRawPointer(bitPattern: 16)!, length) }
      #expect(value.count == length)
      #expect(content(&value) == bytes, "step \(step)")
    }
  }

  @Test func shortValuesHoldNoBlock() {
    var value = bytes(12)
    #expect(value.blockBytes == 0)
    value.release()
    value = bytes(13)
    #expect(value.blockBytes >= 13)
    value.release()
    #expect(value.blockBytes == 0)
    #expect(value.count == 0)
  }

  /// A block is used again for a value of about its size and given back for a much smaller one.
  @Test func blockFitsItsValue() {
    var value = bytes(1000)
    defer { value.release() }
    let smaller = Array(repeating: UInt8(1), count: 300)
    smaller.withUnsafeBytes { value.assign($0.baseAddress!, 300) }
    #expect(value.blockBytes == 1000)
    smaller.withUnsafeBytes { value.assign($0.baseAddress!, 20) }
    #expect(value.blockBytes == 20)
    #expect(content(&value) == Array(repeating: 1, count: 20))
  }

  private func bytes(_ count: Int) -> InlineBytes {
    Array(repeating: UInt8(7), count: count).withUnsafeBytes { InlineBytes(copying: $0.baseAddress!, count) }
  }
}
