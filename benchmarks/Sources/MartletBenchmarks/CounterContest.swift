import BenchSupport
import Martlet

/// The running count beside the C loop, per number of keys.
func reportCounters(records: Int) throws {
  for cardinality in [1_000, 100_000, 1_000_000] {
    let integers = IntegerLoop(IntegerKeys(count: records, cardinality: cardinality))
    let strings = StringLoop(StringKeys(count: records, cardinality: cardinality))
    integers.run()
    integers.check()
    strings.run()
    strings.check()
    let integerInput = try integerBatch(integers.keys.values)
    let stringInput = try stringBatch(strings.keys)
    func expectAllRows(_ stream: Stream) throws {
      let emitted = try rows(stream)
      precondition(emitted == records, "emitted \(emitted) rows")
    }
    let timings = try Contest([
      .init("C loop, int keys", run: integers.run),
      .init("Martlet, int keys, two fields") {
        try expectAllRows(applyProcessFunction(Stream(BatchSource([integerInput])), "user_id", IntegerCounter()))
      },
      .init("Martlet, int keys, record") {
        try expectAllRows(applyProcessFunction(Stream(BatchSource([integerInput])), "user_id", RecordCounter()))
      },
      .init("Martlet, int keys, empty function") {
        _ = try rows(applyProcessFunction(Stream(BatchSource([integerInput])), "user_id", Nothing()))
      },
    ]).run()
    report("Running count, \(cardinality) int keys", records: records, peer: "C loop, int keys", timings)
    let stringTimings = try Contest([
      .init("C loop, string keys", run: strings.run),
      .init("Martlet, string keys, record") {
        try expectAllRows(applyProcessFunction(Stream(BatchSource([stringInput])), "user_id", RecordCounter()))
      },
    ]).run()
    report("Running count, \(cardinality) string keys", records: records, peer: "C loop, string keys", stringTimings)
  }
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
