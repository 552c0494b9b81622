import BenchSupport
import Martlet

/// The ways to count of one number of keys. Every one of them gives a row per record; the first of each kind of key is the peer.
struct Counters {
  let integers: [Contest.Contender]
  let strings: [Contest.Contender]

  init(records: Int, cardinality: Int) throws {
    let integers = IntegerLoop(IntegerKeys(count: records, cardinality: cardinality))
    let strings = StringLoop(StringKeys(count: records, cardinality: cardinality))
    integers.check()
    strings.check()
    let integerInput = try integerBatch(integers.keys.values)
    let stringInput = try stringBatch(strings.keys)
    func expectAllRows(_ stream: Stream) throws {
      let emitted = try rows(stream)
      precondition(emitted == records, "emitted \(emitted) rows")
    }
    self.integers = [
      .init("C loop, int keys", run: integers.run),
      .init("C loop, int keys, row numbers only", run: integers.runByReference),
      .init("Martlet, int keys, two fields") {
        try expectAllRows(applyProcessFunction(Stream(BatchSource([integerInput])), "user_id", IntegerCounter()))
      },
      .init("Martlet, int keys, record") {
        try expectAllRows(applyProcessFunction(Stream(BatchSource([integerInput])), "user_id", RecordCounter()))
      },
      .init("Martlet, int keys, empty function") {
        _ = try rows(applyProcessFunction(Stream(BatchSource([integerInput])), "user_id", Nothing()))
      },
    ]
    self.strings = [
      .init("C loop, string keys", run: strings.run),
      .init("C loop, string keys, row numbers only", run: strings.runByReference),
      .init("Martlet, string keys, record") {
        try expectAllRows(applyProcessFunction(Stream(BatchSource([stringInput])), "user_id", RecordCounter()))
      },
    ]
  }
}

/// The running count beside the C loop, per number of keys.
func reportCounters(records: Int) throws {
  for cardinality in [1_000, 100_000, 1_000_000] {
    let counters = try Counters(records: records, cardinality: cardinality)
    for (kind, contenders) in [("int", counters.integers), ("string", counters.strings)] {
      report(
        "Running count, \(cardinality) \(kind) keys", records: records, peer: contenders[0].name,
        try Contest(contenders).run())
    }
  }
}

/// One of them over and over, for a profiler: `profile "<name>" <keys> <seconds>`.
func profileCounter(_ name: String, records: Int, cardinality: Int, seconds: Int) throws {
  let counters = try Counters(records: records, cardinality: cardinality)
  let all = counters.integers + counters.strings
  guard let contender = all.first(where: { $0.name == name }) else {
    preconditionFailure("there is no '\(name)', but \(all.map(\.name))")
  }
  let clock = ContinuousClock()
  let end = clock.now + .seconds(seconds)
  var times: [Double] = []
  while clock.now < end { times.append(try clock.measure(contender.run).nanoseconds) }
  print(
    "\(name): \(fixed((times.min() ?? 0) / Double(records), 2)) ns/record at best, \(fixed(median(times) / Double(records), 2)) median"
  )
}

/// The record loop allocates nothing per record: twice the input makes a few allocations more, for its batches.
func reportAllocations(records: Int) throws {
  let once = try integerBatch((0..<Int64(records)).map { $0 & 1023 })
  let half = try integerBatch((0..<Int64(records / 2)).map { $0 & 1023 })
  let more = try allocations {
    _ = try rows(applyProcessFunction(Stream(BatchSource([once])), "user_id", RecordCounter()))
  }
  let fewer = try allocations {
    _ = try rows(applyProcessFunction(Stream(BatchSource([half])), "user_id", RecordCounter()))
  }
  print("allocations for \(records / 2) more records: \(more - fewer)")
}
