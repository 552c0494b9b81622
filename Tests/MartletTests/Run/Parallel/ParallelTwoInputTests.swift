import Testing

@testable import Martlet

/// Functions of two inputs give the same output, in the same order, whatever the parallelism.
@Suite struct ParallelTwoInputTests {
  enum Shape: CaseIterable { case connect, broadcast, plainBroadcast }

  struct Program {
    var left: [[Value]]
    var right: [[Value]]
    var sizes: [Int]
    var policies = RecordPolicies(nullKeys: .drop, nullTimestamps: .process)
    let bound: Int64

    init(_ random: inout SeededGenerator, _ shape: Shape, fails: Bool) {
      let keys = Int64.random(in: 1...20, using: &random)
      func rows(_ count: Int, _ step: Int64) -> [[Value]] {
        var now = Int64.random(in: -20...20, using: &random)
        return (0..<count).map { number in
          now += Int64.random(in: -4...step, using: &random)
          return [
            random.chance(3) ? .null : .int(Int64.random(in: 0..<keys, using: &random)),
            .int(Int64.random(in: 0..<(fails ? 10 : 9), using: &random)),
            .int(Int64.random(in: 0..<20, using: &random)),
            random.chance(4) ? .null : .int(now), .text("row \(number)"),
          ]
        }
      }
      left = rows(Int.random(in: 0...200, using: &random), 6)
      right = rows(Int.random(in: 0...(shape == .connect ? 200 : 40), using: &random), shape == .connect ? 6 : 30)
      sizes = [[500], [1], [0, 3, 1, 17, 64]][Int.random(in: 0..<3, using: &random)]
      bound = Int64.random(in: 0...10, using: &random)
      guard random.chance(60) else { return }
      policies.late = [.process, .drop, .sideOutput][Int.random(in: 0..<3, using: &random)]
      policies.onError = [.skip, .deadLetter][Int.random(in: 0..<2, using: &random)]
      policies.nullKeys = [.drop, .deadLetter][Int.random(in: 0..<2, using: &random)]
      policies.nullTimestamps = [.process, .drop, .deadLetter][Int.random(in: 0..<3, using: &random)]
    }

    func run(_ shape: Shape, _ parallelism: Int, clock: Clock) throws -> ParallelOutcome {
      let job = Job(name: "job", policies, clock: clock)
      job.parallelism = try Parallelism(parallelism)
      for rows in [left, right] {
        let input = try batches(Gadget.fields, rows, sizes: sizes)
        try job.addSource(ListSource(input), timestamp: "t", maxOutOfOrderness: bound)
      }
      try job.addProcess(spec(shape), [.source(0), .source(1)])
      try job.addProcess(.witness())
      return try ParallelOutcome(job, sides: (shape == .connect ? ["records"] : []) + policies.reservedTags)
    }

    func spec(_ shape: Shape) throws -> ProcessSpec {
      switch shape {
      case .connect: try .twoInputs("co", .connect, (["k"], ["k"])) { CoGadget() }
      case .broadcast: try .twoInputs("rules", .broadcast, (["k"], [])) { BroadcastGadget() }
      case .plainBroadcast: try .twoInputs("plain", .broadcast, ([], [])) { PlainBroadcastGadget() }
      }
    }
  }

  @Test(arguments: Shape.allCases, UInt64(1)...25)
  func sameAsSerial(shape: Shape, seed: UInt64) throws {
    var random = SeededGenerator(seed)
    var program = Program(&random, shape, fails: seed % 4 == 0)
    // The clock that runs by itself only where nothing depends on it.
    let clock: () -> Clock = { shape == .connect || seed % 2 == 0 ? ManualClock(5) : .system }
    if shape != .connect { program.policies.onError = .raise }
    let serial = try program.run(shape, 1, clock: clock())
    for parallelism in [2, 3, 7] {
      var parallel = try program.run(shape, parallelism, clock: clock())
      // Broadcast state is counted where it is, which is in every instance.
      if shape != .connect, parallel.error == nil { parallel.counters[9] = serial.counters[9] }
      let difference = parallel.difference(from: serial)
      #expect(difference == nil, "seed \(seed), parallelism \(parallelism)")
    }
  }

  /// What `on_broadcast` itself emits comes from every instance, in their order.
  @Test func broadcastRecordsReachEveryInstance() throws {
    struct Echo: BroadcastProcessFunction {
      let text = OutputColumn<String>("text")
      func onBroadcast(batch: Record, row: Int, context: Context) throws {
        text.set("\(context.instance) of \(context.parallelism) at \(context.timestamp ?? -1)")
        try context.emit()
      }
      func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {}
    }
    let rows = (0..<3).map { [Value.int($0), .int(0), .int(0), .int($0), .text("")] }
    let job = Job()
    job.parallelism = try Parallelism(3)
    for _ in 0..<2 { try job.addSource(ListSource([try batch(Gadget.fields, rows)]), timestamp: "t") }
    try job.addProcess(.twoInputs("echo", .broadcast, (["k"], [])) { Echo() }, [.source(0), .source(1)])
    let texts = (0..<3).flatMap { time in (0..<3).map { [Value.text("\($0) of 3 at \(time)")] } }
    #expect(job.drain().rows == texts)
  }
}
