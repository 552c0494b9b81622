import Testing

@testable import Martlet

/// A job that goes on from a checkpoint puts out what it would have put out without the interruption: whatever the program, wherever
/// the checkpoint, with another parallelism and other batches after it.
@Suite struct JobRestoreTests {
  typealias Program = ParallelProgramTests.Program
  typealias TwoInputProgram = ParallelTwoInputTests.Program

  @Test(arguments: UInt64(1)...60)
  func chains(seed: UInt64) throws {
    var random = SeededGenerator(seed)
    var program = Program(&random, rows: Int.random(in: 0...200, using: &random), fails: seed % 5 == 0)
    if seed % 5 == 0, program.policies.onError == .raise { program.policies.onError = .skip }
    try chains(seed, program, &random)
  }

  private func chains(_ seed: UInt64, _ program: Program, _ random: inout SeededGenerator) throws {
    // Processing time moves with the batches, which then are the same in every life.
    let clockMoves = random.chance(50)
    let tags = ["side", "records"] + program.policies.reservedTags
    func make(_ parallelism: Int, sizes: [Int], pause: @escaping () -> Bool) throws -> Job {
      let clock = ManualClock()
      let job = Job(name: "job", program.policies, clock: clock, atEnd: program.atEnd)
      job.parallelism = try Parallelism(parallelism)
      let source = ReplaySource(Gadget.fields, program.rows, sizes: sizes)
      source.onRead = { [unowned job] number in
        if clockMoves { try clock.advance(to: max(Int64(number) * 3, clock.now())) }
        if pause() { job.pause() }
      }
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
    let lives = try Lives(&random, outputs: tags.count + 1) { _, random in
      let sizes =
        clockMoves || random.chance(30) ? program.sizes : [[1], [5, 2], [400]][Int.random(in: 0..<3, using: &random)]
      return try make([1, 1, 2, 3, 7][Int.random(in: 0..<5, using: &random)], sizes: sizes) { hooks.chance(30) }
    }
    #expect(lives.difference(from: whole) == nil, "seed \(seed), \(lives.checkpoints) checkpoints")
    #expect(lives.last?.sink == [1, 2, 3])
  }

  @Test(arguments: ParallelTwoInputTests.Shape.allCases, UInt64(1)...30)
  func twoInputs(shape: ParallelTwoInputTests.Shape, seed: UInt64) throws {
    var random = SeededGenerator(seed)
    var program = TwoInputProgram(&random, shape, fails: seed % 4 == 0)
    if shape != .connect {
      program.policies.onError = .raise
    } else if program.policies.onError == .raise {
      program.policies.onError = .skip
    }
    try twoInputs(shape, seed, program, &random)
  }

  private func twoInputs(
    _ shape: ParallelTwoInputTests.Shape, _ seed: UInt64, _ program: TwoInputProgram, _ random: inout SeededGenerator
  ) throws {
    let tags = (shape == .connect ? ["records"] : []) + program.policies.reservedTags
    func make(_ parallelism: Int, sizes: [Int], pause: @escaping () -> Bool) throws -> Job {
      let job = Job(name: "job", program.policies, clock: seed % 3 == 0 && shape != .connect ? .system : ManualClock(5))
      job.parallelism = try Parallelism(parallelism)
      for (rows, name) in [(program.left, "left"), (program.right, "right")] {
        let source = ReplaySource(Gadget.fields, rows, sizes: sizes)
        source.onRead = { [unowned job] _ in if pause() { job.pause() } }
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
    let lives = try Lives(&random, outputs: tags.count + 1) { _, random in
      let sizes = [program.sizes, [1], [5, 2], [400]][Int.random(in: 0..<4, using: &random)]
      return try make([1, 2, 3][Int.random(in: 0..<3, using: &random)], sizes: sizes) { hooks.chance(30) }
    }
    #expect(lives.difference(from: whole) == nil, "seed \(seed), \(lives.checkpoints) checkpoints")
  }

  /// With the system's clock several chunks are under way when the checkpoint is asked for.
  @Test(arguments: UInt64(1)...2)
  func underWay(seed: UInt64) throws {
    var random = SeededGenerator(seed)
    let rows = (0..<20_000).map { number -> [Value] in
      [
        .int(Int64.random(in: 0..<500, using: &random)),
        .int([0, 1, 2, 3, 4, 6][Int.random(in: 0..<6, using: &random)]),
        .int(Int64.random(in: 0..<20, using: &random)), .int(Int64(number) + Int64.random(in: -5...5, using: &random)),
        .text("row \(number)"),
      ]
    }
    func make(_ parallelism: Int, _ sizes: [Int]) throws -> Job {
      let job = Job(nullTimestamps: .process, atEnd: .drop)
      job.parallelism = try Parallelism(parallelism)
      try job.addSource(ReplaySource(Gadget.fields, rows, sizes: sizes), timestamp: "t")
      try job.addProcess(.eventGadget("first", by: "k"))
      try job.addProcess(.eventGadget("second", by: "op"))
      try job.addProcess(.witness())
      for output in [
        OutputSelector(process: 2), OutputSelector(process: 0, tag: "side"), OutputSelector(process: 0, tag: "records"),
      ] {
        try job.addOutput(output)
      }
      return job
    }
    let whole = try Lives(uninterrupted: make(1, [20_000]), outputs: 3)
    let lives = try Lives(&random, outputs: 3) { life, _ in
      try make([2, 7, 1, 3][life % 4], [[1000], [20_000], [333]][life % 3])
    }
    #expect(lives.difference(from: whole) == nil, "seed \(seed), \(lives.checkpoints) checkpoints")
    #expect(lives.checkpoints > 1)
  }

  /// What a checkpoint says does not depend on how many instances the job had.
  @Test(arguments: UInt64(1)...5)
  func sameBytes(seed: UInt64) throws {
    var random = SeededGenerator(seed)
    let program = Program(&random, rows: 120, fails: false)
    func take(_ parallelism: Int) throws -> Checkpoint {
      let job = Job(name: "job", program.policies, clock: ManualClock(), atEnd: .keep)
      job.parallelism = try Parallelism(parallelism)
      let source = ReplaySource(Gadget.fields, program.rows, sizes: [10])
      source.onRead = { [unowned job] in if $0 == 7 { job.pause() } }
      try job.addSource(source, timestamp: "t", maxOutOfOrderness: program.bound)
      try job.addProcess(.gadget("gadget", by: "k"))
      repeat { while try job.next() != nil, !job.isPaused {} } while !job.isPaused
      while try job.takeReady() != nil {}
      return try job.checkpoint(id: 1)
    }
    let serial = try take(1)
    for parallelism in [2, 7] { #expect(try take(parallelism).snapshots() == serial.snapshots()) }
  }
}
