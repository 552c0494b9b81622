import Testing

@testable import Martlet

@Suite struct BlockSumsTests {
  @Test func exactWhileAllFit() {
    var sums = BlockSums()
    #expect(sums.total(slots: 0) { _ in 1 } == 0)
    for slots in [1, 1_000, 1_024, 5_000, 3_000, BlockSums.slotsAtOnce] {
      #expect(sums.total(slots: slots) { $0 } == slots * (slots - 1) / 2)
      #expect(sums.total(slots: slots) { _ in 2 } == 2 * slots)
    }
  }

  /// Beyond, every call looks at a part, and they add up to all of it.
  @Test func boundedBeyond() {
    var sums = BlockSums()
    let slots = 5 * BlockSums.slotsAtOnce
    var looks = 0
    #expect(
      sums.total(slots: slots) { _ in
        looks += 1
        return 3
      } == 3 * slots)
    #expect(looks == BlockSums.slotsAtOnce)
    for _ in 0..<4 { _ = sums.total(slots: slots) { _ in 3 } }
    // A change is seen by those calls that come across it.
    var totals: [Int] = []
    for _ in 0..<5 { totals.append(sums.total(slots: slots) { _ in 4 }) }
    #expect(totals == totals.sorted() && totals.last == 4 * slots)
    // New slots come first.
    #expect(sums.total(slots: slots + 1_024) { $0 < slots ? 4 : 100 } == 4 * slots + 102_400)
  }
}
