import Synchronization
import Testing

@testable import Martlet

/// What happens around the records: opening, ends, early ends, refusals, and what is shared that must not be.
@Suite struct ParallelLifeTests {
  /// Used by several threads.
  final class Tally: Sendable {
    let opened = Atomic<Int>(0)
    let closed = Atomic<Int>(0)
    let events = Atomic<Int>(0)
  }

  struct Noting: ProcessFunction {
    let tally: Tally
    var failing: (instance: Int, call: String)?
    struct Failure: Error { let instance: Int }

    func open(context: Context) throws {
      tally.opened.add(1, ordering: .relaxed)
      try fail("open", context)
    }
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      tally.events.add(1, ordering: .relaxed)
      try fail("event", context)
      try context.emit(batch)
    }
    func close(context: Context) throws {
      tally.closed.add(1, ordering: .relaxed)
      try fail("close", context)
    }
    private func fail(_ call: String, _ context: Context) throws {
      if let failing, failing.call == call, failing.instance == context.instance {
        throw Failure(instance: context.instance)
      }
    }
  }

  private let fields = [Field("k", .int64), Field("v", .int64)]
  private func rows(_ count: Int, keys: Int64 = 50) -> [[Value]] {
    (0..<Int64(count)).map { [.int($0 % keys), .int($0)] }
  }

  private func job(
    _ tally: Tally, _ rows: [[Value]], parallelism: Int = 3, sizes: [Int] = [1000], failing: (Int, String)? = nil
  ) throws -> Job {
    let job = Job()
    job.parallelism = try Parallelism(parallelism)
    try job.addSource(ListSource(try batches(fields, rows, sizes: sizes)))
    try job.addProcess(
      .parallel("noting", by: "k") { Noting(tally: tally, failing: failing.map { (instance: $0.0, call: $0.1) }) })
    return job
  }

  @Test func everyInstanceIsOpenedAndClosedOnce() throws {
    let tally = Tally()
    let job = try job(tally, rows(5000))
    #expect(job.drain().rows == rows(5000))
    #expect(tally.opened.load(ordering: .relaxed) == 3 && tally.closed.load(ordering: .relaxed) == 3)
    #expect(tally.events.load(ordering: .relaxed) == 5000)
    try job.close()
    #expect(tally.closed.load(ordering: .relaxed) == 3)
  }

  @Test(arguments: [0, 1]) func emptyInput(batches: Int) throws {
    let tally = Tally()
    let job = Job()
    job.parallelism = try Parallelism(3)
    try job.addSource(ListSource(batches == 0 ? [] : [try batch(fields, [])]))
    try job.addProcess(.parallel("noting", by: "k") { Noting(tally: tally) })
    #expect(job.drain().rows.isEmpty)
    #expect(tally.opened.load(ordering: .relaxed) == 3 && tally.closed.load(ordering: .relaxed) == 3)
  }

  @Test func moreInstancesThanKeys() throws {
    let tally = Tally()
    let job = try job(tally, rows(3000, keys: 2), parallelism: 7)
    #expect(job.drain().rows == rows(3000, keys: 2))
    #expect(tally.closed.load(ordering: .relaxed) == 7)
  }

  /// Records of several chunks are under way when the job is closed, or dropped.
  @Test(arguments: [true, false]) func closingEarly(explicitly: Bool) throws {
    let tally = Tally()
    do {
      let job = try job(tally, rows(60_000), sizes: [100])
      #expect(try job.next()?.numRows ?? 0 > 0)
      if explicitly { try job.close() }
    }
    #expect(tally.closed.load(ordering: .relaxed) == 3)
    #expect(tally.events.load(ordering: .relaxed) < 60_000)
  }

  @Test(arguments: ["open", "event", "close"]) func aFailureOfOneInstance(call: String) throws {
    let tally = Tally()
    let job = try job(tally, rows(20_000), failing: (1, call))
    let (output, error) = job.drain()
    let failure = try #require(error as? ProcessFunctionError)
    #expect(failure.operatorName == "noting" && (failure.underlying as? Noting.Failure)?.instance == 1)
    #expect(tally.opened.load(ordering: .relaxed) == 3 && tally.closed.load(ordering: .relaxed) == 3)
    // The first record of that instance fails, and those before it come out.
    if call == "event" { #expect(output.count == Int(failure.record ?? -1)) }
    #expect(output.count == (call == "open" ? 0 : call == "close" ? 20_000 : output.count))
  }

  @Test func anErrorOfTheSourceComesAfterWhatWasRead() throws {
    struct Broken: Error {}
    let tally = Tally()
    let job = Job()
    job.parallelism = try Parallelism(2)
    try job.addSource(ListSource(try batches(fields, rows(10_000), sizes: [700]), then: Broken()))
    try job.addProcess(.parallel("noting", by: "k") { Noting(tally: tally) })
    let (output, error) = job.drain(minRows: 3000)
    #expect(output == rows(10_000) && error is Broken)
  }

  @Test func whatInstancesMustNotShare() throws {
    let counter = HarnessTests.Counter()
    var config = Stream.Config.default
    config.parallelism = 2
    let input = try batch([Field("user", .utf8), Field("amount", .int64)], [[.text("a"), .int(1)]])
    let shared = applyProcessFunction(Stream(BatchSource([input])), "user", counter, config: config)
    let error = #expect(throws: EngineError.self) { try shared.collect() }
    #expect(error?.kind == .invalidArgument && error?.message.contains("the state 'count'") == true)
    #expect(error?.message.contains("makes a new one") == true)
    let own = applyProcessFunction(Stream(BatchSource([input])), "user", HarnessTests.Counter(), config: config)
    #expect(throws: Never.self) { try own.collect() }
    config.parallelism = 129
    let tooMany = applyProcessFunction(
      Stream(BatchSource([input]), config: config), "user", HarnessTests.Counter(), config: config)
    let refusal = #expect(throws: EngineError.self) { try tooMany.collect() }
    #expect(refusal?.message.contains("max_parallelism, which is 128") == true)
  }

  /// Keys of every kind go to the instance that owns their group, and nowhere else.
  @Test func instancesOwnTheirGroups() throws {
    struct Owner: ProcessFunction {
      let k = OutputColumn<String>("k")
      let instance = OutputColumn<Int64>("instance")
      func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
        k.set(key.description)
        instance.set(Int64(context.instance))
        try context.emit()
      }
    }
    let long = String(repeating: "long key ", count: 10)
    let keys: [(DataType, [Value])] = [
      (.int64, (-20..<20).map { .int($0) }), (.uint64, [.int(-1), .int(5)]), (.bool, [.int(0), .int(1)]),
      (.utf8, [.text("a"), .text("zero \0 in it"), .text(""), .text(long)]),
      (.binary, [.bytes([0]), .bytes([1, 2, 3])]), (.date32, (0..<9).map { .int($0) }),
      (.decimal128(precision: 10, scale: 2), (0..<5).map { .bytes([$0] + Array(repeating: 0, count: 15)) }),
    ]
    for (type, values) in keys {
      let input = try batch([Field("k", type), Field("j", .int64)], values.map { [$0, .int(7)] })
      for columns in [["k"], ["k", "j"]] {
        for most in [128, 100] {
          let job = Job()
          job.parallelism = try Parallelism(5, of: most)
          try job.addSource(ListSource([input]))
          var spec = try ProcessSpec(name: "owner", keyColumns: columns, Owner(), states: [], outputSchema: nil)
          spec.makeInstance = { _ in
            try ProcessSpec(name: "owner", keyColumns: columns, Owner(), states: [], outputSchema: nil)
          }
          try job.addProcess(spec)
          let (output, error) = job.drain()
          #expect(error == nil && output.count == values.count)
          let space = KeySpace(try KeySchema(columns, in: input.schema))
          for (row, line) in output.enumerated() {
            var key = KeyRef(integer: 0)
            var slot: UInt32 = 0
            _ = space.intern(input, RowSelection(start: row, count: 1), &key, &slot)
            let hash = space.canonicalBytes(of: slot).withUnsafeBytes { StableHash.hash($0) }
            let group = KeyGroup(hash: hash, maxParallelism: Int32(most))
            #expect(line[1] == .int(Int64(group.instance(parallelism: 5, maxParallelism: Int32(most)))))
          }
        }
      }
    }
  }
}
