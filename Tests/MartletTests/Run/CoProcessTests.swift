import Testing

@testable import Martlet

/// Cases of Flink's own suite for functions over two keyed streams (`KeyedCoProcessOperatorTest`), and what goes beyond it.
@Suite struct CoProcessTests {
  private func rig(_ function: some CoProcessFunction, _ config: Stream.Config = .default) throws -> TwoInputRig {
    TwoInputRig(
      harness: try Harness(
        connecting: function, keys: ("k", "k"), left: TwoInputRig.left, right: TwoInputRig.right, config: config))
  }

  /// Emits what a closure makes of each record.
  struct Tells: CoProcessFunction {
    let out = OutputColumn<String>("out")
    let text: (Key, Context) throws -> String
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      out.set(try text(key, context))
      try context.emit()
    }
  }

  @Test func watermarkAndTimestamp() throws {
    let function = Tells { key, context in "\(key.string)WM:\(context.watermark)TS:\(context.timestamp!)" }
    #expect(
      try rig(function).run("W1=17 W2=17 1:5@12 W1=42 W2=42 2:6@13") == "W17 5WM:17TS:12@12 W42 6WM:42TS:13@13")
  }

  @Test func processingTime() throws {
    let function = Tells { key, context in "\(key.string)PT:\(context.processingTime)TS:\(context.timestamp == nil)" }
    #expect(try rig(function).run("PT17 1:5 PT42 2:6") == "5PT:17TS:true@- 6PT:42TS:true@-")
  }

  struct TwoTimers: CoProcessFunction {
    let out = OutputColumn<String>("out")
    func onLeft(key: Key, batch: Record, row: Int, context: Context) throws {
      try emit("INPUT1:\(key.string)", context)
      try context.registerEventTimeTimer(5)
    }
    func onRight(key: Key, batch: Record, row: Int, context: Context) throws {
      try emit("INPUT2:\(key.string)", context)
      try context.registerEventTimeTimer(6)
    }
    func onTimer(key: Key, fireTime: Int64, context: Context) throws {
      #expect(context.side == nil && context.recordNumber == nil)
      try emit("\(key.string):1777", context)
    }
    func emit(_ text: String, _ context: Context) throws {
      out.set(text)
      try context.emit()
    }
  }

  @Test func timersOfBothSides() throws {
    #expect(
      try rig(TwoTimers()).run("1:17@42 2:18@42 W1=5 W2=5 W1=6 W2=6")
        == "INPUT1:17@42 INPUT2:18@42 17:1777@5 W5 18:1777@6 W6")
    // One side only: nothing is forwarded, nothing fires.
    #expect(try rig(TwoTimers()).run("1:17@42 W1=17") == "INPUT1:17@42")
    #expect(try rig(TwoTimers()).run("1:17@42 W1=17 2I") == "INPUT1:17@42 17:1777@5 W17")
    #expect(try rig(TwoTimers()).run("1:17@42 W1=17 2E 1E") == "INPUT1:17@42 17:1777@5 W17 END")
    #expect(try rig(TwoTimers()).run("1:17@42 W1=3 W2=4 1I 2I 2E") == "INPUT1:17@42 W3 W4")
    #expect(try rig(TwoTimers()).run("2:18@1 END") == "INPUT2:18@1 18:1777@6 END")
  }

  struct Seen: CoProcessFunction {
    let seen = ValueState<String>("seen")
    let out = OutputColumn<String>("out")
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      if seen.exists() {
        seen.clear()
        try context.deleteEventTimeTimer(context.watermark + 4)
      } else {
        seen.set(key.string)
        try context.registerEventTimeTimer(context.watermark + 5)
        out.set("INPUT\(context.side!.rawValue):\(key.string)")
        try context.emit()
      }
    }
    func onTimer(key: Key, fireTime: Int64, context: Context) throws {
      out.set("STATE:\(seen.get()!)")
      try context.emit()
    }
  }

  @Test func stateAndDeletedTimer() throws {
    let script = "W1=1 W2=1 1:17@0 1:13@0 W1=2 W2=2 1:13@1 2:42@1 W1=6 W2=6 W1=7 W2=7"
    let told = "W1 INPUT1:17@0 INPUT1:13@0 W2 INPUT2:42@1 STATE:17@6 W6 STATE:42@7 W7"
    #expect(try rig(Seen()).run(script) == told)
    // Policies that enclose every call change nothing.
    var config = Stream.Config.default
    (config.onError, config.late) = (.deadLetter, .process)
    #expect(try rig(Seen(), config).run(script) == told)
  }

  @Test func currentKey() throws {
    let function = Tells { key, context in "\(key.string),\(context.key!)" }
    #expect(try rig(function).run("1:5 1:6 2:hello 2:world") == "5,'5'@- 6,'6'@- hello,'hello'@- world,'world'@-")
  }

  /// The record's number counts per input.
  @Test func recordNumbers() throws {
    let function = Tells { _, context in "\(context.side!)\(context.recordNumber!)" }
    #expect(try rig(function).run("1:a 2:a 2:b 1:a 2:c") == "left0@- right0@- right1@- left1@- right2@-")
  }

  struct OneSide: CoProcessFunction {
    func onLeft(key: Key, batch: Record, row: Int, context: Context) throws {}
  }

  @Test func aMissingCallbackIsNamed() throws {
    let rig = try rig(OneSide())
    _ = try rig.run("1:5")
    let error = #expect(throws: EngineError.self) { try rig.run("2:5") }
    #expect(error?.message.contains("OneSide") == true && error?.message.contains("right side") == true)
  }

  /// Columns of either side, and one that both have.
  struct Columns: CoProcessFunction {
    let k = InputColumn<String>("k")
    let v = InputColumn<Int64>("v")
    let out = OutputColumn<String>("out")
    func onLeft(key: Key, batch: Record, row: Int, context: Context) throws {
      out.set("\(batch[k]!)+\(batch[v]!)")
      try context.emit()
    }
    func onRight(key: Key, batch: Record, row: Int, context: Context) throws {
      out.set(batch[k]!)
      try context.emit()
    }
  }

  @Test func columnsOfASide() throws {
    #expect(try rig(Columns()).run("1:5 2:x 1:6") == "5+5@- x@- 6+6@-")
    struct Wrong: CoProcessFunction {
      let other = InputColumn<Int64>("v", side: .right)
      func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {}
    }
    let right = try rig(Wrong())
    _ = try right.run("1:5")
    let missing = #expect(throws: EngineError.self) { try right.run("2:5") }
    #expect(missing?.kind == .missingColumn && missing?.message.contains("'v'") == true)
    struct Nowhere: CoProcessFunction {
      let other = InputColumn<Int64>("w")
      func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {}
    }
    let none = #expect(throws: EngineError.self) { try rig(Nowhere()).run("1:5") }
    #expect(none?.message.contains("'w'") == true && none?.message.contains("right side") == true)
  }

  /// Failing calls are taken back and tell which side's record they were for.
  struct Fails: CoProcessFunction {
    struct Refused: Error {}
    let n = ValueState<Int64>("n")
    let out = OutputColumn<String>("out")
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      n.set((n.get() ?? 0) + 1)
      out.set("\(key.string)\(n.get()!)")
      try context.emit()
      if key.string == "bad" { throw Refused() }
    }
  }

  @Test func deadLetters() throws {
    var config = Stream.Config.default
    config.onError = .deadLetter
    let rig = try rig(Fails(), config)
    #expect(try rig.run("1:a@1 1:bad@2 2:a@3 2:bad@4") == "a1@1 a2@3")
    let letters = try #require(try rig.harness.takeOutput("errors"))
    #expect(letters.batch.numRows == 2 && Array(letters.timestamps.values) == [2, 4])
    #expect(
      letters.batch.rows.map { $0[9] } == [
        .nested([.nested([.text("bad"), .int(0)]), .null]), .nested([.null, .nested([.text("bad")])]),
      ])
    #expect(letters.batch.rows.map { $0[1] } == [.int(1), .int(1)])
    #expect(try rig.harness.at("bad") { 1 } == nil)
  }

  @Test func lateRecordsAndNullKeys() throws {
    var config = Stream.Config.default
    (config.late, config.nullKeys) = (.sideOutput, .deadLetter)
    let rig = try rig(Tells { key, context in key.string }, config)
    #expect(try rig.run("1:a@1 W10 1:b@11 1:c@10 2:d@9") == "a@1 W10 b@11")
    let late = try #require(try rig.harness.takeOutput("late"))
    #expect(
      late.batch.rows == [
        [.nested([.text("c"), .int(0)]), .null], [.null, .nested([.text("d")])],
      ] && Array(late.timestamps.values) == [10, 9])
    try rig.harness.push(.right, nil, timestamp: .at(20))
    let letters = try #require(try rig.harness.takeOutput("errors"))
    #expect(letters.batch.rows.map { $0[6] } == [.text("NullKeyError")])
    #expect(rig.harness.process.counters.nullKeys == 1 && rig.harness.process.counters.late == 2)
    var dropping = Stream.Config.default
    (dropping.late, dropping.nullKeys) = (.drop, .raise)
    let other = try self.rig(Tells { key, context in key.string }, dropping)
    #expect(try other.run("W10 1:c@10 2:d@11") == "W10 d@11")
    let null = #expect(throws: EngineError.self) { try other.harness.push(.right, nil) }
    #expect(null?.kind == .nullKey && null?.record == 1)
  }

  @Test func keysOfOneType() throws {
    func open(_ left: DataType, _ right: DataType) throws -> Harness {
      try Harness(
        connecting: Tells { _, _ in "" }, keys: ("a", "b"), left: Schema([Field("a", left)]),
        right: Schema([Field("b", right)]))
    }
    let error = #expect(throws: EngineError.self) { try open(.int64, .utf8) }
    #expect(error?.kind == .keyType)
    for part in ["'a'", "int64", "'b'", "utf8"] { #expect(error?.message.contains(part) == true) }
    #expect(throws: EngineError.self) { try open(.int64, .uint64) }
    #expect(throws: EngineError.self) { try open(.utf8, .binary) }
    _ = try open(.int8, .int64)
    _ = try open(.utf8, .largeUtf8)
    _ = try open(.dictionary(index: .int8, value: .utf8, ordered: false), .utf8View)
    _ = try open(.date32, .date64)
    let missing = #expect(throws: EngineError.self) {
      try Harness(
        connecting: Tells { _, _ in "" }, keys: ("a", "b"), left: Schema([Field("a", .int8)]), right: Schema([]))
    }
    #expect(missing?.kind == .missingColumn && missing?.message.contains("'b'") == true)
  }

  @Test func broadcastStatesAreForBroadcasts() throws {
    struct Has: CoProcessFunction {
      let rules = BroadcastState<Int64, String>("rules")
      func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {}
    }
    let error = #expect(throws: EngineError.self) { try rig(Has()) }
    #expect(error?.kind == .invalidArgument && error?.message.contains("'rules'") == true)
  }
}
