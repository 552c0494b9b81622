/// A sum over slots of something that has to be looked up slot by slot, for reports of a running job.
///
/// Each call looks at a bounded number of slots and takes the others as it last saw them, those it has not seen yet as the average
/// of the others. Up to `slotsAtOnce` slots the sum is exact; beyond, it follows changes within as many calls as that number goes
/// into the slots. So a report of ten million keys does not hold up the records that come meanwhile.
struct BlockSums {
  private static let blockSlots = 1024
  private static let blocksAtOnce = 64
  static let slotsAtOnce = blockSlots * blocksAtOnce

  private var sums: [Int] = []
  private var next = 0

  mutating func total(slots: Int, _ figure: (Int) -> Int) -> Int {
    let blocks = (slots + BlockSums.blockSlots - 1) / BlockSums.blockSlots
    guard blocks > 0 else { return 0 }
    if sums.count > blocks { sums.removeLast(sums.count - blocks) }
    if blocks <= BlockSums.blocksAtOnce { next = 0 }
    for _ in 0..<min(blocks, BlockSums.blocksAtOnce) {
      if sums.count < blocks {
        sums.append(sum(ofBlock: sums.count, slots, figure))
      } else {
        if next >= blocks { next = 0 }
        sums[next] = sum(ofBlock: next, slots, figure)
        next += 1
      }
    }
    let seen = sums.reduce(0, +)
    return seen + seen / sums.count * (blocks - sums.count)
  }

  private func sum(ofBlock block: Int, _ slots: Int, _ figure: (Int) -> Int) -> Int {
    let first = block * BlockSums.blockSlots
    var sum = 0
    for slot in first..<min(first + BlockSums.blockSlots, slots) { sum += figure(slot) }
    return sum
  }
}
