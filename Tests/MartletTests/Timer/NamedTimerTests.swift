import Testing

@testable import Martlet

/// The pending time of a named timer, as a function asks for it.
@Suite struct NamedTimerTests {
  /// Notes what it finds before and after it moves its timer.
  private struct Moves: ProcessFunction {
    let out = OutputColumn<String>("found")

    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      let before = try context.timer(named: "quiet")
      let time = try #require(context.timestamp)
      if time == 3 { try context.deleteTimer("quiet") }
      if time == 1 { try context.registerEventTimeTimer(time + 10, name: "quiet") }
      if time == 2 { try context.registerProcessingTimeTimer(time + 20, name: "quiet") }
      try context.registerEventTimeTimer(5)
      try say(before, try context.timer(named: "quiet"), context)
      #expect(try context.timer(named: "never used") == nil)
    }

    func onTimer(key: Key, fireTime: Int64, context: Context) throws {
      guard context.timerName != nil else { return }
      try say(fireTime, try context.timer(named: "quiet"), context)
    }

    private func say(_ before: Int64?, _ after: Int64?, _ context: Context) throws {
      out.set("\(before.map { "\($0)" } ?? "-") \(after.map { "\($0)" } ?? "-")")
      try context.emit()
    }
  }

  @Test func pendingTimes() throws {
    let schema = Schema([Field("k", .utf8)])
    let harness = try Harness(Moves(), key: "k", schema: schema)
    for time in Int64(1)...3 { try harness.push("a", timestamp: .at(time)) }
    try harness.push("a", timestamp: 1)
    try harness.push("b", timestamp: 2)
    try harness.advanceWatermark(to: 11)
    try harness.advanceProcessingTime(to: 22)
    #expect(
      try harness.output() == [["- 11"], ["11 22"], ["22 -"], ["- 11"], ["- 22"], ["11 -"], ["22 -"]])
  }

  @Test func thereIsNoTimerWithoutAKey() throws {
    struct Opens: ProcessFunction {
      func open(context: Context) throws {
        let error = #expect(throws: EngineError.self) { try context.timer(named: "quiet") }
        #expect(error?.kind == .stateAccess && error.says("no current key"))
      }
      func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {}
    }
    let harness = try Harness(Opens(), key: "k", schema: Schema([Field("k", .utf8)]))
    try harness.push("a")
  }
}
