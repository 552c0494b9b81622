import Testing

@testable import Martlet

/// Cases of Flink's own suite for keyed process functions (`KeyedProcessOperatorTest`), and the rules for timers. Each runs in
/// one chunk and in chunks of one record.
@Suite struct ConformanceTests {
  private func expect(
    _ input: Timeline, gives expected: String, from function: @autoclosure () -> some ProcessFunction,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    for chunkRows in [Int.max, 1, 2] {
      let output = try OperatorRig(function()).run(input, chunkRows: chunkRows)
      #expect(output == expected, "in chunks of \(chunkRows)", sourceLocation: sourceLocation)
    }
  }

  @Test func keyAndTimestampOfRecords() throws {
    struct EmitValue: ProcessFunction {
      let v = InputColumn<String>("v")
      let out = OutputColumn<String>("out")
      func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
        #expect(row == 0 && context.key?.string == key.string && batch[v] == "\(key.string)!")
        out.set(batch[v]!)
        try context.emit()
      }
    }
    try expect("5/5!@12 42/42!@13", gives: "5!@12 42!@13", from: EmitValue())
  }

  @Test func currentWatermark() throws {
    struct EmitWatermark: ProcessFunction {
      let out = OutputColumn<String>("out")
      func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
        out.set("\(key.string)TIME:\(context.watermark),TS:\(context.timestamp!)")
        try context.emit()
      }
    }
    try expect("W17 5@12 W42 6@13", gives: "W17 5TIME:17,TS:12@12 W42 6TIME:42,TS:13@13", from: EmitWatermark())
  }

  /// What a timer emits has the timer's timestamp and goes out before the watermark that fired it.
  @Test func eventTimeTimer() throws {
    struct FiveLater: ProcessFunction {
      let out = OutputColumn<String>("out")
      func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
        out.set(key.string)
        try context.emit()
        try context.registerEventTimeTimer(context.watermark + 5)
      }
      func onTimer(key: Key, fireTime: Int64, context: Context) throws {
        #expect(context.timestamp == fireTime && context.recordNumber == nil && !context.isLate)
        out.set("1777")
        try context.emit()
      }
    }
    try expect("W0 17@42 W5", gives: "W0 17@42 1777@5 W5", from: FiveLater())
  }

  @Test func stateAndDeletedTimer() throws {
    struct Seen: ProcessFunction {
      let seen = ValueState<String>("seen")
      let out = OutputColumn<String>("out")
      func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
        if seen.exists() {
          seen.clear()
          try context.deleteEventTimeTimer(context.watermark + 4)
        } else {
          seen.set(key.string)
          try context.registerEventTimeTimer(context.watermark + 5)
          out.set("INPUT:\(key.string)")
          try context.emit()
        }
      }
      func onTimer(key: Key, fireTime: Int64, context: Context) throws {
        out.set("STATE:\(seen.get()!)")
        try context.emit()
      }
    }
    try expect(
      "W1 17@0 13@0 W2 42@1 13@1 W6 W7",
      gives: "W1 INPUT:17@0 INPUT:13@0 W2 INPUT:42@1 STATE:17@6 W6 STATE:42@7 W7", from: Seen())
  }

  /// Registers the times in its value ("5,7"), and `then` from within the first timer that fires.
  struct Registers: ProcessFunction {
    var then: [Int64] = []
    let v = InputColumn<String>("v")
    let out = OutputColumn<String>("out")
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      for time in batch[v]!.split(separator: ",") { try context.registerEventTimeTimer(Int64(time)!) }
    }
    mutating func onTimer(key: Key, fireTime: Int64, context: Context) throws {
      out.set("\(key.string):\(fireTime)")
      try context.emit()
      for time in then { try context.registerEventTimeTimer(time) }
      then = []
    }
  }

  @Test func orderIsTimeThenKey() throws {
    try expect("b/9,5@0 a/9@0 aa/5,7@0 W9", gives: "aa:5@5 b:5@5 aa:7@7 a:9@9 b:9@9 W9", from: Registers())
  }

  @Test func registeringTwiceFiresOnce() throws {
    try expect("a/5@0 a/5,5@0 W4 W5 W6", gives: "W4 a:5@5 W5 W6", from: Registers())
  }

  /// A time that has passed fires at the next advance, not at once.
  @Test func registeredInThePast() throws {
    try expect("W10 a/3,12@11 b/10@11 W11 W20", gives: "W10 a:3@3 b:10@10 W11 a:12@12 W20", from: Registers())
  }

  @Test func registeredWhileFiring() throws {
    try expect(
      "a/5@0 b/8@0 W10 W11", gives: "a:5@5 a:5@5 a:7@7 b:8@8 a:10@10 W10 a:11@11 W11",
      from: Registers(then: [5, 10, 11, 7]))
  }

  /// Time never goes back, and a watermark that does not advance is not passed on.
  @Test func watermarksAreMonotone() throws {
    try expect("a/5@0 W5 W3 a/4@0 W5 W6", gives: "a:5@5 W5 a:4@4 W6", from: Registers())
  }

  @Test func allTimersFireAtTheEnd() throws {
    try expect(
      "a/9223372036854775807,7@0 b/-9223372036854775808@0 W3 END",
      gives: "b:-9223372036854775808@- W3 a:7@7 a:9223372036854775807@9223372036854775807 END", from: Registers())
  }

  @Test func latenessIsJudgedByTheWatermark() throws {
    struct EmitLate: ProcessFunction {
      let out = OutputColumn<String>("out")
      func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
        out.set("\(key.string)\(context.isLate ? "late" : "")")
        try context.emit()
      }
    }
    let rig = try OperatorRig(EmitLate())
    #expect(try rig.run("a@5 W5 b@5 c@6 d@- W6 e@6") == "a@5 W5 blate@5 c@6 d@- W6 elate@6")
    #expect(rig.process.counters.late == 2)
  }
}
