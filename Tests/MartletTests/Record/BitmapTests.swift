import Testing

@testable import Martlet

@Suite struct BitmapTests {
  /// Every alignment of copies, fills and counts against an array of bools.
  @Test func copyFillAndCount() {
    var random = SeededGenerator(11)
    let size = 400
    let source = UnsafeMutablePointer<UInt8>.allocate(capacity: size / 8)
    let target = UnsafeMutablePointer<UInt8>.allocate(capacity: size / 8)
    defer {
      source.deallocate()
      target.deallocate()
    }
    for byte in 0..<(size / 8) {
      source[byte] = UInt8(truncatingIfNeeded: random.next())
      target[byte] = UInt8(truncatingIfNeeded: random.next())
    }
    func bools(_ bitmap: UnsafePointer<UInt8>) -> [Bool] { (0..<size).map { Bitmap.get(bitmap, $0) } }
    for _ in 0..<2000 {
      let count = Int.random(in: 0...200, using: &random)
      let from = Int.random(in: 0...(size - count), using: &random)
      let to = Int.random(in: 0...(size - count), using: &random)
      var expected = bools(target)
      #expect(Bitmap.popcount(target, from: to, count: count) == expected[to..<(to + count)].filter { $0 }.count)
      if random.chance(70) {
        expected.replaceSubrange(to..<(to + count), with: bools(source)[from..<(from + count)])
        Bitmap.copy(source, from: from, to: target, at: to, count: count)
      } else {
        let value = random.chance(50)
        expected.replaceSubrange(to..<(to + count), with: Array(repeating: value, count: count))
        Bitmap.fill(target, from: to, count: count, value)
      }
      #expect(bools(target) == expected)
    }
  }
}
