import Testing

@testable import Martlet

/// The order of slots beside that of the standard library.
@Suite struct SlotSorterTests {
  private func check(_ rig: KeyRig, _ slots: [UInt32], _ note: String) {
    var sorted = slots
    sorted.withUnsafeMutableBufferPointer {
      guard let first = $0.baseAddress else { return }
      SlotSorter(rig.space).sort(first, count: $0.count)
    }
    #expect(sorted.sorted() == slots.sorted(), "the same slots: \(note)")
    for (a, b) in zip(sorted, sorted.dropFirst()) { #expect(!rig.space.precedes(b, a), "\(note)") }
  }

  @Test(arguments: KeySpaceTests.keyTypes)
  func keysOfEveryType(_ type: DataType) throws {
    var random = SeededGenerator(7)
    let rig = try KeyRig(type)
    for count in [0, 1, 2, 5, 24, 25, 100, 700] {
      let values = (0..<count).map { _ in random.value(Field("k", type), nulls: 0) }
      check(rig, try rig.intern(values).shuffled(using: &random), "\(count) of \(type)")
    }
  }

  /// Numbers as they come in practice: as a hash or a counter gives them, close together but for a few, at both ends, one over and over.
  @Test func numbersOfEveryShape() throws {
    var random = SeededGenerator(8)
    let shapes: [(String, (Int) -> Int64)] = [
      ("a counter", { Int64($0) }),
      ("a hash", { _ in Int64(bitPattern: random.next()) }),
      ("clusters", { Int64($0 % 3) << 61 + Int64($0) }),
      ("one far away", { $0 == 17 ? Int64.max : Int64($0 * 7 % 1000) }),
      ("both ends", { $0 % 2 == 0 ? Int64.min + Int64($0) : Int64.max - Int64($0) }),
      ("powers", { Int64(1) << Int64($0 % 63) }),
    ]
    for (name, number) in shapes {
      let rig = try KeyRig(.int64)
      let slots = try rig.intern((0..<20_000).map { Value.int(number($0)) })
      check(rig, slots.shuffled(using: &random), name)
      check(rig, (0..<5000).map { _ in slots.randomElement(using: &random)! }, "some of \(name), some twice")
    }
  }

  @Test func textsThatBeginAlike() throws {
    var random = SeededGenerator(9)
    let rig = try KeyRig(.utf8)
    let texts = (0..<3000).map { Value.text("customer-\($0 % 10 == 0 ? "" : String($0))") } + [.text(""), .text("d")]
    check(rig, try rig.intern(texts).shuffled(using: &random), "texts")
  }
}
