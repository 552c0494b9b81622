import Testing

@testable import Martlet

@Suite struct KeyHeapTests {
  /// Runs whose keys agree in none, some or all of the bytes that are compared as numbers, and of which some begin others.
  @Test(arguments: [0, 1, 8, 15, 16, 17, 40], UInt64(1)...3)
  func runsAreReadInTheOrderOfTheirKeys(common: Int, seed: UInt64) {
    var random = SeededGenerator(seed)
    let head = [UInt8](repeating: 0x61, count: common)
    var runs = (0..<9).map { _ in
      (0..<40).map { _ in
        head
          + (0..<Int.random(in: 0...10, using: &random)).map { _ in
            [0, 1, 0x7F, 0x80, 0xFF].randomElement(using: &random)!
          }
      }.sorted { $0.lexicographicallyPrecedes($1) }
    }
    let all = runs.flatMap { $0 }.sorted { $0.lexicographicallyPrecedes($1) }
    var heap = KeyHeap()
    for (number, run) in runs.enumerated() { heap.add(run[0], run: number) }
    var read: [[UInt8]] = []
    while let run = heap.firstRun, let key = heap.firstKey {
      #expect(runs[run].removeFirst() == key)
      read.append(key)
      heap.replaceFirst(by: runs[run].first)
    }
    #expect(read == all)
  }
}
