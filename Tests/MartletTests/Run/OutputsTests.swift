import Testing

@testable import Martlet

/// Side outputs, policies and slices of functions written in Swift.
@Suite struct OutputsTests {
  struct Odd: Error {}

  private let fields = [Field("k", .int64), Field("v", .int64), Field("t", .int64)]
  /// Four records a key before the next comes.
  private var rows: [[Value]] { (0..<20).map { [.int(Int64($0 / 4 % 3)), .int(Int64($0)), .int(Int64($0 * 10))] } }

  private func stream(_ rows: [[Value]]? = nil, _ config: Stream.Config = .default, sizes: [Int] = [7]) throws -> Stream
  {
    let all = try batches(fields, rows ?? self.rows, sizes: sizes)
    return Stream(ListSource(all), timestamp: "t", config: config)
  }

  private func column(_ index: Int, _ batches: [RecordBatch]) -> [Int64] {
    batches.flatMap(\.rows).map { if case .int(let value) = $0[index] { value } else { -1 } }
  }

  struct Split: ProcessFunction {
    let v = InputColumn<Int64>("v")
    let odd = SideOutput("odd")
    let audit = SideOutput("audit")
    let square: OutputColumn<Int64>

    init() { square = OutputColumn("square", of: audit) }

    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      let value = batch[v] ?? 0
      if value % 2 == 0 { try context.emit(batch) } else { try context.emit(batch, to: odd) }
      square.set(value * value)
      try context.emit(to: audit)
    }
  }

  @Test func oneRunFeedsEveryOutput() throws {
    let out = try applyProcessFunction(stream(), "k", Split()).collect(with: ["odd", "audit", "none"])
    #expect(column(1, out.main) == stride(from: 0, to: 20, by: 2).map { Int64($0) })
    #expect(column(1, out.sides["odd"]!) == stride(from: 1, to: 20, by: 2).map { Int64($0) })
    #expect(column(0, out.sides["audit"]!) == (0..<20).map { $0 * $0 })
    #expect(out.sides["none"]!.isEmpty)
    #expect(out.sides["audit"]![0].schema == Schema([Field("square", .int64)]))
  }

  struct Stamps: ProcessFunction {
    let time = OutputColumn<Int64>("time")
    let watermark = OutputColumn<Int64>("watermark")
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      time.set(context.timestamp ?? -1)
      watermark.set(context.watermark)
      try context.emit()
    }
  }

  @Test func aSideOutputFeedsAFunction() throws {
    let odd = try applyProcessFunction(stream(), "k", Split()).sideOutput("odd")
    let stamped = try applyProcessFunction(odd, "k", Stamps()).collect()
    #expect(column(0, stamped) == stride(from: 1, to: 20, by: 2).map { Int64($0 * 10) })
    // The watermark after the record before, which went to the other output.
    #expect(column(1, stamped) == stride(from: 1, to: 20, by: 2).map { Int64($0 * 10 - 11) })
  }

  @Test func whatNobodyAskedForIsDroppedAndCounted() throws {
    let report = try applyProcessFunction(stream(), "k", Split()).run { _ in }
    #expect(report.recordsOut == 10 && report.sideRecords == 0 && report.sideDropped == 30)
    #expect(throws: EngineError.self) { try Stream(ListSource([])).sideOutput("x").collect() }
  }

  struct Sum: ProcessFunction {
    let v = InputColumn<Int64>("v")
    let total = ValueState<Int64>("total")
    let text = ValueState<String>("text")
    let side = SideOutput("side")

    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      let value = batch[v] ?? 0
      total.set((total.get() ?? 0) + value)
      text.set("after \(value), which is long enough for a block")
      try context.emit(batch)
      try context.emit(batch, to: side)
      try context.registerEventTimeTimer(10_000 + value)
      if value % 3 == 1 {
        text.clear()
        try context.deleteEventTimeTimer(10_000 + value - 1)
        throw Odd()
      }
    }

    func onTimer(key: Key, fireTime: Int64, context: Context) throws {
      guard fireTime != 10_005 else { throw Odd() }
      #expect(text.get()?.hasPrefix("after") == true)
      timers.count += 1
    }

    final class Tally { var count = 0 }
    let timers = Tally()
  }

  @Test(arguments: [ErrorPolicy.skip, .deadLetter]) func aFailedCallIsTakenBack(_ policy: ErrorPolicy) throws {
    var config = Stream.Config.default
    config.onError = policy
    for sizes in [[20], [1], [7, 0, 3]] {
      let function = Sum()
      let kept = (0..<20).filter { $0 % 3 != 1 }.map { Int64($0) }
      let out = applyProcessFunction(try stream(nil, config, sizes: sizes), "k", function)
      let job = try out.job()
      for tag in [nil, "side", "errors"] { try job.addOutput(OutputSelector(process: 0, tag: tag)) }
      var outputs: [[RecordBatch]] = []
      for output in 0..<3 {
        outputs.append([])
        while let batch = try job.next(from: output) { outputs[output].append(batch) }
      }
      #expect(column(1, outputs[0]) == kept)
      #expect(column(1, outputs[1]) == kept)
      #expect(job.report.errors == 8)
      #expect(function.timers.count == 12)
      let letters = outputs[2].flatMap(\.rows)
      #expect(letters.count == (policy == .deadLetter ? 8 : 0))
      if let letter = letters.first {
        #expect(
          letter[1] == .int(1) && letter[6] == .text("Odd") && letter[9] == .nested([.int(0), .int(1), .int(10)]))
        #expect(letters.last?[4] == .int(10_005) && letters.last?[9] == .null)
      }
    }
  }

  struct Slices: BatchProcessFunction {
    let sizes = OutputColumn<Int64>("size")
    func onBatch(key: Key, batch: RecordSlice, context: Context) throws {
      #expect(context.timestamp == 10 * (try batch[batch.count - 1].int64("v") ?? -1))
      sizes.set(Int64(batch.count))
      try context.emit()
    }
  }

  @Test func slicesEndWithTheirKeyAndTheBatch() throws {
    let sizes = column(0, try applyProcessFunction(stream(), "k", Slices()).collect())
    #expect(sizes == [4, 3, 1, 4, 2, 2, 4])
  }

  struct Pass: BatchProcessFunction {
    let odd = SideOutput("copy")
    func onBatch(key: Key, batch: RecordSlice, context: Context) throws {
      try context.emit(batch)
      try context.emit(batch, to: odd)
    }
  }

  @Test func recordsOfASliceKeepTheirTimestampsAndWatermarks() throws {
    let direct = try applyProcessFunction(stream(), "k", Stamps()).collect()
    for tag in [nil, "copy"] {
      let passed = try applyProcessFunction(stream(), "k", Pass())
      let next = tag.map { passed.sideOutput($0) } ?? passed
      let stamped = try applyProcessFunction(next, "k", Stamps()).collect()
      #expect(column(0, stamped) == column(0, direct) && column(1, stamped) == column(1, direct))
    }
  }

  @Test func lateRecordsFollowThePolicy() throws {
    let late: [[Value]] = [10, 20, 5, 20, 19, 30].map { [.int(1), .int($0), .int($0)] }
    for (policy, delivered, dropped) in [
      (LatePolicy.process, 6, 0), (.drop, 4, 2), (.sideOutput, 4, 0),
    ] {
      var config = Stream.Config.default
      config.late = policy
      let out = try applyProcessFunction(stream(late, config), "k", Stamps())
      let job = try out.job()
      try job.addOutput(OutputSelector(process: 0))
      try job.addOutput(OutputSelector(process: 0, tag: "late"))
      var rows = [0, 0]
      for output in 0..<2 { while let batch = try job.next(from: output) { rows[output] += batch.numRows } }
      #expect(rows == [delivered, policy == .sideOutput ? 2 : 0])
      #expect(job.report.late == 2 && job.report.lateDropped == Int64(dropped))
    }
  }
}
