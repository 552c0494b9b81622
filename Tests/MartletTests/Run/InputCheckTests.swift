import Testing

@testable import Martlet

/// What is wrong with the input is said before the first record: which column, what it is and what it should be.
@Suite struct InputCheckTests {
  struct Reads<Value: InputValue>: ProcessFunction {
    let column: InputColumn<Value>
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      _ = batch[column]
      try context.emit(batch)
    }
  }

  private let fields = [Field("k", .int64), Field("x", .float64), Field("s", .utf8), Field("t", .int64)]
  private let row: [Value] = [.int(1), .double(1), .text("a"), .int(1)]

  private func failure(key: String = "k", timestamp: String? = nil, _ function: some ProcessFunction) throws
    -> EngineError?
  {
    let job = try makeJob(
      ListSource([try batch(fields, [row])]), timestamp: timestamp, try ProcessSpec("op", by: key, function))
    let (rows, error) = job.drain()
    #expect(rows.isEmpty == (error != nil))
    return error as? EngineError
  }

  @Test func keyColumn() throws {
    let missing = try failure(key: "user", Reads(column: InputColumn<Int64>("k")))
    #expect(missing?.kind == .missingColumn && missing.says("'user'") && missing?.operatorName == "op")
    let float = try failure(key: "x", Reads(column: InputColumn<Int64>("k")))
    #expect(float?.kind == .keyType && float.says("'x'") && float.says("cast") && float?.operatorName == "op")
  }

  @Test func timestampColumn() throws {
    let missing = try failure(timestamp: "when", Reads(column: InputColumn<Int64>("k")))
    #expect(missing?.kind == .missingColumn && missing.says("'when'") && missing.says("'t'"))
    let text = try failure(timestamp: "s", Reads(column: InputColumn<Int64>("k")))
    #expect(text?.kind == .schemaMismatch && text.says("'s'") && text.says("utf8"))
  }

  @Test func inputColumns() throws {
    let missing = try failure(Reads(column: InputColumn<Int64>("amount")))
    #expect(missing?.kind == .missingColumn && missing.says("'amount'") && missing?.operatorName == "op")
    let text = try failure(Reads(column: InputColumn<Int64>("s")))
    #expect(text?.kind == .schemaMismatch && text.says("'s'") && text.says("Int64"))
    #expect(try failure(Reads(column: InputColumn<Double>("k"))) == nil, "integers read as Double")
    #expect(try failure(Reads(column: InputColumn<String>("s"))) == nil)
    #expect(try failure(Reads(column: InputColumn<Bool>("k")))?.kind == .schemaMismatch)
  }

  /// Typed columns over every layout: nulls, narrow integers, dictionaries, offsets.
  @Test func typedColumnsReadEveryLayout() throws {
    struct Sums: ProcessFunction {
      let i = InputColumn<Int64>("i")
      let d = InputColumn<Double>("d")
      let b = InputColumn<Bool>("b")
      let s = InputColumn<String>("s")
      let out = OutputColumn<String>("out")
      func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
        #expect(try batch.int64("i") == batch[i] && batch.string("s") == batch[s])
        out.set(
          "\(batch[i].map(String.init) ?? "-") \(batch[d].map(String.init(describing:)) ?? "-") \(batch[b].map(String.init) ?? "-") \(batch[s] ?? "-")"
        )
        try context.emit()
      }
    }
    let integers: [DataType] = [.int8, .uint8, .int16, .uint16, .int32, .uint32, .int64, .date32]
    let texts: [DataType] = [.utf8, .largeUtf8, .utf8View, .dictionary(index: .int8, value: .utf8, ordered: false)]
    for (position, integer) in integers.enumerated() {
      let fields = [
        Field("k", .int8), Field("i", integer), Field("d", position % 2 == 0 ? .float32 : .float64), Field("b", .bool),
        Field("s", texts[position % 4]),
      ]
      let rows: [[Value]] = [
        [.int(0), .int(7), .double(1.5), .int(1), .text("seven")], [.int(0), .null, .null, .null, .null],
        [.int(0), .int(100), .double(-2), .int(0), .text("a longer text than fits inside")],
      ]
      let input = try ArrowFixture(tally: Tally()).batch(fields, rows, lead: [rows[2], rows[1]])
      let output = try applyProcessFunction(Stream(BatchSource([input])), "k", Sums()).rows().map { $0[0].plain }
      #expect(output == ["7 1.5 true seven", "- - - -", "100 -2.0 false a longer text than fits inside"], "\(integer)")
    }
  }

  struct Pass: ProcessFunction {
    let out = OutputColumn<Int64>("t")
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      out.set(context.timestamp ?? -1)
      try context.emit()
    }
  }

  @Test func nullPolicies() throws {
    let rows: [[Value]] = [
      [.int(1), .int(10)], [.null, .int(20)], [.int(1), .null], [.null, .null], [.int(2), .int(30)],
    ]
    for (nullTimestamps, output, nullKeys, nullTimes) in [
      (NullPolicy.drop, [10, 30], 1, 2), (.process, [10, -1, 30], 2, 2),
    ] as [(NullPolicy, [Int64], Int64, Int64)] {
      for sizes in [[5], [1], [2]] {
        var config = Stream.Config()
        config.nullKeys = .drop
        config.nullTimestamps = nullTimestamps
        let input = try batches([Field("k", .int32), Field("t", .int64)], rows, sizes: sizes)
        let job = try applyProcessFunction(
          Stream(BatchSource(input), timestamp: "t", config: config), "k", Pass()
        ).job()
        #expect(job.drain().rows == output.map { [Value.int($0)] })
        #expect(job.report.nullKeys == nullKeys && job.report.nullTimestamps == nullTimes)
      }
    }
  }
}
