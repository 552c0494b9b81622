import Testing

@testable import Martlet

/// Functions of two inputs in jobs: the order in which they see records, graphs, ends and errors.
@Suite struct TwoInputJobTests {
  static let fields = [Field("k", .int64), Field("t", .int64), Field("op", .int64)]
  static let rightFields = [Field("id", .int64), Field("at", .timestamp(.milli, timezone: nil))]

  /// Does a little of everything: shared state, timers, side outputs, and tells what it sees.
  struct Program: CoProcessFunction {
    let sum = ValueState<Int64>("sum")
    let last = MapState<Int64, Int64>("last")
    let out = OutputColumn<String>("out")
    let rare = SideOutput("rare")

    func onLeft(key: Key, batch: Record, row: Int, context: Context) throws {
      let op = try batch.int64("op") ?? 0
      sum.set((sum.get() ?? 0) + op)
      if op % 3 == 0 { try context.registerEventTimeTimer((context.timestamp ?? 0) + op) }
      if op % 7 == 0 { try context.emit(batch, to: rare) }
      try emit("L\(key)", op, context)
    }

    func onRight(key: Key, batch: Record, row: Int, context: Context) throws {
      let seen = last.get(key.int64) ?? 0
      last.put(key.int64, seen + 1)
      if seen % 4 == 3 { sum.clear() }
      try context.registerEventTimeTimer((context.timestamp ?? 0) + 2)
      try emit("R\(key)", seen, context)
    }

    func onTimer(key: Key, fireTime: Int64, context: Context) throws { try emit("T\(key)", fireTime, context) }

    func emit(_ what: String, _ detail: Int64, _ context: Context) throws {
      out.set(
        "\(what) \(detail) \(sum.get() ?? -1) @\(context.timestamp ?? -1) w\(context.watermark) #\(context.recordNumber ?? -1) "
          + "\(context.isLate)")
      try context.emit()
    }
  }

  private func rows(_ count: Int, _ random: inout SeededGenerator, right: Bool) -> [[Value]] {
    var now: Int64 = 0
    return (0..<count).map { _ in
      now += Int64.random(in: -2...5, using: &random)
      let key = Value.int(Int64.random(in: 0...4, using: &random))
      return right ? [key, .int(now)] : [key, .int(now), .int(Int64.random(in: 0...20, using: &random))]
    }
  }

  /// The output does not depend on how either input is cut.
  @Test(arguments: 0..<12)
  func anyChunks(_ seed: UInt64) throws {
    var random = SeededGenerator(seed)
    let left = rows(Int.random(in: 0...300, using: &random), &random, right: false)
    let right = rows(Int.random(in: 1...300, using: &random), &random, right: true)
    let timed = seed % 4 != 0
    func run(_ leftSizes: [Int], _ rightSizes: [Int], _ onError: ErrorPolicy = .raise) throws -> [[Value]] {
      var config = Stream.Config.default
      config.onError = onError
      let leftSource = ListSource(try batches(TwoInputJobTests.fields, left, sizes: leftSizes))
      let rightSource = ListSource(try batches(TwoInputJobTests.rightFields, right, sizes: rightSizes))
      let a = Stream(
        leftSource, timestamp: timed ? "t" : nil,
        maxOutOfOrderness: 1, config: config)
      let b = Stream(
        rightSource, timestamp: timed ? "at" : nil,
        maxOutOfOrderness: 3)
      let both = a.keyBy("k").connect(b.keyBy("id")).process(Program())
      // The first function's side output meets its main output again in another function.
      let again = applyProcessFunction(both.sideOutput("rare"), "k", Tells())
      let outputs = try Stream.collect([both, again])
      return outputs.flatMap { batches in batches.flatMap { $0.rows } }
    }
    let expected = try run([1000], [1000])
    #expect(expected.count >= left.count + right.count)
    for sizes in [([1], [1]), ([3, 0, 7], [1000]), ([1000], [2, 5]), ([64], [1, 100])] {
      #expect(try run(sizes.0, sizes.1) == expected, "sizes \(sizes)")
      #expect(try run(sizes.0, sizes.1, .skip) == expected, "sizes \(sizes)")
    }
  }

  struct Tells: ProcessFunction {
    let out = OutputColumn<String>("out")
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      out.set("\(key) @\(context.timestamp ?? -1) w\(context.watermark) #\(context.recordNumber ?? -1)")
      try context.emit()
    }
  }

  /// Keeps every n-th record.
  struct Keeps: ProcessFunction {
    var each: Int64
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      if key.int64 % each == 0 { try context.emit(batch) }
    }
  }

  struct Order: CoProcessFunction {
    let out = OutputColumn<String>("out")
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      out.set("\(context.side == .left ? "L" : "R")\(key)")
      try context.emit()
    }
  }

  private func texts(_ stream: Stream) throws -> String { try texts(stream.collect().flatMap { $0.rows }) }

  private func texts(_ rows: [[Value]]) -> String {
    rows.map { row in
      if case .bytes(let bytes) = row[0] { return String(decoding: bytes, as: UTF8.self) }
      return "?"
    }.joined(separator: " ")
  }

  private func numbers(
    _ values: [Int64], _ timestamp: String? = nil, sizes: [Int] = [2], then error: (any Error)? = nil
  )
    throws -> Stream
  {
    let source = ListSource(
      try batches([Field("k", .int64)], values.map { [.int($0)] }, sizes: sizes), then: error)
    return Stream(source, timestamp: timestamp)
  }

  @Test func turnsAndTies() throws {
    #expect(
      try texts(connectStreams(numbers([1, 2, 3]), numbers([4, 5, 6, 7, 8]), "k", Order())) == "L1 R4 L2 R5 L3 R6 R7 R8"
    )
    #expect(
      try texts(connectStreams(numbers([1, 2, 3], "k"), numbers([1, 1, 2, 5], "k"), "k", Order()))
        == "L1 R1 R1 L2 R2 L3 R5")
    // A side without timestamps does not wait for time.
    #expect(try texts(connectStreams(numbers([1, 2], "k"), numbers([9, 8]), "k", Order())) == "R9 R8 L1 L2")
  }

  struct BroadcastOrder: BroadcastProcessFunction {
    let out = OutputColumn<String>("out")
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws { try emit("E", batch, context) }
    func onBroadcast(batch: Record, row: Int, context: Context) throws { try emit("B", batch, context) }
    func emit(_ side: String, _ batch: Record, _ context: Context) throws {
      out.set("\(side)\(try batch.int64("k")!)")
      try context.emit()
    }
  }

  @Test func broadcastFirst() throws {
    #expect(
      try texts(
        broadcastStream(numbers([1, 2, 3], "k"), numbers([1, 2], "k").broadcast(), key: "k", BroadcastOrder()))
        == "B1 E1 B2 E2 E3")
    for (main, rules) in [(String?.none, "k"), ("k", nil), (nil, nil)] {
      #expect(
        try texts(broadcastStream(numbers([1, 2, 3], main), numbers([7, 8, 9], rules).broadcast(), BroadcastOrder()))
          == "B7 B8 B9 E1 E2 E3")
    }
  }

  /// Two functions over one stream meet in a third; one side lets almost nothing through.
  @Test func functionsThatShareAStream() throws {
    for sizes in [[1], [5], [100]] {
      let numbers = try self.numbers(Array(0..<20), "k", sizes: sizes)
      let few = numbers.keyBy("k").process(Keeps(each: 7))
      let none = numbers.keyBy("k").process(Keeps(each: 100))
      let met = few.keyBy("k").connect(none.keyBy("k")).process(Order())
      let outputs = try Stream.collect([met, few])
      #expect(texts(outputs[0].flatMap { $0.rows }) == "L0 R0 L7 L14")
      #expect(outputs[1].flatMap { $0.rows } == [[.int(0)], [.int(7)], [.int(14)]])
      let again = try self.numbers(Array(0..<20), "k", sizes: sizes)
      #expect(try texts(connectStreams(again, again, "k", Order())).hasPrefix("L0 R0 L1 R1") == true)
    }
  }

  /// Everything before an error of one side is delivered, the same whatever the chunks.
  @Test func errorsOfASource() throws {
    struct Broken: Error {}
    for sizes in [[1], [2], [100]] {
      for isLeft in [true, false] {
        let broken = try numbers([1, 4, 6], "k", sizes: sizes, then: Broken())
        let whole = try numbers([2, 3, 5, 6, 7, 8], "k", sizes: sizes)
        let job = try connectStreams(isLeft ? broken : whole, isLeft ? whole : broken, "k", Order()).job()
        let (rows, error) = job.drain()
        #expect(error is Broken)
        #expect(texts(rows) == (isLeft ? "L1 R2 R3 L4 R5 L6" : "R1 L2 L3 R4 L5 L6 R6"))
      }
    }
  }

  struct Fails: ProcessFunction {
    struct Refused: Error {}
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      if key.int64 == 6 { throw Refused() }
      try context.emit(batch)
    }
  }

  /// The same for an error of a function before the merge.
  @Test func errorsBeforeAMerge() throws {
    for sizes in [[1], [2], [100]] {
      let failing = applyProcessFunction(try numbers([1, 4, 6, 7], "k", sizes: sizes), "k", Fails())
      let job = try connectStreams(failing, numbers([2, 3, 5, 6, 7, 8], "k", sizes: sizes), "k", Order()).job()
      let (rows, error) = job.drain()
      #expect(
        (error as? ProcessFunctionError)?.underlying is Fails.Refused && (error as? ProcessFunctionError)?.record == 2)
      #expect(texts(rows) == "L1 R2 R3 L4")
    }
  }

  @Test func wrongGraphs() throws {
    func kind(_ body: () throws -> Void) -> EngineError? {
      do { try body() } catch { return error as? EngineError }
      return nil
    }
    let job = Job()
    let source = ListSource([])
    try job.addSource(source)
    try job.addSource(source)
    #expect(kind { _ = try job.next() }?.message.contains("no function") == true)
    let unused = Job()
    try unused.addSource(source, name: "first")
    try unused.addSource(source, name: "second")
    try unused.addProcess(ProcessSpec("a", by: "k", Tells()), [.source(0)])
    #expect(kind { _ = try unused.next() }?.message.contains("'second'") == true)
    let error = kind { _ = try numbers([1]).sideOutput("x").collect() }
    #expect(error?.kind == .invalidArgument)
    let keys = kind { _ = try connectStreams(numbers([1]).keyBy("k", "k"), numbers([1]).keyBy("k"), Order()).collect() }
    #expect(keys?.message.contains("key both sides alike") == true)
    #expect(try texts(connectStreams(numbers([]), numbers([]), "k", Order())) == "")
  }
}
