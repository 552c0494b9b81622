import Testing

@testable import Martlet

/// Slices, outputs whose schema is inferred, and outputs of every column type, merged.
@Suite struct ParallelOutputTests {
  struct Slices: BatchProcessFunction {
    let total = ValueState<Int64>("total")
    let v = InputColumn<Int64>("v")
    let t = InputColumn<Int64>("t")
    let sums = SideOutput("sums")
    let sum: OutputColumn<Int64>

    init() { sum = OutputColumn("sum", of: sums) }

    func onBatch(key: Key, batch: RecordSlice, context: Context) throws {
      for index in 0..<batch.count {
        let value = batch[index][v] ?? 0
        total.set((total.get() ?? 0) + value)
        // Later than any slice lasts: one that fell due within its slice would fire after it, wherever that ends.
        if value % 7 == 3 { try context.registerEventTimeTimer((batch[index][t] ?? 0) + 300 + value) }
      }
      try context.emit(batch)
    }

    func onTimer(key: Key, fireTime: Int64, context: Context) throws {
      sum.set(total.get() ?? 0)
      try context.emit(to: sums)
    }
  }

  /// Two rows for every other record: as many rows as records, but not one for each, which the merge must not take for it.
  struct EveryOtherTwice: ProcessFunction {
    let v = InputColumn<Int64>("v")

    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      guard (batch[v] ?? 0) % 2 == 1 else { return }
      try context.emit(batch)
      try context.emit(batch)
    }
  }

  @Test func asManyRowsAsRecordsInOtherPlaces() throws {
    let rows: [[Value]] = (0..<Int64(2000)).map { [.int($0 * 7 % 31), .int($0)] }
    var expected: [[Value]] = []
    for number in stride(from: 1, to: rows.count, by: 2) { expected += [rows[number], rows[number]] }
    for parallelism in [2, 3] {
      let job = Job()
      job.parallelism = try Parallelism(parallelism)
      try job.addSource(ListSource(try batches([Field("k", .int64), Field("v", .int64)], rows, sizes: [500])))
      try job.addProcess(.parallel("twice", by: "k") { EveryOtherTwice() })
      let (output, error) = job.drain()
      #expect(error == nil)
      #expect(output == expected)
    }
  }

  @Test(arguments: UInt64(1)...10) func slices(seed: UInt64) throws {
    var random = SeededGenerator(seed)
    var key: Int64 = 0
    let rows = (0..<3000).map { number -> [Value] in
      if random.chance(30) { key = Int64.random(in: 0..<9, using: &random) }
      return [.int(key), .int(Int64.random(in: 0..<100, using: &random)), .int(Int64(number)), .text("row \(number)")]
    }
    let fields = [Field("k", .int64), Field("v", .int64), Field("t", .int64), Field("text", .utf8)]
    func run(_ parallelism: Int) throws -> ParallelOutcome {
      let job = Job()
      job.parallelism = try Parallelism(parallelism)
      try job.addSource(ListSource(try batches(fields, rows, sizes: [1000])), timestamp: "t", maxOutOfOrderness: 3)
      try job.addProcess(.parallel("slices", by: "k") { Slices() })
      try job.addProcess(.witness())
      return try ParallelOutcome(job, sides: ["sums"])
    }
    let serial = try run(1)
    for parallelism in [2, 3, 7] {
      let difference = try run(parallelism).difference(from: serial)
      #expect(difference == nil, "seed \(seed), parallelism \(parallelism)")
    }
  }

  /// The first row in serial order decides the schema; what other instances inferred before they heard of it is converted.
  struct Inferring: ProcessFunction {
    let v = InputColumn<Int64>("v")
    /// By remainder of the key: the field that its rows are built with.
    let fields: [Field]

    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      let field = fields[Int(key.int64) % fields.count]
      if context.output.schema == nil { try context.output.declare(Schema([Field("k", .int64), field])) }
      let columns = try context.output.builder.columns
      try columns[0].append(int64: key.int64)
      if field.type == .float64 {
        try columns[1].append(double: Double(batch[v] ?? 0))
      } else if field.type != .null {
        try columns[1].append(int64: batch[v] ?? 0)
      }
      try context.emit()
    }
  }

  private func infer(_ fields: [Field], parallelism: Int) throws -> (rows: [[Value]], error: (any Error)?) {
    let rows = (0..<1000).map { [Value.int($0 % 16), .int($0)] }
    let job = Job()
    job.parallelism = try Parallelism(parallelism)
    try job.addSource(ListSource(try batches([Field("k", .int64), Field("v", .int64)], rows, sizes: [100])))
    try job.addProcess(.parallel("inferring", by: "k") { Inferring(fields: fields) })
    return job.drain()
  }

  @Test func inferredSchemas() throws {
    let integers = Field("n", .int64)
    let floats = Field("n", .float64)
    for fields in [[integers], [floats, integers], [integers, Field("n", .null)]] {
      let serial = try infer(fields, parallelism: 1)
      #expect(serial.error == nil && serial.rows.count == 1000)
      for parallelism in [2, 5, 16] {
        let parallel = try infer(fields, parallelism: parallelism)
        #expect(
          parallel.error == nil && parallel.rows == serial.rows,
          "\(fields.count) fields, parallelism \(parallelism): \(parallel.error.map { "\($0)" } ?? "")")
      }
    }
  }

  /// What is converted where instances inferred different schemas after all.
  @Test func conversion() throws {
    let context = Context(operatorName: "test", output: OutputBuilder())
    func convert(_ from: [Field], _ row: [Value], _ to: [Field]) throws -> [Value] {
      try SchemaConversion.convert(try batch(from, [row]), to: Schema(to), of: context.lane).rows[0]
    }
    let n = Field("n", .int64)
    #expect(try convert([n], [.int(5)], [Field("n", .float64)]) == [.double(5)])
    #expect(try convert([Field("n", .null)], [.null], [n]) == [.null])
    #expect(
      try convert([Field("s", .utf8), n], [.text("a"), .int(1)], [n, Field("s", .utf8)]) == [.int(1), .text("a")])
    #expect(try convert([n], [.int(5)], [n, Field("s", .utf8)]) == [.int(5), .null])
    for (from, row) in [([Field("n", .float64)], Value.double(1)), ([Field("n", .utf8)], .text("a"))] {
      let error = #expect(throws: EngineError.self) { try convert(from, [row], [n]) }
      #expect(error.says("'n' is int64") && error.says("\(from[0].type)") && error.says("declare output="))
    }
    let inexact = #expect(throws: EngineError.self) { try convert([n], [.int(1 << 53 + 1)], [Field("n", .float64)]) }
    #expect(inexact.says("declare output="))
    let extra = #expect(throws: EngineError.self) { try convert([n, Field("x", .int64)], [.int(1), .int(2)], [n]) }
    #expect(extra.says("'x'") && extra.says("declare output="))
  }

  /// Rows of every type come through the merge as they are.
  @Test func everyType() throws {
    var random = SeededGenerator(1)
    for type in SampleTypes.all {
      let rows = (0..<40).map { [Value.int($0 % 11), random.value(Field("x", type), nulls: 20)] }
      let job = Job()
      job.parallelism = try Parallelism(3)
      try job.addSource(ListSource(try batches([Field("k", .int64), Field("x", type)], rows, sizes: [9])))
      try job.addProcess(.parallel("copy", by: "k") { Copy() })
      let (output, error) = job.drain()
      #expect(error == nil && output == rows, "\(type)")
    }
  }

  /// Emits every record as a batch of its own, so that nothing refers to the input.
  struct Copy: ProcessFunction {
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      try context.emit(batch: batch.retainedBatch.slice(batch.row, 1))
    }
  }
}
