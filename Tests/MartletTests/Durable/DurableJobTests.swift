import MartletRocksDB
import Testing

@testable import Martlet

/// A job in a state directory puts out in all its lives what it puts out in one, each record once: whatever keeps its state, however
/// little memory it has, wherever its lives end, with another parallelism and another backend in the next.
@Suite struct DurableJobTests {
  typealias Program = ParallelProgramTests.Program
  typealias TwoInputProgram = ParallelTwoInputTests.Program

  static let mixes: [[DurableKind]] = [[.memory], [.memoryStore], [.rocksdb], [.memory, .memoryStore, .rocksdb]]

  @Test(arguments: 0..<4, UInt64(1)...8)
  func chains(mix: Int, seed: UInt64) throws {
    var random = SeededGenerator(seed)
    var program = Program(&random, rows: Int.random(in: 20...200, using: &random), fails: seed % 5 == 0)
    if seed % 5 == 0, program.policies.onError == .raise { program.policies.onError = .skip }
    let tags = ["side", "records"] + program.policies.reservedTags
    func make(_ parallelism: Int, sizes: [Int], pause: @escaping () -> Bool) throws -> Job {
      let job = Job(name: "job", program.policies, clock: ManualClock(), atEnd: program.atEnd)
      job.parallelism = try Parallelism(parallelism)
      let source = ReplaySource(Gadget.fields, program.rows, sizes: sizes)
      source.onRead = { [weak job] _ in if pause() { job?.pause() } }
      try job.addSource(source, timestamp: "t", maxOutOfOrderness: program.bound)
      for number in 0..<program.chain {
        try job.addProcess(.gadget("gadget \(number)", by: number == 1 ? "op" : "k"))
      }
      try job.addProcess(.witness())
      try job.addOutput(OutputSelector(process: program.chain))
      for tag in tags { try job.addOutput(OutputSelector(process: 0, tag: tag)) }
      return job
    }
    let whole = try Lives(uninterrupted: make(1, sizes: program.sizes) { false }, outputs: tags.count + 1)
    var hooks = SeededGenerator(seed + 1000)
    let directory = try TemporaryDirectory()
    let lives = try DurableLives(
      &random, outputs: tags.count + 1, at: directory("state"), DurableJobTests.mixes[mix]
    ) { _, random in
      let sizes = random.chance(30) ? program.sizes : [[1], [5, 2], [400]][Int.random(in: 0..<3, using: &random)]
      return try make([1, 1, 2, 3][Int.random(in: 0..<4, using: &random)], sizes: sizes) { hooks.chance(30) }
    }
    for output in whole.rows.indices {
      #expect(
        lives.sink.committed[output] == whole.rows[output], "seed \(seed), output \(output), \(lives.lives) lives")
    }
  }

  @Test(arguments: ParallelTwoInputTests.Shape.allCases, UInt64(1)...8)
  func twoInputs(shape: ParallelTwoInputTests.Shape, seed: UInt64) throws {
    var random = SeededGenerator(seed)
    var program = TwoInputProgram(&random, shape, fails: seed % 4 == 0)
    if shape != .connect {
      program.policies.onError = .raise
    } else if program.policies.onError == .raise {
      program.policies.onError = .skip
    }
    let tags = (shape == .connect ? ["records"] : []) + program.policies.reservedTags
    func make(_ parallelism: Int, sizes: [Int], pause: @escaping () -> Bool) throws -> Job {
      let job = Job(name: "job", program.policies, clock: ManualClock(5))
      job.parallelism = try Parallelism(parallelism)
      for (rows, name) in [(program.left, "left"), (program.right, "right")] {
        let source = ReplaySource(Gadget.fields, rows, sizes: sizes)
        source.onRead = { [weak job] _ in if pause() { job?.pause() } }
        try job.addSource(source, name: name, timestamp: seed % 5 == 0 ? nil : "t", maxOutOfOrderness: program.bound)
      }
      try job.addProcess(program.spec(shape), [.source(0), .source(1)])
      try job.addProcess(.witness())
      try job.addOutput(OutputSelector(process: 1))
      for tag in tags { try job.addOutput(OutputSelector(process: 0, tag: tag)) }
      return job
    }
    let whole = try Lives(uninterrupted: make(1, sizes: program.sizes) { false }, outputs: tags.count + 1)
    var hooks = SeededGenerator(seed + 1000)
    let directory = try TemporaryDirectory()
    let kinds = DurableJobTests.mixes[1 + Int(seed % 3)]
    let lives = try DurableLives(&random, outputs: tags.count + 1, at: directory("state"), kinds) { _, random in
      let sizes = [program.sizes, [1], [5, 2], [400]][Int.random(in: 0..<4, using: &random)]
      return try make([1, 2, 3][Int.random(in: 0..<3, using: &random)], sizes: sizes) { hooks.chance(30) }
    }
    for output in whole.rows.indices {
      #expect(
        lives.sink.committed[output] == whole.rows[output], "seed \(seed), output \(output), \(lives.lives) lives")
    }
  }
}
