import CMartlet
import Testing

@testable import Martlet

/// Arrays that do not fit their schema are refused by name, and released.
@Suite struct MalformedInputTests {
  /// Spoils a good array of one column `x` and imports it.
  private func importing(_ type: DataType, _ values: [Value], _ spoil: (UnsafeMutablePointer<ArrowArray>) -> Void)
    -> EngineError?
  {
    let tally = Tally()
    var array = ArrowFixture(tally: tally).array(.structure([Field("x", type)]), values.map { .nested([$0]) })
    spoil(array.children[0]!)
    defer { #expect(tally.released == tally.made && array.release == nil) }
    do {
      _ = try RecordBatch(moving: &array, schema: Schema([Field("x", type)]))
      return nil
    } catch { return error }
  }

  private let three: [Value] = [.int(1), .int(2), .int(3)]
  private let texts: [Value] = [.text("a"), .text("b"), .text("c")]

  @Test func shortChild() {
    let error = importing(.int32, three) { $0.pointee.length = 2 }
    #expect(
      error?.kind == .schemaMismatch && error.says("column 'x' (int32): it has 2 rows where 3 are needed from row 0 on")
    )
  }

  @Test func wrongBufferCounts() {
    #expect(importing(.int32, three) { $0.pointee.n_buffers = 1 }?.kind == .schemaMismatch)
    #expect(importing(.utf8, texts) { $0.pointee.n_buffers = 2 }?.kind == .schemaMismatch)
    #expect(importing(.utf8View, texts) { $0.pointee.n_buffers = 2 }?.kind == .schemaMismatch)
    #expect(importing(.null, [.null]) { $0.pointee.n_buffers = 1 }?.kind == .schemaMismatch)
    #expect(importing(.structure([]), [.nested([])]) { $0.pointee.n_buffers = 0 }?.kind == .schemaMismatch)
  }

  @Test func missingBuffers() {
    #expect(importing(.int32, three) { $0.pointee.drop(1) }.says("values buffer is missing"))
    #expect(importing(.utf8, texts) { $0.pointee.drop(2) }.says("data buffer is missing"))
    #expect(
      importing(.list(Field("item", .int8)), [.nested([.int(1)])]) { $0.pointee.drop(1) }?.kind == .schemaMismatch)
  }

  @Test func emptyArraysMayLeaveTheirBuffersOut() throws {
    for type in SampleTypes.all where type != .null {
      let error = importing(type, []) { array in
        for position in 0..<Int(array.pointee.n_buffers) where type.byteWidth > 0 || position < 2 {
          array.pointee.drop(position)
        }
      }
      #expect(error == nil, "\(type)")
    }
  }

  @Test func wrongChildren() {
    let list = DataType.list(Field("item", .int8))
    #expect(importing(list, [.nested([.int(1)])]) { $0.pointee.n_children = 0 }?.kind == .schemaMismatch)
    #expect(
      importing(list, [.nested([.int(1)])]) { $0.pointee.children[0]!.pointee.length = 0 }.says("reach item 1 of 0"))
    #expect(
      importing(.structure([Field("a", .int8)]), [.nested([.int(1)])]) { $0.pointee.children[0]!.pointee.length = 0 }
        .says("'a'"))
    #expect(
      importing(.fixedSizeList(Field("item", .int8), 2), [.nested([.int(1), .int(2)])]) {
        $0.pointee.children[0]!.pointee.length = 1
      } != nil)
    let dictionary = DataType.dictionary(index: .int8, value: .utf8, ordered: false)
    let error = importing(dictionary, texts) { array in
      array.pointee.dictionary.pointee.release(array.pointee.dictionary)
      array.pointee.dictionary = nil
    }
    #expect(error.says("its dictionary is missing"))
  }

  @Test func badNumbers() {
    #expect(importing(.int32, three) { $0.pointee.offset = -1 }?.kind == .schemaMismatch)
    #expect(importing(.int32, three) { $0.pointee.length = -1 }?.kind == .schemaMismatch)
    let error = importing(.utf8, texts) { array in
      UnsafeMutableRawPointer(mutating: array.pointee.buffers[1]!).storeBytes(of: -4, toByteOffset: 16, as: Int32.self)
    }
    #expect(error.says("its offsets run from 0 to -4"))
    for huge: Int64 in [.max, .max - 1, 1 << 48] {
      for type in [DataType.int32, .bool, .fixedSizeBinary(1)] {
        #expect(importing(type, [.null]) { $0.pointee.offset = huge }?.kind == .schemaMismatch)
        #expect(importing(type, [.null]) { $0.pointee.length = huge }?.kind == .schemaMismatch)
      }
    }
    let wide = DataType.fixedSizeList(Field("item", .null), 100_000)
    #expect(
      importing(.structure([Field("w", wide)]), []) { $0.pointee.children[0]!.pointee.offset = 1 << 47 }?.kind
        == .schemaMismatch)
    // A wrong null count cannot be larger than the array: it is counted again.
    #expect(importing(.int32, three) { $0.pointee.null_count = 9 } == nil)
  }

  @Test func topLevelNullsAndWrongWidth() throws {
    var array = ArrowFixture(tally: Tally()).array(.structure([Field("x", .int8)]), [.nested([.int(1)]), .null])
    let nulls = #expect(throws: EngineError.self) {
      try RecordBatch(moving: &array, schema: Schema([Field("x", .int8)]))
    }
    #expect(nulls.says("1 whole rows are null"))
    array = ArrowFixture(tally: Tally()).array(.structure([Field("x", .int8)]), [])
    let width = #expect(throws: EngineError.self) {
      try RecordBatch(moving: &array, schema: Schema([Field("x", .int8), Field("y", .int8)]))
    }
    #expect(width.says("the schema has 2 columns, the Arrow array 1"))
    let released = #expect(throws: EngineError.self) { try RecordBatch(moving: &array, schema: Schema([])) }
    #expect(released?.kind == .invalidArgument)
  }

  @Test(arguments: ["+us:0,1", "+r", "+vl", "d:9,2,32", "zz", "ts", "+w:-3", "w:x"])
  func unknownFormats(format: String) throws {
    var schema = ArrowSchema()
    Schema([Field("outer", .structure([Field("x", .int8)]))]).export(into: &schema)
    defer { schema.release(&schema) }
    let inner = schema.children[0]!.pointee.children[0]!
    let original = inner.pointee.format
    defer { inner.pointee.format = original }
    let error = format.withCString { text in
      inner.pointee.format = text
      return #expect(throws: EngineError.self) { try Schema(importing: &schema) }
    }
    #expect(error?.kind == .unsupportedType)
    #expect(error.says("'outer.x'") && error.says("'\(format)'"))
  }

  @Test func aPlainArrayIsNoRecordBatch() throws {
    var schema = ArrowSchema()
    Field("x", .int8).export(into: &schema)
    let error = #expect(throws: EngineError.self) { try Schema(importing: &schema) }
    #expect(error?.kind == .schemaMismatch)
    schema.release(&schema)
    #expect(throws: EngineError.self) { try Schema(importing: &schema) }
  }
}

extension ArrowArray {
  /// Leaves a buffer out, without losing track of its memory: the fixture frees what it made.
  fileprivate mutating func drop(_ position: Int) { buffers[position] = nil }
}
