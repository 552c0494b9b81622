import CMartlet
import Testing

@testable import Martlet

@Suite struct OutputBuilderTests {
  private let fields = [
    Field("i", .int64), Field("t", .utf8), Field("d", .dictionary(index: .int32, value: .utf8, ordered: false)),
    Field("l", .list(Field("item", .int16))),
  ]

  private func batch(_ random: inout SeededGenerator, _ count: Int = 30, _ tally: Tally = Tally()) throws -> RecordBatch
  {
    let rows = (0..<count).map { _ in fields.map { random.value($0) } }
    return try ArrowFixture(tally: tally).batch(fields, rows, lead: [fields.map { random.value($0) }])
  }

  /// Random emissions of every kind, marks and rollbacks, against a list of rows.
  @Test(arguments: UInt64(1)...60)
  func anyMixOfEmissionsAgainstAList(seed: UInt64) throws {
    var random = SeededGenerator(seed)
    let tally = Tally()
    do {
      var sources: [RecordBatch] = []
      for _ in 0..<3 { sources.append(try batch(&random, 30, tally)) }
      let output = OutputBuilder(recordsTimestamps: seed % 2 == 0)
      var model: [(row: [Value], timestamp: Int64)] = []
      try output.emitRow(sources[0], 3, timestamp: 0)
      model.append((sources[0].rows[3], 0))
      var mark = output.mark()
      for step in Int64(1)...60 {
        switch Int.random(in: 0..<10, using: &random) {
        case 0...3:
          let source = sources[random.chance(80) ? 0 : Int.random(in: 0..<3, using: &random)]
          let first = Int.random(in: 0..<30, using: &random)
          for row in first..<min(30, first + Int.random(in: 1...4, using: &random)) {
            try output.emitRow(source, row, timestamp: step)
            model.append((source.rows[row], step))
          }
        case 4:
          let source = sources[Int.random(in: 0..<3, using: &random)].slice(5, random.chance(20) ? 0 : 9)
          try output.emitBatch(source, timestamp: step)
          model += source.rows.map { ($0, step) }
        case 5, 6:
          let row = fields.map { random.value($0) }
          for (position, value) in row.enumerated() where value != .null {
            try output.builder.columns[position].append(value)
          }
          try output.endBuiltRow(timestamp: step)
          model.append((row, step))
        case 7:
          try output.builder.columns[0].append(int64: 1)
          try output.builder.columns[3].child(0)!.append(int64: 1)
          output.cancelBuiltRow()
        case 8:
          if random.chance(50) {
            mark = output.mark()
          } else {
            try output.builder.columns[1].append(.text("half a row"))
            output.rollback(to: mark)
            model.removeSubrange(mark...)
          }
        default:
          if random.chance(30) {
            try check(output, &model)
            mark = 0
          }
        }
        #expect(output.numRows == model.count, "seed \(seed)")
      }
      try check(output, &model)
      #expect(try output.takeBatch() == nil)
    }
    #expect(tally.made == tally.released)
  }

  private func check(_ output: OutputBuilder, _ model: inout [(row: [Value], timestamp: Int64)]) throws {
    let taken = try output.takeBatch()
    #expect((taken?.batch.rows ?? []) == model.map(\.row))
    if output.recordsTimestamps, let taken { #expect(Array(taken.timestamps!.values) == model.map(\.timestamp)) }
    model = []
  }

  @Test func consecutiveRowsAreNotCopied() throws {
    var random = SeededGenerator(1)
    let source = try batch(&random)
    let output = OutputBuilder()
    for row in 0..<30 { try output.emitRow(source, row, timestamp: 0) }
    #expect(try output.takeBatch()?.batch === source)
    for row in 4..<9 { try output.emitRow(source, row, timestamp: 0) }
    let part = try #require(try output.takeBatch()).batch
    #expect(part.columns[0].values == source.columns[0].values && part.rows == Array(source.rows[4..<9]))
    try output.emitBatch(source, timestamp: 0)
    #expect(try output.takeBatch()?.batch === source)
    for row in [1, 3, 2, 4] { try output.emitRow(source, row, timestamp: 0) }
    let gathered = try #require(try output.takeBatch()).batch
    #expect(
      gathered.columns[0].values != source.columns[0].values && gathered.rows == [1, 3, 2, 4].map { source.rows[$0] })
    #expect(gathered.columns[2].dictionary.pointee.values == source.columns[2].dictionary.pointee.values)
  }

  @Test func anEmissionThatDoesNotFitNamesTheColumn() throws {
    let fixture = ArrowFixture(tally: Tally())
    let output = OutputBuilder(schema: Schema([Field("a", .int32), Field("b", .utf8)]))
    func refusal(_ fields: [Field]) throws -> EngineError? {
      let batch = try fixture.batch(fields, [fields.map { _ in .null }])
      return #expect(throws: EngineError.self) { try output.emitRow(batch, 0, timestamp: 0) }
    }
    #expect(try refusal([Field("a", .int32), Field("b", .binary)])?.message == "column 'b': expected utf8, got binary")
    #expect(try refusal([Field("a", .int32), Field("c", .utf8)]).says("column 1: expected 'b' (utf8), got 'c' (utf8)"))
    #expect(try refusal([Field("a", .int32)]).says("column 'b' (utf8) of the output schema is missing"))
    #expect(
      try refusal([Field("a", .int32), Field("b", .utf8), Field("z", .int8)]).says(
        "column 'z' (int8) of the emitted batch is not in"))
    let good = try fixture.batch([Field("a", .int32), Field("b", .utf8)], [[.null, .text("x")]])
    try output.emitRow(good, 0, timestamp: 0)
    for row in [1, -1, Int.max] {
      let error = #expect(throws: EngineError.self) { try output.emitRow(good, row, timestamp: 0) }
      #expect(error?.kind == .invalidArgument)
    }
    #expect(output.numRows == 1)
    #expect(throws: EngineError.self) { try output.declare(Schema([Field("a", .int8)])) }
  }

  @Test func nullabilityIsJudgedByTheValues() throws {
    let fixture = ArrowFixture(tally: Tally())
    let strict = Schema([Field("a", .int32, isNullable: false)])
    let output = OutputBuilder(schema: strict)
    let source = try fixture.batch([Field("a", .int32)], [[.int(1)], [.null], [.int(3)]])
    try output.emitRow(source, 0, timestamp: 0)
    let error = #expect(throws: EngineError.self) { try output.emitRow(source, 1, timestamp: 0) }
    #expect(error.says("column 'a' (int32) is not nullable"))
    #expect(throws: EngineError.self) { try output.emitBatch(source, timestamp: 0) }
    try output.emitRow(source, 2, timestamp: 0)
    let taken = try #require(try output.takeBatch()).batch
    #expect(taken.schema == strict && taken.rows == [[.int(1)], [.int(3)]])
    // The other way round the buffers are shared under the wider schema.
    let wide = OutputBuilder(schema: Schema([Field("a", .int32)]))
    try wide.emitBatch(taken, timestamp: 0)
    let shared = try #require(try wide.takeBatch()).batch
    #expect(
      shared.schema.fields[0].isNullable && shared.columns[0].nullable == 1
        && shared.columns[0].values == taken.columns[0].values)
  }

  @Test func builtRowsNeedASchemaAndOneCellPerColumn() throws {
    let output = OutputBuilder()
    #expect(throws: EngineError.self) { try output.builder }
    try output.declare(Schema([Field("a", .int32), Field("b", .list(Field("item", .int8)), isNullable: false)]))
    let builder = try output.builder
    try builder.columns[0].append(int64: 1)
    try builder.columns[0].append(int64: 2)
    let twice = #expect(throws: EngineError.self) { try output.endBuiltRow(timestamp: 0) }
    #expect(twice.says("column 'a' has 2 cells for one row"))
    output.cancelBuiltRow()
    let missing = #expect(throws: EngineError.self) { try output.endBuiltRow(timestamp: 0) }
    #expect(missing.says("column 'b' (list<int8>) is not nullable"))
    output.cancelBuiltRow()
    try builder.columns[1].endNested()
    try builder.columns[1].child(0)!.append(int64: 1)
    let open = #expect(throws: EngineError.self) { try output.endBuiltRow(timestamp: 0) }
    #expect(open.says("column 'b'"))
    output.cancelBuiltRow()
    try builder.columns[1].endNested()
    try output.endBuiltRow(timestamp: 0)
    #expect(try output.takeBatch()?.batch.rows == [[.null, .nested([])]])
    #expect(try output.builder === builder)
  }
}
