import MartletRocksDB
import Testing

@testable import Martlet

/// A job with every kind of state, with and without TTL, named timers and a broadcast: the state at its end is the same whatever kept it,
/// however often it was interrupted, with another parallelism and another backend in each life.
@Suite struct EveryStateLivesTests {
  static let fields = EveryState.fields + [Field("t", .int64)]
  static let readers: [any StoreBackend] = [RocksDBBackend(), MemoryStoreBackend()]

  struct Input {
    var records: [[Value]] = []
    var rules: [[Value]] = []

    init(_ random: inout SeededGenerator) {
      var time: Int64 = 0
      let keys = Int64.random(in: 3...60, using: &random)
      for _ in 0..<Int.random(in: 50...400, using: &random) {
        time += Int64.random(in: 0...3, using: &random)
        let key = Int64.random(in: -5..<keys, using: &random)
        let row: [Value] = [
          .int(key), .text(key % 7 == 0 ? "" : "s\u{0}\(key)"), .int(Int64.random(in: 0...20, using: &random)),
          .int(Int64.random(in: 0..<1000, using: &random)), .int(time),
        ]
        if random.chance(6) { rules.append(row) } else { records.append(row) }
      }
    }

    func job(_ parallelism: Int, sizes: [Int], pause: @escaping () -> Bool = { false }) throws -> Job {
      let job = Job(name: "job", RecordPolicies(), clock: ManualClock(5), atEnd: .keep)
      job.parallelism = try Parallelism(parallelism, of: 16)
      for (rows, name) in [(records, "records"), (rules, "rules")] {
        let source = ReplaySource(EveryStateLivesTests.fields, rows, sizes: sizes)
        source.onRead = { [weak job] _ in if pause() { job?.pause() } }
        try job.addSource(source, name: name, timestamp: "t", maxOutOfOrderness: 2)
      }
      let states = try EveryState()
      try job.addProcess(
        .twoInputs("every", .broadcast, (["k"], [])) { [states] in (try? EveryState()) ?? states },
        [.source(0), .source(1)])
      try job.addOutput(OutputSelector(process: 0))
      return job
    }
  }

  private func state(at path: String) throws -> [[UInt8]] {
    let newest = try CheckpointFolder(path, retained: 9, PosixFileSystem()).newest().checkpoint
    return try #require(newest).portable(EveryStateLivesTests.readers).snapshots()
  }

  @Test(arguments: UInt64(1)...8)
  func sameState(seed: UInt64) throws {
    var random = SeededGenerator(seed)
    let input = Input(&random)
    let directory = try TemporaryDirectory()
    _ = try DurableLives(&random, outputs: 1, at: directory("whole"), [.memory], most: 0) { _, _ in
      try input.job(1, sizes: [17])
    }
    let expected = try state(at: directory("whole"))
    #expect(expected[0].count > 200)
    for kinds in [[.memoryStore], [.rocksdb], DurableKind.allCases] {
      let path = directory("\(kinds)")
      var hooks = SeededGenerator(seed + 1000)
      let lives = try DurableLives(&random, outputs: 1, at: path, kinds) { _, random in
        let sizes = [[1], [5, 2], [400], [0, 13]][Int.random(in: 0..<4, using: &random)]
        return try input.job(Int.random(in: 1...3, using: &random), sizes: sizes) { hooks.chance(30) }
      }
      #expect(try state(at: path) == expected, "seed \(seed), \(kinds), \(lives.lives) lives")
    }
  }
}
