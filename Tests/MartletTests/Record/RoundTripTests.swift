import CMartlet
import Testing

@testable import Martlet

@Suite struct RoundTripTests {
  @Test(arguments: SampleTypes.all)
  func everyTypeWithOffsetsSlicesAndNulls(type: DataType) throws {
    let tally = Tally()
    var random = SeededGenerator(7)
    let fields = [Field("x", type), Field("n", .int64)]
    for (lead, count, nulls) in [(0, 20, 25), (3, 20, 25), (3, 20, 0), (9, 1, 50), (5, 0, 25), (0, 0, 0), (1, 70, 90)] {
      let rows = (0..<count).map { _ in fields.map { random.value($0, nulls: nulls) } }
      let batch = try ArrowFixture(tally: tally).batch(
        fields, rows, lead: (0..<lead).map { _ in fields.map { random.value($0) } })
      #expect(batch.rows == rows)
      #expect(try batch.exported(0, count).rows == rows)
      let first = count / 3
      let length = count / 2
      let part = Array(rows[first..<(first + length)])
      #expect(batch.slice(first, length).rows == part)
      #expect(try batch.exported(first, length).rows == part)
      #expect(
        try batch.slice(first, length).slice(length / 2, length - length / 2).exported(0, length - length / 2).rows
          == Array(part[(length / 2)...]))
      let slice = batch.slice(first, length)
      for column in slice.columns.indices {
        let nulls = part.filter { $0[column] == .null }.count
        #expect(Int(slice.columns[column].null_count) == nulls)
      }
    }
    #expect(tally.made == tally.released)
  }

  @Test(arguments: SampleTypes.all)
  func schemasComeBack(type: DataType) throws {
    let schema = Schema([Field("x", type, isNullable: false, metadata: ArrowFixture.raw(Int32(0))), Field("", .int8)])
    var exported = ArrowSchema()
    schema.export(into: &exported)
    #expect(try Schema(importing: &exported) == schema)
    // A consumer may move a child out; the parent must then leave it alone.
    var moved = exported.children[0]!.pointee
    exported.children[0]!.pointee.release = nil
    exported.release(&exported)
    #expect(exported.release == nil)
    #expect(String(cString: moved.name) == "x")
    moved.release(&moved)
  }

  @Test func oneColumnIsExportedWithItsField() throws {
    let batch = try ArrowFixture(tally: Tally()).batch(
      [Field("a", .int32), Field("b", .utf8)], [[.int(1), .text("x")], [.int(2), .null]])
    var array = ArrowArray()
    var schema = ArrowSchema()
    try batch.exportColumn(1, offset: 1, length: 1, into: &array, schema: &schema)
    #expect(String(cString: schema.name) == "b" && String(cString: schema.format) == "u")
    #expect(array.length == 1 && array.null_count == -1)
    array.release(&array)
    schema.release(&schema)
    #expect(throws: EngineError.self) { try batch.exportColumn(2, offset: 0, length: 1, into: &array, schema: &schema) }
    #expect(throws: EngineError.self) { try batch.export(offset: 1, length: 2, into: &array) }
    #expect(throws: EngineError.self) { try batch.export(offset: -1, length: 1, into: &array) }
  }

  @Test func releaseIsCalledOnceWhateverOutlivesWhat() throws {
    let tally = Tally()
    let fields = [Field("s", .structure([Field("a", .int32), Field("b", .utf8)]))]
    var child = ArrowArray()
    do {
      var array = ArrowArray()
      do {
        let batch = try ArrowFixture(tally: tally).batch(fields, [[.nested([.int(1), .text("x")])]])
        try batch.slice(0, 1).export(offset: 0, length: 1, into: &array)
      }
      #expect(tally.released == 0)
      child = array.children[0]!.pointee
      array.children[0]!.pointee.release = nil
      array.release(&array)
    }
    #expect(tally.released == 0)
    child.release(&child)
    #expect(tally.made == 4 && tally.released == 4)
  }

  @Test func typesHaveReadableNames() {
    #expect(DataType.timestamp(.milli, timezone: "UTC").description == "timestamp[ms, UTC]")
    #expect(DataType.dictionary(index: .int32, value: .utf8, ordered: false).description == "dictionary<int32, utf8>")
    #expect(SampleTypes.nested(.int8).last!.description == "map<utf8, int8>")
    #expect(DataType.structure([Field("a", .list(Field("item", .bool)))]).description == "struct<a: list<bool>>")
    #expect(
      DataType(flatFormat: "tsq:") == nil && DataType(flatFormat: "d:10,2,64") == nil
        && DataType(flatFormat: "w:-1") == nil)
  }

  @Test func cellsOfDictionariesReadAsTheirValues() throws {
    let fields = [
      Field("d", .dictionary(index: .int8, value: .int16, ordered: false)), Field("u", .uint64), Field("f", .float32),
    ]
    let batch = try ArrowFixture(tally: Tally()).batch(
      fields, [[.int(-7), .int(-1), .double(1.5)], [.null, .int(3), .null]])
    #expect(batch.columns[0].int64(0) == -7 && batch.columns[0].double(0) == -7)
    #expect(batch.columns[0].isNull(1) && !batch.columns[0].isNull(0))
    #expect(batch.columns[1].double(0) == Double(UInt64.max) && batch.columns[1].int64(1) == 3)
    #expect(batch.columns[2].double(0) == 1.5)
  }

  @Test func aMissingColumnListsThoseThereAre() throws {
    let batch = try ArrowFixture(tally: Tally()).batch([Field("a", .int32), Field("b", .utf8)], [])
    #expect(try batch.column(named: "b") == 1)
    let error = #expect(throws: EngineError.self) { try batch.column(named: "c") }
    #expect(error?.message == "there is no column 'c'; the columns are 'a', 'b'")
  }
}
