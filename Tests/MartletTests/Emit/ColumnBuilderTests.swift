import CMartlet
import Testing

@testable import Martlet

@Suite struct ColumnBuilderTests {
  /// Random appends, gathers, ranges and truncations against a plain list of values.
  @Test(arguments: SampleTypes.all)
  func everyTypeAgainstAListOfValues(type: DataType) throws {
    let tally = Tally()
    for seed in UInt64(1)...6 {
      var random = SeededGenerator(seed)
      let field = Field("x", type)
      let nulls = seed % 3 == 0 ? 0 : 25
      let sources = try (0..<2).map { _ in
        try ArrowFixture(tally: tally).batch(
          [field], (0..<24).map { _ in [random.value(field, nulls: nulls)] }, lead: [[random.value(field)]])
      }
      let builder = try ColumnBuilder.make(for: field)
      var model: [Value] = []
      for _ in 0..<2 {
        for _ in 0..<12 {
          let source = sources[random.chance(70) ? 0 : 1]
          let owner: AnyObject? = random.chance(80) ? source : nil
          switch Int.random(in: 0..<5, using: &random) {
          case 0:
            let rows = (0..<Int.random(in: 0...20, using: &random)).map { _ in Int32.random(in: 0..<24, using: &random)
            }
            try rows.withUnsafeBufferPointer {
              try builder.append(from: source.columns.baseAddress!, rows: $0, owner: owner)
            }
            model += rows.map { Value(source.columns[0], type, Int($0)) }
          case 1:
            let first = Int.random(in: 0...24, using: &random)
            let range = first..<Int.random(in: first...24, using: &random)
            try builder.append(from: source.columns.baseAddress!, range: range, owner: owner)
            model += range.map { Value(source.columns[0], type, $0) }
          case 2:
            let value = random.value(field, nulls: nulls)
            try builder.append(value)
            model.append(value)
          case 3:
            let row = Int.random(in: 0..<24, using: &random)
            try builder.append(cell: row, of: source.columns.baseAddress!, owner: owner)
            model.append(Value(source.columns[0], type, row))
          default:
            let kept = Int.random(in: (model.count / 2)...model.count, using: &random)
            builder.truncate(to: kept)
            model.removeSubrange(kept...)
          }
          #expect(builder.count == model.count)
        }
        let batch = try finish(builder)
        #expect(batch.rows.map { $0[0] } == model, "seed \(seed)")
        #expect(Int(batch.columns[0].null_count) == model.filter { $0 == .null }.count || type.valueType != type)
        #expect(try batch.exported(0, batch.numRows).rows == batch.rows)
        model = []
      }
    }
    #expect(tally.made == tally.released)
  }

  private func finish(_ builder: ColumnBuilder) throws -> RecordBatch {
    let node = ExportedArray(nil, buffers: 1, children: 1)
    let count = builder.count
    builder.finish(into: node.children[0]!)
    var array = ArrowArray()
    node.fill(&array, length: count)
    return try RecordBatch(moving: &array, schema: Schema([builder.field]))
  }

  private func refusal(_ type: DataType, isNullable: Bool = true, _ append: (ColumnBuilder) throws -> Void) throws
    -> EngineError
  {
    let builder = try ColumnBuilder.make(for: Field("n", type, isNullable: isNullable))
    let error = #expect(throws: EngineError.self) { try append(builder) }
    builder.truncate(to: 0)
    #expect(builder.count == 0)
    return try #require(error)
  }

  private func bytes(_ bytes: [UInt8]) -> (ColumnBuilder) throws -> Void {
    { builder in try bytes.withUnsafeBytes { try builder.append(bytes: $0) } }
  }

  @Test func valuesOfTheWrongKindNameTheColumnAndBothTypes() throws {
    let error = try refusal(.int64, bytes([65]))
    #expect(error.kind == .schemaMismatch && error.message == "column 'n': expected int64, got a string or bytes")
    #expect(try refusal(.int32) { try $0.append(double: 1) }.message == "column 'n': expected int32, got a float")
    #expect(try refusal(.utf8) { try $0.append(int64: 1) }.message == "column 'n': expected utf8, got an integer")
    #expect(try refusal(.int8) { try $0.append(bool: true) }.kind == .schemaMismatch)
    #expect(try refusal(.bool) { try $0.append(int64: 1) }.kind == .schemaMismatch)
    #expect(try refusal(.float64) { try $0.endNested() }.kind == .schemaMismatch)
    #expect(try refusal(.decimal128(precision: 5, scale: 1)) { try $0.append(int64: 1) }.kind == .schemaMismatch)
    #expect(
      try refusal(.dictionary(index: .int8, value: .utf8, ordered: false)) { try $0.append(int64: 1) }.kind
        == .schemaMismatch)
    let batch = try ArrowFixture(tally: Tally()).batch([Field("x", .int32)], [[.int(1)]])
    #expect(
      try refusal(.int64) { try $0.append(cell: 0, of: batch.columns.baseAddress!) }.message
        == "column 'n': expected int64, got a cell of type int32")
    #expect(try refusal(.int32) { try $0.append(cell: 1, of: batch.columns.baseAddress!) }.kind == .invalidArgument)
  }

  @Test func numbersThatDoNotFitAreRefused() throws {
    for (type, bad) in [
      (DataType.int8, Int64(128)), (.int8, -129), (.int16, 32768), (.int32, 1 << 31), (.uint8, -1), (.uint16, 65536),
      (.uint32, 1 << 32), (.uint64, -1),
      (.date32, 1 << 40), (.float32, 1 << 24 + 1), (.float64, 1 << 53 + 1), (.float16, 2049),
    ] {
      let error = try refusal(type) { try $0.append(int64: bad) }
      #expect(error.kind == .valueRange && error.message == "column 'n': \(bad) does not fit \(type)")
    }
    #expect(
      try refusal(.int64) { try $0.append(uint64: 1 << 63) }.message
        == "column 'n': 9223372036854775808 does not fit int64")
    #expect(try refusal(.float32) { try $0.append(double: 1e300) }.kind == .valueRange)
    #expect(
      try refusal(.fixedSizeBinary(3), bytes([1, 2])).message
        == "column 'n': fixed_size_binary[3] takes exactly 3 bytes, got 2")
    let builder = try ColumnBuilder.make(for: Field("n", .uint64))
    try builder.append(uint64: .max)
    try builder.append(int64: 5)
    #expect(try finish(builder).rows == [[.int(-1)], [.int(5)]])
    let floats = try ColumnBuilder.make(for: Field("n", .float32))
    try floats.append(double: .infinity)
    try floats.append(int64: 1 << 24)
    #expect(try finish(floats).rows == [[.double(.infinity)], [.double(16_777_216)]])
  }

  @Test func nullsNeedANullableColumn() throws {
    let source = try ArrowFixture(tally: Tally()).batch(
      [Field("x", .int32), Field("d", .dictionary(index: .int8, value: .utf8, ordered: false))],
      [[.int(1), .text("a")], [.null, .null]])
    #expect(
      try refusal(.int32, isNullable: false) { try $0.appendNull() }.message.hasPrefix(
        "column 'n' (int32) is not nullable, got a null"))
    for (position, field) in source.schema.fields.enumerated() {
      #expect(
        try refusal(field.type, isNullable: false) {
          try $0.append(from: source.columns.baseAddress! + position, range: 0..<2, owner: source)
        }.kind == .schemaMismatch)
      let builder = try ColumnBuilder.make(for: Field("n", field.type, isNullable: false))
      try builder.append(from: source.columns.baseAddress! + position, range: 0..<1, owner: source)
      #expect(builder.count == 1)
    }
  }

  @Test func textMustBeUTF8() throws {
    for type in [DataType.utf8, .largeUtf8, .utf8View, .dictionary(index: .int8, value: .utf8, ordered: false)] {
      #expect(try refusal(type, bytes([0xC3, 0x28])).kind == .valueRange)
    }
    var random = SeededGenerator(3)
    for _ in 0..<20_000 {
      // Mostly bytes that matter: leads, continuations and the edges of their ranges.
      let interesting: [UInt8] = [
        0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xED, 0xEF, 0xF0,
        0xF1, 0xF4, 0xF5, 0xFF,
      ]
      let lead = Array(repeating: UInt8(0x61), count: Int.random(in: 0...9, using: &random))
      let bytes =
        lead + (0..<Int.random(in: 0...6, using: &random)).map { _ in interesting.randomElement(using: &random)! }
      #expect(
        bytes.withUnsafeBytes { UTF8Check.isValid($0) } == (String(validating: bytes, as: UTF8.self) != nil), "\(bytes)"
      )
    }
  }

  @Test func nestedCellsMustBeClosed() throws {
    let list = DataType.list(Field("item", .int8))
    let open = try refusal(list) { builder in
      try builder.child(0)!.append(int64: 1)
      try builder.appendNull()
    }
    #expect(open.message.contains("that no end of a nested value has closed"))
    let pair = try refusal(.fixedSizeList(Field("item", .int8), 2)) { builder in
      try builder.child(0)!.append(int64: 1)
      try builder.endNested()
    }
    #expect(pair.message == "column 'n': fixed_size_list<int8, 2> takes exactly 2 items, got 1")
    let record = DataType.structure([Field("a", .int8), Field("b", .int8, isNullable: false)])
    let twice = try refusal(record) { builder in
      for _ in 0..<2 { try builder.child(0)!.append(int64: 1) }
      try builder.child(1)!.append(int64: 1)
      try builder.endNested()
    }
    #expect(twice.message.contains("field 'a' has 2 cells"))
    #expect(try refusal(record) { try $0.endNested() }.message.contains("'b' (int8) is not nullable"))
    // Below a null struct a field that is not nullable holds a zero.
    let builder = try ColumnBuilder.make(for: Field("n", record))
    try builder.appendNull()
    try builder.child(1)!.append(int64: 4)
    try builder.endNested()
    let batch = try finish(builder)
    #expect(batch.rows == [[.null], [.nested([.null, .int(4)])]])
    #expect(batch.columns[0].children[1].null_count == 0)
    #expect(builder.child(2) == nil)
  }

  @Test func uncheckedAppendsFromAnyWidth() throws {
    let builder = try #require(try ColumnBuilder.make(for: Field("n", .int64)) as? FixedWidthColumnBuilder)
    for value in 0..<1000 { builder.appendUnchecked(Int64(value)) }
    try builder.appendNull()
    builder.appendUnchecked(Int64(7))
    let batch = try finish(builder)
    #expect(batch.columns[0].null_count == 1 && batch.columns[0].int64(999) == 999 && batch.columns[0].int64(1001) == 7)
  }

  @Test func oneDictionaryIsSharedAndTwoAreUnified() throws {
    let field = Field("d", .dictionary(index: .int8, value: .utf8, ordered: false))
    let tally = Tally()
    let first = try ArrowFixture(tally: tally).batch([field], [[.text("a")], [.null], [.text("b")]])
    let second = try ArrowFixture(tally: tally).batch([field], [[.text("c")], [.text("a")]])
    let builder = try ColumnBuilder.make(for: field)
    try builder.append(from: first.columns.baseAddress!, range: 0..<3, owner: first)
    let part = first.slice(1, 2)
    try builder.append(from: part.columns.baseAddress!, range: 0..<2, owner: part)
    let shared = try finish(builder)
    #expect(shared.columns[0].dictionary.pointee.values == first.columns[0].dictionary.pointee.values)
    #expect(shared.rows.map { $0[0] } == [.text("a"), .null, .text("b"), .null, .text("b")])
    try builder.append(from: first.columns.baseAddress!, range: 0..<3, owner: first)
    try builder.append(from: second.columns.baseAddress!, range: 0..<2, owner: second)
    try builder.append(.text("d"))
    let unified = try finish(builder)
    #expect(unified.rows.map { $0[0] } == [.text("a"), .null, .text("b"), .text("c"), .text("a"), .text("d")])
  }

  @Test func aDictionaryThatOutgrowsItsIndexIsAnError() throws {
    let builder = try ColumnBuilder.make(for: Field("d", .dictionary(index: .int8, value: .int64, ordered: false)))
    for value in 0..<128 { try builder.append(int64: Int64(value)) }
    let error = #expect(throws: EngineError.self) { try builder.append(int64: 128) }
    #expect(error?.kind == .valueRange)
    #expect(error.says("column 'd': more than 128 different values do not fit dictionary<int8, int64>"))
    try builder.append(int64: 127)
    #expect(try finish(builder).rows.last == [.int(127)])
  }
}
