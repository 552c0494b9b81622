import BenchSupport
import Martlet

/// Timers as jobs use them: an inactivity timer that every record moves, timers of both domains, and millions pending at once.
func reportTimerCycles(records: Int) throws {
  let cycles = 5 * records
  // Each record deletes the key's timer, registers a new one, and time goes on, so that each timer that is left fires.
  let input = try eventBatch(IntegerKeys(count: cycles, cardinality: 100_000).values)
  func run(_ function: @escaping @autoclosure () -> some ProcessFunction) throws {
    try Stream(BatchSource([input]), timestamp: "t").processed(by: function())
  }
  let timings = try Contest(
    rounds: 5,
    [
      .init("empty callback") { try run(NoTimer()) },
      .init("register + fire") { try run(RegisterAndFire()) },
      .init("delete + register (inactivity)") { try run(Inactivity(name: nil)) },
      .init("register again (named inactivity)") { try run(Inactivity(name: "quiet")) },
      .init("register + delete + register + fire") { try run(Cycle()) },
      .init("processing time: delete + register") { try run(ProcessingInactivity()) },
    ]
  ).run()
  report("Timers, \(cycles) records, 100 k keys", records: cycles, peer: "empty callback", timings)
}

/// Ten million pending timers: what they cost, and that they fire.
func reportPendingTimers(_ count: Int) throws {
  let input = try eventBatch((0..<Int64(count)).map { $0 &* 7_919 })
  let clock = ContinuousClock()
  var fired = 0
  let job = try applyProcessFunction(Stream(BatchSource([input]), timestamp: "t"), "user_id", AtTheEnd()).job()
  var bytesPerTimer = 0.0
  let elapsed = try clock.measure {
    while let batch = try job.next(minRows: 1) {
      let report = job.report
      if report.timersPending > 0 {
        bytesPerTimer = max(bytesPerTimer, Double(report.stateBytes) / Double(report.timersPending))
      }
      fired += batch.numRows
    }
  }
  precondition(fired == 2, "\(fired) rows")
  printTable(
    "\(count) timers pending at once, one a key", header: ["", ""],
    rows: [
      ["register and fire, M/s", fixed(Double(count) * 1e3 / elapsed.nanoseconds)],
      ["bytes a timer, with its key", fixed(bytesPerTimer, 1)],
    ])
}

private struct NoTimer: ProcessFunction {
  let out = OutputColumn<Int64>("out")
  func onEvent(key: Key, batch: Record, row: Int, context: Context) {}
}

/// A timer a little later, which fires when time has gone on.
private struct RegisterAndFire: ProcessFunction {
  let out = OutputColumn<Int64>("out")
  func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
    try context.registerEventTimeTimer((context.timestamp ?? 0) + 1000)
  }
}

private struct Inactivity: ProcessFunction {
  let out = OutputColumn<Int64>("out")
  let last = ValueState<Int64>("last")
  let name: String?
  func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
    let time = context.timestamp ?? 0
    if let name { return try context.registerEventTimeTimer(time + 1_000_000, name: name) }
    if let last = last.get() { try context.deleteEventTimeTimer(last + 1_000_000) }
    last.set(time)
    try context.registerEventTimeTimer(time + 1_000_000)
  }
}

private struct Cycle: ProcessFunction {
  let out = OutputColumn<Int64>("out")
  func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
    let time = context.timestamp ?? 0
    try context.registerEventTimeTimer(time + 50_000)
    try context.deleteEventTimeTimer(time + 50_000)
    try context.registerEventTimeTimer(time + 1000)
  }
}

private struct ProcessingInactivity: ProcessFunction {
  let out = OutputColumn<Int64>("out")
  let last = ValueState<Int64>("last")
  func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
    if let last = last.get() { try context.deleteProcessingTimeTimer(last + 60_000) }
    let time = context.processingTime
    last.set(time)
    try context.registerProcessingTimeTimer(time + 60_000)
  }
}

private struct AtTheEnd: ProcessFunction {
  let out = OutputColumn<Int64>("out")
  var fired = 0
  func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
    let time = context.timestamp ?? 0
    try context.registerEventTimeTimer(time + 1_000_000_000)
    // So that the report can be read while all are pending.
    if time == 9_000_000 { try emit(context) }
  }
  mutating func onTimer(key: Key, fireTime: Int64, context: Context) throws {
    fired += 1
    if fired == 1 { try emit(context) }
  }
  private func emit(_ context: Context) throws {
    out.set(context.timestamp ?? 0)
    try context.emit()
  }
}

extension Stream {
  fileprivate func processed(by function: @escaping @autoclosure () -> some ProcessFunction) throws {
    _ = try applyProcessFunction(self, "user_id", function()).collect()
  }
}

/// Records of these keys, one a millisecond.
private func eventBatch(_ keys: [Int64]) throws -> RecordBatch {
  let builder = try BatchBuilder(Schema([Field("user_id", .int64), Field("t", .int64)]))
  for (time, key) in keys.enumerated() {
    try builder.columns[0].append(int64: key)
    try builder.columns[1].append(int64: Int64(time))
    try builder.endRow()
  }
  return try builder.finish()
}
