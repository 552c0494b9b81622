import Testing

@testable import Martlet

@Suite struct KeyGroupTests {
  /// The ranges that Flink has for the same numbers.
  @Test func knownRanges() {
    #expect(ranges(10, 3) == [0..<4, 4..<7, 7..<10])
    #expect(ranges(128, 3) == [0..<43, 43..<86, 86..<128])
    #expect(ranges(128, 5) == [0..<26, 26..<52, 52..<77, 77..<103, 103..<128])
  }

  /// For every parallelism up to 200: the ranges follow each other without gaps, and hold what `instance` says.
  @Test func rangesPartitionTheGroups() {
    var mistakes: [String] = []
    for maxParallelism: Int32 in 1...200 {
      for parallelism in 1...maxParallelism {
        var next: Int32 = 0
        for (instance, range) in ranges(maxParallelism, parallelism).enumerated() {
          if range.lowerBound != next || range.isEmpty {
            mistakes.append("(\(maxParallelism), \(parallelism)): \(range)")
          }
          next = range.upperBound
          for group in range {
            let owner = KeyGroup(rawValue: group).instance(parallelism: parallelism, maxParallelism: maxParallelism)
            if owner != instance {
              mistakes.append("(\(maxParallelism), \(parallelism)): group \(group) is at \(owner)")
            }
          }
        }
        if next != maxParallelism { mistakes.append("(\(maxParallelism), \(parallelism)): ends at \(next)") }
      }
    }
    #expect(mistakes.isEmpty)
  }

  @Test func groupsAreTheHashModuloTheirNumber() {
    #expect(KeyGroup(hash: 0, maxParallelism: 128).rawValue == 0)
    #expect(KeyGroup(hash: .max, maxParallelism: 128).rawValue == 127)
    #expect(KeyGroup(hash: .max, maxParallelism: 32_768).rawValue == 32_767)
    #expect(KeyGroup(hash: 1 << 63, maxParallelism: 100).rawValue == 8)
  }

  private func ranges(_ maxParallelism: Int32, _ parallelism: Int32) -> [Range<Int32>] {
    (0..<parallelism).map { KeyGroup.range(instance: $0, parallelism: parallelism, maxParallelism: maxParallelism) }
  }
}
