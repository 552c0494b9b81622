import BenchSupport
import Martlet

/// The running count over two inputs, beside the same records in one input.
struct ConnectedCounter: CoProcessFunction {
  let count = ValueState<Int64>("count")
  let user = OutputColumn<Int64>("user_id")
  let n = OutputColumn<Int64>("n")

  func onLeft(key: Key, batch: Record, row: Int, context: Context) throws { try add(key, context) }
  func onRight(key: Key, batch: Record, row: Int, context: Context) throws { try add(key, context) }

  @inline(__always)
  private func add(_ key: Key, _ context: Context) throws {
    let next = (count.get() ?? 0) + 1
    count.set(next)
    user.set(key.int64)
    n.set(next)
    try context.emit()
  }
}

struct ConnectedNothing: CoProcessFunction {
  func onLeft(key: Key, batch: Record, row: Int, context: Context) {}
  func onRight(key: Key, batch: Record, row: Int, context: Context) {}
}

/// Looks its key up in a table that the broadcast side fills.
struct Lookup: BroadcastProcessFunction {
  let table = BroadcastState<Int64, Int64>("table")
  let found = OutputColumn<Int64>("found")

  func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
    guard let value = table.get(key.int64) else { return }
    found.set(value)
    try context.emit()
  }

  func onBroadcast(batch: Record, row: Int, context: Context) throws {
    let key = try batch.int64("user_id") ?? 0
    try table.put(key, key)
  }
}

/// Keys in no order, and rising times with irregular steps, so that the two sides interleave irregularly.
private func timedBatch(_ count: Int, cardinality: Int64, seed: UInt64) throws -> RecordBatch {
  let builder = try BatchBuilder(Schema([Field("user_id", .int64), Field("ts", .int64)]))
  var state = seed
  var time: Int64 = 0
  for _ in 0..<count {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    try builder.columns[0].append(int64: Int64(state >> 33) % cardinality)
    time += Int64(state >> 61)
    try builder.columns[1].append(int64: time)
    try builder.endRow()
  }
  return try builder.finish()
}

func reportConnect(records: Int) throws {
  for cardinality in [Int64(1_000), 100_000] {
    let left = try timedBatch(records / 2, cardinality: cardinality, seed: 1)
    let right = try timedBatch(records / 2, cardinality: cardinality, seed: 2)
    let one = try timedBatch(records, cardinality: cardinality, seed: 3)
    let rules = try timedBatch(1_000, cardinality: 1_000, seed: 4)
    func stream(_ batch: RecordBatch, _ timestamp: String?) -> Stream {
      Stream(BatchSource([batch]), timestamp: timestamp)
    }
    func expect(_ wanted: Int, _ stream: Stream) throws {
      let emitted = try rows(stream)
      precondition(emitted == wanted, "emitted \(emitted) rows")
    }
    func connect(_ timestamp: String?, _ function: @autoclosure @escaping () -> some CoProcessFunction) -> Stream {
      connectStreams(stream(left, timestamp), stream(right, timestamp), "user_id", function())
    }
    let timings = try Contest([
      .init("one input, count") {
        try expect(records, applyProcessFunction(stream(one, nil), "user_id", IntegerCounter()))
      },
      .init("two inputs in turn, count") { try expect(records, connect(nil, ConnectedCounter())) },
      .init("one input, empty") { try expect(0, applyProcessFunction(stream(one, nil), "user_id", Nothing())) },
      .init("two inputs in turn, empty") { try expect(0, connect(nil, ConnectedNothing())) },
      .init("one input with times, count") {
        try expect(records, applyProcessFunction(stream(one, "ts"), "user_id", IntegerCounter()))
      },
      .init("two inputs by time, count") { try expect(records, connect("ts", ConnectedCounter())) },
      .init("one input with times, empty") {
        try expect(0, applyProcessFunction(stream(one, "ts"), "user_id", Nothing()))
      },
      .init("two inputs by time, empty") { try expect(0, connect("ts", ConnectedNothing())) },
      .init("broadcast table, lookup") {
        _ = try rows(broadcastStream(stream(one, nil), stream(rules, nil).broadcast(), key: "user_id", Lookup()))
      },
    ]).run()
    report("Two inputs, \(cardinality) keys", records: records, peer: "one input, count", timings)
  }
}
