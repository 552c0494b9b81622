import Testing

@testable import Martlet

/// Cases of Flink's own suites for broadcast state (`CoBroadcastWithKeyedOperatorTest`, `CoBroadcastWithNonKeyedOperatorTest`), and what
/// goes beyond them. The broadcast side's column `k` holds numbers as text.
@Suite struct BroadcastTests {
  private func rig(
    _ function: some BroadcastProcessFunction, key: String? = "k", _ config: Stream.Config = .default
  ) throws -> TwoInputRig {
    TwoInputRig(
      harness: try Harness(
        broadcasting: function, key: key, main: TwoInputRig.left, broadcast: TwoInputRig.right, config: config))
  }

  struct Collects: BroadcastProcessFunction {
    let seen = ListState<String>("seen")
    let all = BroadcastState<Int64, Int64>("all")
    let out = OutputColumn<String>("out")
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws { seen.add(key.string) }
    func onBroadcast(batch: Record, row: Int, context: Context) throws {
      #expect(context.side == .right && context.key == nil)
      try context.applyToKeyedState(seen) { key in
        #expect(context.key?.description == "'\(key.string)'")
        out.set("\(key.string):\(seen.get())".filter { $0 != "\"" && $0 != " " })
        try context.emit()
        if try batch.string("k") == "clear" { seen.clear() }
        let timer = #expect(throws: EngineError.self) { try context.registerEventTimeTimer(5) }
        #expect(timer?.message.contains("apply_to_keyed_state") == true)
      }
      #expect(context.key == nil)
    }
  }

  @Test func visitingKeyedState() throws {
    let rig = try rig(Collects())
    #expect(try rig.run("2:1@0") == "")
    #expect(
      try rig.run("1:test1 1:test1 1:test2 1:test2 1:test2 1:test3 1:test3 1:test3 1:test2 2:1@7")
        == "test1:[test1,test1]@7 test2:[test2,test2,test2,test2]@7 test3:[test3,test3,test3]@7")
    _ = try rig.run("2:clear")
    #expect(try rig.run("2:1") == "")
    #expect(rig.harness.process.counters.keys == 0)
  }

  /// `side`: emits there, to side outputs.
  struct Tells: BroadcastProcessFunction {
    var hasTimer = true
    let out = OutputColumn<String>("out")
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      if hasTimer { try context.registerEventTimeTimer(41) }
      #expect(context.side == .left && (context.key == nil) == !hasTimer)
      try emit("NON-BR:\(try batch.string("k")!)", context)
    }
    func onBroadcast(batch: Record, row: Int, context: Context) throws {
      try emit("BR:\(try batch.string("k")!)", context)
    }
    func onTimer(key: Key, fireTime: Int64, context: Context) throws {
      #expect(key.string == "6" && context.side == nil)
      out.set("TIMER:\(fireTime)")
      try context.emit()
    }
    func emit(_ text: String, _ context: Context) throws {
      out.set("\(text)WM:\(context.watermark)TS:\(context.timestamp!)")
      try context.emit()
    }
  }

  @Test func watermarksAndTimers() throws {
    #expect(
      try rig(Tells()).run("W10 2:5@12 W40 1:6@13 1:6@15 W50")
        == "W10 BR:5WM:10TS:12@12 W40 NON-BR:6WM:40TS:13@13 NON-BR:6WM:40TS:15@15 TIMER:41@41 W50")
    #expect(
      try rig(Tells(hasTimer: false), key: nil).run("W10 2:5@12 W40 1:6@13 1:6@15 W50")
        == "W10 BR:5WM:10TS:12@12 W40 NON-BR:6WM:40TS:13@13 NON-BR:6WM:40TS:15@15 W50")
  }

  struct ToSides: BroadcastProcessFunction {
    let broadcast = SideOutput("br-out")
    let main = SideOutput("non-br-out")
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws { try context.emit(batch, to: main) }
    func onBroadcast(batch: Record, row: Int, context: Context) throws { try context.emit(batch, to: broadcast) }
  }

  @Test func sideOutputs() throws {
    let rig = try rig(ToSides())
    #expect(try rig.run("2:5@12 1:6@13", side: "br-out") == "5@12")
    #expect(try rig.run("1:6@15", side: "non-br-out") == "6@13 6@15")
  }

  struct Rules: BroadcastProcessFunction {
    let rules = BroadcastState<String, Int64>("rules")
    let out = OutputColumn<String>("out")
    var expected = 5
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      #expect(rules.count == expected && rules.contains("5.key") && rules["98.key"] == 98 && rules.get("7.key") == nil)
      try context.registerEventTimeTimer(41)
    }
    func onBroadcast(batch: Record, row: Int, context: Context) throws {
      let number = Int64(try batch.string("k")!)!
      try rules.put("\(number).key", number)
    }
    func onTimer(key: Key, fireTime: Int64, context: Context) throws {
      out.set("TS:41," + rules.entries().map { "\($0.key)=\($0.value)" }.joined(separator: ","))
      try context.emit()
    }
  }

  /// A timer sees the table as it is when it fires.
  @Test func timersSeeTheLatestTable() throws {
    #expect(
      try rig(Rules()).run("W10 2:5@10 2:34@12 2:53@15 2:12@16 2:98@19 1:trigger@13 2:51@21 W50")
        == "W10 TS:41,12.key=12,34.key=34,5.key=5,51.key=51,53.key=53,98.key=98@41 W50")
  }

  struct Forbidden: BroadcastProcessFunction {
    let rules = BroadcastState<String, Int64>("rules")
    let count = ValueState<Int64>("count")
    var attempt: (Forbidden, Context) throws -> Void
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      if try batch.string("k") == "try" { try attempt(self, context) } else { count.set(1) }
    }
    func onBroadcast(batch: Record, row: Int, context: Context) throws {
      if try batch.string("k") == "try" { try attempt(self, context) } else { try rules.put("a", 1) }
    }
  }

  private func refusal(_ script: String, _ attempt: @escaping (Forbidden, Context) throws -> Void) throws
    -> EngineError?
  {
    let function = Forbidden(attempt: attempt)
    let rig = try rig(function)
    _ = try rig.run("2:put 1:a")
    let error = #expect(throws: EngineError.self) { try rig.run(script) }
    #expect(error?.kind == .stateAccess)
    #expect(function.rules.entries().map(\.key) == ["a"])
    #expect(try rig.harness.at("a") { function.count.get() } == 1)
    return error
  }

  @Test func theKeyedSideOnlyReads() throws {
    for attempt: (Forbidden, Context) throws -> Void in [
      { function, _ in try function.rules.put("b", 2) }, { function, _ in try function.rules.remove("a") },
      { function, _ in try function.rules.clear() },
    ] {
      #expect(try refusal("1:try", attempt)?.message.contains("'rules'") == true)
    }
    // And as a binding does it.
    #expect(try refusal("1:try") { try $1.states[0].clear() } != nil)
    #expect(
      try refusal("1:try") { function, context in
        try context.applyToKeyedState(function.count) { _ in }
      }?.message.contains("on_broadcast") == true)
  }

  @Test func theBroadcastSideHasNoKey() throws {
    let text = "No key set. This method should not be called outside of a keyed context"
    #expect(try refusal("2:try") { _ = try $1.states[1].getInteger() }?.message.contains(text) == true)
    #expect(try refusal("2:try") { try $1.registerEventTimeTimer(5) }?.message.contains(text) == true)
    #expect(try refusal("2:try") { try $1.deleteProcessingTimeTimer(5) }?.message.contains(text) == true)
    #expect(
      try refusal("2:try") { function, context in try context.applyToKeyedState(function.rules) { _ in } }?.message
        .contains("'rules'") == true)
  }

  @Test func withoutAKey() throws {
    struct Timer: BroadcastProcessFunction {
      func onEvent(key: Key, batch: Record, row: Int, context: Context) throws { try context.registerEventTimeTimer(5) }
      func onBroadcast(batch: Record, row: Int, context: Context) throws {}
    }
    let error = #expect(throws: EngineError.self) { try rig(Timer(), key: nil).run("1:5") }
    #expect(error?.kind == .stateAccess && error?.message.contains("no key") == true)
    let state = #expect(throws: EngineError.self) { try rig(Collects(), key: nil) }
    #expect(state?.kind == .invalidArgument && state?.message.contains("'seen'") == true)
  }

  struct TwoMaps: BroadcastProcessFunction {
    let first = BroadcastState<String, Int64>("first")
    let second = BroadcastState<Int64, String>("second")
    let out = OutputColumn<String>("out")
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      let entries = first.entries().map { "\($0.key)->\($0.value)" } + second.entries().map { "\($0.key)->\($0.value)" }
      for entry in entries {
        out.set("\(try batch.string("k")!):\(entry)")
        try context.emit()
      }
    }
    func onBroadcast(batch: Record, row: Int, context: Context) throws {
      let number = Int64(try batch.string("k")!)!
      try first.put("key.\(number)", number)
      try second.put(number, "value.\(number)")
    }
  }

  @Test func severalStates() throws {
    #expect(
      try rig(TwoMaps(), key: nil).run("2:5 2:6 1:9@15")
        == "9:key.5->5@15 9:key.6->6@15 9:5->value.5@15 9:6->value.6@15")
  }

  /// A failing call leaves the table as it was, in whatever way it changed it.
  struct Changes: BroadcastProcessFunction {
    struct Refused: Error {}
    let rules = BroadcastState<String, String>("rules")
    let out = OutputColumn<String>("out")
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      out.set(rules.entries().map { "\($0.key)\($0.value)" }.joined(separator: ","))
      try context.emit()
    }
    func onBroadcast(batch: Record, row: Int, context: Context) throws {
      for change in try batch.string("k")!.split(separator: "/") {
        let key = String(change.dropFirst())
        switch change.first {
        case "+": try rules.put(key, "value")
        case "=": try rules.put(key, "another")
        case "-": try rules.remove(key)
        case "0": try rules.clear()
        default: throw Refused()
        }
      }
    }
  }

  @Test func failedCallsLeaveNoTrace() throws {
    var config = Stream.Config.default
    config.onError = .skip
    let rig = try rig(Changes(), config)
    #expect(
      try rig.run("2:+a/+b 1:x@1 2:=a/-b/+c/! 1:x@2 2:0/+d/! 1:x@3 2:0/+e 1:x@4 2:0/! 1:x@5")
        == "avalue,bvalue@1 avalue,bvalue@2 avalue,bvalue@3 evalue@4 evalue@5")
    #expect(rig.harness.process.counters.errors == 3)
  }

  /// A rule that is late is delivered whatever happens to late records.
  @Test func lateRules() throws {
    var config = Stream.Config.default
    config.late = .drop
    let rig = try rig(Changes(), config)
    #expect(try rig.run("W10 2:+a@3 1:x@4 1:x@11") == "W10 avalue@11")
    #expect(rig.harness.process.counters.late == 2 && rig.harness.process.counters.lateDropped == 1)
  }
}
