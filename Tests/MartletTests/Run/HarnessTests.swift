import Testing

@testable import Martlet

/// The harness in Swift: what a user's own tests would do with it.
@Suite struct HarnessTests {
  /// Emits each key's running count, and the count once more a minute after the first record.
  struct Counter: ProcessFunction {
    let count = ValueState<Int64>("count")
    let seen = ListState<String>("seen")
    let key = OutputColumn<String>("key")
    let n = OutputColumn<Int64>("n")

    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      let total = (count.get() ?? 0) + 1
      if try batch.int64("amount") == -1 { throw Refused() }
      count.set(total)
      seen.add(key.string)
      try emit(key, total, context)
      try context.registerEventTimeTimer(60_000)
      try context.registerProcessingTimeTimer(context.processingTime + 5, name: "soon")
    }

    func onTimer(key: Key, fireTime: Int64, context: Context) throws {
      try emit(key, context.timerDomain == .event ? -fireTime : fireTime, context)
    }

    func emit(_ key: Key, _ value: Int64, _ context: Context) throws {
      self.key.set(key.string)
      n.set(value)
      try context.emit()
    }
  }

  struct Refused: Error {}

  static let schema = Schema([Field("user", .utf8), Field("amount", .int64)])

  private func harness(_ function: Counter = Counter(), bound: Int64? = nil) throws -> Harness {
    try Harness(function, key: "user", schema: HarnessTests.schema, maxOutOfOrderness: bound)
  }

  @Test func everyPushIsProcessedAtOnce() throws {
    let function = Counter()
    let harness = try harness(function)
    try harness.push("ann", 5, timestamp: 12)
    #expect(try harness.output(timestamps: true) == [OutputRow(["ann", 1], at: .at(12))])
    try harness.push("ann", 5, timestamp: .none)
    #expect(try harness.output(timestamps: true) == [OutputRow(["ann", 2], at: .absent)])
    #expect(try harness.output() == [])
    #expect(try harness.at("ann") { function.count.get() } == 2)
    #expect(try harness.at("ann") { function.seen.get() } == ["ann", "ann"])
    #expect(try harness.at("bob") { function.count.get() } == nil)
    #expect(
      try harness.timers(of: "ann") == [PendingTimer(.event, 60_000), PendingTimer(.processing, 5, name: "soon")])
    #expect(try harness.timers(of: "bob") == [])
  }

  @Test func timeMovesByHand() throws {
    let harness = try harness()
    try harness.push("ann", 5, timestamp: 12)
    #expect(harness.watermark == EventTime.min && harness.processingTime == 0)
    _ = try harness.output()
    try harness.advanceWatermark(to: 59_999)
    #expect(try harness.output() == [])
    try harness.advanceProcessingTime(to: 5)
    #expect(try harness.output() == [["ann", 5]])
    try harness.advanceWatermark(to: 60_000)
    #expect(try harness.output() == [["ann", -60_000]])
    let error = #expect(throws: EngineError.self) { try harness.advanceWatermark(to: 59_999) }
    #expect(error?.kind == .invalidArgument)
    #expect(throws: EngineError.self) { try harness.advanceProcessingTime(to: 4) }
    try harness.end()
    #expect(harness.watermark == EventTime.max)
    #expect(throws: EngineError.self) { try harness.push("ann", 5) }
  }

  @Test func theWatermarkFollowsTheRecordsIfAsked() throws {
    let harness = try harness(bound: 10)
    try harness.push("ann", 5, timestamp: 100)
    #expect(harness.watermark == 89)
    try harness.push("ann", 5, timestamp: 50)
    try harness.push("bob", 5, timestamp: .none)
    #expect(harness.watermark == 89)
    try harness.push("ann", 5, timestamp: 60_011)
    #expect(try harness.output().last == ["bob", -60_000])
  }

  @Test func anErrorEndsTheRunAndLeavesItToBeLookedAt() throws {
    let function = Counter()
    let harness = try harness(function)
    try harness.push("ann", 5)
    let error = #expect(throws: ProcessFunctionError.self) { try harness.push("ann", -1) }
    #expect(error?.underlying is Refused && error?.record == 1 && error?.key == "'ann'")
    #expect(try harness.output() == [["ann", 1]])
    #expect(try harness.at("ann") { function.count.get() } == 1)
    let closed = #expect(throws: EngineError.self) { try harness.push("ann", 5) }
    #expect(closed?.kind == .closed)
    #expect(throws: EngineError.self) { try harness.snapshot() }
    try harness.close()
    try harness.close()
  }

  @Test func watermarksBeforeTheFirstRecord() throws {
    let harness = try Harness(Counter(), key: "user")
    try harness.advanceWatermark(to: 70_000)
    #expect(harness.watermark == 70_000)
    try harness.open(HarnessTests.schema)
    try harness.push("ann", 5, timestamp: 80_000)
    #expect(harness.watermark == 70_000)
    try harness.advanceWatermark(to: 70_001)
    #expect(try harness.output() == [["ann", 1], ["ann", -60_000]])
  }

  @Test func wrongKeysAndColumnsAreNamed() throws {
    let harness = try harness()
    let key = #expect(throws: EngineError.self) { try harness.timers(of: 5) }
    #expect(key?.kind == .schemaMismatch)
    #expect(throws: EngineError.self) { try harness.push("ann") }
    let other = try BatchBuilder(Schema([Field("user", .utf8), Field("total", .int64)]))
    try other.endRow()
    let batch = try other.finish()
    #expect(throws: EngineError.self) { try harness.push(batch, row: 1) }
    let error = #expect(throws: EngineError.self) { try harness.push(batch) }
    #expect(error?.kind == .schemaMismatch && error?.message.contains("total") == true)
  }
}
