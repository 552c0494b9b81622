import Testing

@testable import Martlet

/// Random programs give the same output, in the same order, whatever the parallelism.
@Suite struct ParallelProgramTests {
  struct Program {
    var rows: [[Value]]
    var policies = RecordPolicies()
    var bound: Int64
    var chain: Int
    var atEnd: TimersAtEnd
    var sizes: [Int]

    init(_ random: inout SeededGenerator, rows count: Int, fails: Bool) {
      var now = Int64.random(in: -50...50, using: &random)
      let keys = Int64.random(in: 1...30, using: &random)
      let ops = Int64(fails ? 10 : 9)
      rows = (0..<count).map { number in
        now += Int64.random(in: -6...8, using: &random)
        return [
          random.chance(3) ? .null : .int(Int64.random(in: 0..<keys, using: &random)),
          .int(Int64.random(in: 0..<ops, using: &random)), .int(Int64.random(in: 0..<20, using: &random)),
          random.chance(4) ? .null : .int(now), .text("row \(number)"),
        ]
      }
      policies.nullKeys = [.drop, .deadLetter][Int.random(in: 0..<2, using: &random)]
      policies.nullTimestamps = [.process, .drop, .deadLetter][Int.random(in: 0..<3, using: &random)]
      policies.late = [.process, .drop, .sideOutput][Int.random(in: 0..<3, using: &random)]
      policies.onError = [.skip, .deadLetter][Int.random(in: 0..<2, using: &random)]
      if !random.chance(70) { policies = RecordPolicies(nullKeys: .drop, nullTimestamps: .process) }
      bound = Int64.random(in: 0...10, using: &random)
      chain = Int.random(in: 1...3, using: &random)
      atEnd = [.fire, .drop, .keep][Int.random(in: 0..<3, using: &random)]
      sizes = [[count + 1], [1], [0, 3, 1, 0, 17, 64]][Int.random(in: 0..<3, using: &random)]
    }

    func run(_ parallelism: Int, of most: Int = 128, minRows: Int = 1) throws -> ParallelOutcome {
      let clock = ManualClock()
      let job = Job(name: "job", policies, clock: clock, atEnd: atEnd)
      job.parallelism = try Parallelism(parallelism, of: most)
      let input = try batches(Gadget.fields, rows, sizes: sizes).enumerated().map { ($1, Int64($0 * 3)) }
      try job.addSource(ClockworkSource(input, clock), timestamp: "t", maxOutOfOrderness: bound)
      for number in 0..<chain { try job.addProcess(.gadget("gadget \(number)", by: number == 1 ? "op" : "k")) }
      try job.addProcess(.witness())
      return try ParallelOutcome(
        job, sides: ["side", "records"] + policies.reservedTags, minRows: minRows)
    }
  }

  @Test(arguments: UInt64(1)...60)
  func sameAsSerial(seed: UInt64) throws {
    var random = SeededGenerator(seed)
    let program = Program(&random, rows: Int.random(in: 0...300, using: &random), fails: seed % 3 == 0)
    let serial = try program.run(1)
    for parallelism in [2, 3, 7] {
      let parallel = try program.run(parallelism, minRows: parallelism == 3 ? 100 : 1)
      let difference = parallel.difference(from: serial)
      #expect(difference == nil, "seed \(seed), parallelism \(parallelism)")
    }
    let crowded = try program.run(7, of: 7)
    let difference = crowded.difference(from: serial)
    #expect(difference == nil, "seed \(seed)")
  }

  /// With the system's clock several chunks are under way at once.
  @Test(arguments: UInt64(1)...2)
  func runningAhead(seed: UInt64) throws {
    var random = SeededGenerator(seed)
    let rows = (0..<20_000).map { number -> [Value] in
      [
        .int(Int64.random(in: 0..<500, using: &random)),
        .int([0, 1, 2, 3, 4, 6, 7, 8][Int.random(in: 0..<8, using: &random)]),
        .int(Int64.random(in: 0..<20, using: &random)), .int(Int64(number) + Int64.random(in: -5...5, using: &random)),
        .text("row \(number)"),
      ]
    }
    var timeless = rows
    if seed % 2 == 0 { timeless = rows.map { [$0[0], $0[1], $0[2], .null, $0[4]] } }
    func run(_ parallelism: Int, _ sizes: [Int]) throws -> ParallelOutcome {
      let job = Job(nullTimestamps: .process, atEnd: .drop)
      job.parallelism = try Parallelism(parallelism)
      try job.addSource(ListSource(try batches(Gadget.fields, timeless, sizes: sizes)), timestamp: "t")
      try job.addProcess(.eventGadget("first", by: "k"))
      try job.addProcess(.eventGadget("second", by: "op"))
      try job.addProcess(.witness())
      return try ParallelOutcome(job, sides: ["side", "records"], minRows: 20_000)
    }
    let serial = try run(1, [20_000])
    for sizes in [[20_000], [1000], [8192, 1, 77]] {
      for parallelism in [2, 7] {
        let parallel = try run(parallelism, sizes)
        let difference = parallel.difference(from: serial)
        #expect(difference == nil, "seed \(seed), \(parallelism), \(sizes)")
      }
    }
  }

  /// The record that a serial run would have failed at is the one that fails.
  @Test(arguments: UInt64(1)...30)
  func failures(seed: UInt64) throws {
    var random = SeededGenerator(seed)
    var program = Program(&random, rows: 200, fails: true)
    program.policies = RecordPolicies(nullKeys: seed % 2 == 0 ? .raise : .drop, nullTimestamps: .process)
    for row in 0..<150 where program.rows[row][1] == .int(9) { program.rows[row][1] = .int(0) }
    let serial = try program.run(1)
    #expect(serial.error != nil)
    for parallelism in [2, 3, 7] {
      let parallel = try program.run(parallelism)
      let difference = parallel.difference(from: serial)
      #expect(difference == nil, "seed \(seed), parallelism \(parallelism)")
    }
  }
}

extension ProcessSpec {
  /// Every instance with a function of its own.
  static func parallel<Function: ProcessFunction>(
    _ name: String, by key: String, _ function: @escaping () -> Function
  ) throws -> ProcessSpec {
    var spec = try ProcessSpec(name, by: key, function())
    spec.makeInstance = { _ in try ProcessSpec(name, by: key, function()) }
    return spec
  }

  static func gadget(_ name: String, by key: String) throws -> ProcessSpec { try parallel(name, by: key) { Gadget() } }
  static func eventGadget(_ name: String, by key: String) throws -> ProcessSpec {
    try parallel(name, by: key) { EventGadget() }
  }
  static func witness() throws -> ProcessSpec { try parallel("witness", by: "k") { Witness() } }
}
