import Testing

@testable import Martlet

@Suite struct TimerLoopTests {
  /// Registers a timer at `step` after the last one, for ever.
  struct Periodic: ProcessFunction {
    var step: Int64
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      try context.registerEventTimeTimer(0)
    }
    func onTimer(key: Key, fireTime: Int64, context: Context) throws {
      try context.registerEventTimeTimer(fireTime + step)
    }
  }

  @Test(arguments: [Int64(0), 1])
  func endlessChainIsAnErrorThatNamesTheKey(step: Int64) throws {
    let rig = try OperatorRig(Periodic(step: step))
    rig.process.longestTimerChain = 1000
    let error = #expect(throws: EngineError.self) { try rig.run("user-7@0 END") }
    #expect(error?.kind == .timerLoop && error?.key == "'user-7'" && error?.operatorName == "rig")
    #expect(rig.process.counters.timersFired == 1000)
  }

  /// The limit counts within one pass: a timer may go on for as long as time does.
  @Test func periodicTimersMayGoOn() throws {
    let rig = try OperatorRig(Periodic(step: 10))
    rig.process.longestTimerChain = 50
    try rig.run("user-7@0")
    for time in Int64(0)..<5000 {
      try rig.process.finish(watermark: time)
    }
    #expect(rig.process.counters.timersFired == 500)
  }

  /// Many timers that one firing registers are wide, not long.
  @Test func manyTimersAreNoChain() throws {
    struct Fan: ProcessFunction {
      func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
        try context.registerEventTimeTimer(0)
      }
      func onTimer(key: Key, fireTime: Int64, context: Context) throws {
        guard fireTime == 0 else { return }
        for time in Int64(1)...1000 { try context.registerEventTimeTimer(time) }
      }
    }
    let rig = try OperatorRig(Fan())
    rig.process.longestTimerChain = 10
    try rig.run("a@0 END")
    #expect(rig.process.counters.timersFired == 1001)
  }

  @Test func aMillionIsTheLimit() throws {
    #expect(try OperatorRig(Periodic(step: 1)).process.longestTimerChain == 1_000_000)
  }
}
