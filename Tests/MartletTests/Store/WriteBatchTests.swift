import Testing

@testable import Martlet

/// The changes of a batch: where they can be read from, and what is said of their order.
@Suite struct WriteBatchTests {
  private func batch(_ count: Int) throws -> WriteBatch {
    let batch = WriteBatch()
    for number in 0..<count {
      let (high, low) = (UInt8(number >> 8 & 255), UInt8(number & 255))
      let key = [UInt8](repeating: low, count: number % 5) + [high, low]
      if number % 3 == 0 {
        try batch.remove(key, in: StoreFamily(UInt8(number % 2)))
      } else {
        try batch.put(key, [UInt8](repeating: 7, count: number % 4), in: StoreFamily(UInt8(number % 2)))
      }
    }
    return batch
  }

  private func keys(_ operations: WriteBatch.Operations) -> [[UInt8]] {
    operations.map { operation in
      switch operation {
      case .put(_, let key, _), .remove(_, let key), .removeRange(_, let key, _): Array(key)
      }
    }
  }

  @Test(arguments: [0, 1, 4_095, 4_096, 4_097, 8_192, 10_000])
  func isReadFromAMark(count: Int) throws {
    let batch = try batch(count)
    let all = keys(batch.operations)
    #expect(all.count == count)
    for number in stride(from: 0, through: 12_288, by: WriteBatch.markedEvery) {
      #expect(keys(batch.operations(from: number)) == Array(all.dropFirst(number)))
    }
  }

  @Test func anotherChangeTakesBackWhatWasSaidOfTheOrder() throws {
    let batch = try batch(3)
    #expect(!batch.isSorted)
    batch.declareSorted()
    #expect(batch.isSorted)
    try batch.put([1], [2], in: StoreFamily(0))
    #expect(!batch.isSorted)
    batch.declareSorted()
    batch.removeAll()
    #expect(!batch.isSorted)
    #expect(keys(batch.operations(from: 0)).isEmpty)
    // Used again, it has the marks of what it has now.
    for number in 0..<5_000 { try batch.put([UInt8(number >> 8), UInt8(number & 255)], [], in: StoreFamily(0)) }
    #expect(keys(batch.operations(from: 4_096)) == (4_096..<5_000).map { [UInt8($0 >> 8), UInt8($0 & 255)] })
  }
}
