import CMartlet
import Testing

@testable import Martlet

/// Memory that a frame was written to, as a reader has it.
final class FrameMemory {
  let bytes: UnsafeMutableRawBufferPointer

  init(_ frame: BatchFrame) {
    bytes = .allocate(byteCount: frame.byteCount, alignment: 64)
    // What the frame leaves alone must not matter.
    bytes.initializeMemory(as: UInt8.self, repeating: 0xA5)
    frame.write(to: bytes.baseAddress!)
  }

  /// A copy of the first `count` bytes, on the heap by themselves, so that a sanitizer sees what is read behind them.
  init(copying other: FrameMemory, count: Int) {
    bytes = .allocate(byteCount: max(count, 1), alignment: 64)
    if count > 0 { bytes.baseAddress!.copyMemory(from: other.bytes.baseAddress!, byteCount: count) }
  }

  deinit { bytes.deallocate() }

  var received: ReceivedFrame { ReceivedFrame(bytes: UnsafeRawBufferPointer(bytes), owner: self) }
}

/// Numbers the dictionaries it is asked for, and has them as batches.
final class NumberedDictionaries: FrameDictionaries {
  var frames: [FrameMemory] = []
  var columns: [martlet_column] = []
  var kept: [RecordBatch] = []

  func number(of dictionary: martlet_column, place: Int, in batch: RecordBatch) -> Int64? {
    if let known = columns.firstIndex(where: { $0.sharesBuffers(with: dictionary) }) { return Int64(known) }
    columns.append(dictionary)
    kept.append(batch)
    frames.append(FrameMemory(BatchFrame(dictionary: dictionary, in: batch)))
    return Int64(frames.count - 1)
  }
}

@Suite struct BatchFrameTests {
  private func comeBack(_ batch: RecordBatch, _ range: Range<Int>) throws -> RecordBatch {
    try FrameMemory(BatchFrame(batch, rows: range)).received.batch(batch.schema)
  }

  @Test(arguments: SampleTypes.all)
  func everyTypeWithOffsetsSlicesAndNulls(type: DataType) throws {
    let tally = Tally()
    var random = SeededGenerator(11)
    let fields = [Field("x", type), Field("n", .int64)]
    for (lead, count, nulls) in [(0, 20, 25), (3, 20, 25), (3, 20, 0), (9, 1, 50), (5, 0, 25), (0, 0, 0), (1, 70, 90)] {
      let rows = (0..<count).map { _ in fields.map { random.value($0, nulls: nulls) } }
      let batch = try ArrowFixture(tally: tally).batch(
        fields, rows, lead: (0..<lead).map { _ in fields.map { random.value($0) } })
      for range in [0..<count, count / 3..<count, count / 3..<(count / 3 + count / 2), count..<count] {
        let part = Array(rows[range])
        let back = try comeBack(batch, range)
        #expect(back.rows == part)
        for column in back.columns.indices {
          #expect(Int(back.columns[column].null_count) == part.filter { $0[column] == .null }.count)
          #expect(back.columns[column].offset == 0)
        }
        #expect(try back.exported(0, range.count).rows == part)
        // What came back can be cut and sent on.
        let half = range.count / 2
        #expect(
          try comeBack(back.slice(half, range.count - half), 0..<(range.count - half)).rows == Array(part[half...]))
      }
    }
    #expect(tally.made == tally.released)
  }

  @Test func nothingButTheRowsIsInAFrame() throws {
    let fields = [
      Field("u", .utf8), Field("v", .utf8View), Field("l", .list(Field("item", .int64))), Field("b", .bool),
    ]
    let long = String(repeating: "x", count: 1000)
    let rows: [[Value]] = (0..<100).map { _ in
      [.text(long), .text(long), .nested((0..<50).map { .int($0) }), .int(1)]
    }
    let batch = try ArrowFixture(tally: Tally()).batch(fields, rows)
    #expect(BatchFrame(batch, rows: 40..<41).byteCount < 4000)
    #expect(BatchFrame(batch, rows: 40..<40).byteCount < 800)
    #expect(try comeBack(batch, 40..<41).rows == [rows[40]])
  }

  @Test func buffersAreAlignedAndNotCopiedAgain() throws {
    let batch = try ArrowFixture(tally: Tally()).batch(
      [Field("i", .int8), Field("u", .utf8)], (0..<9).map { [.int($0), .text("t\($0)")] })
    let memory = FrameMemory(BatchFrame(batch, rows: 1..<9))
    let back = try memory.received.batch(batch.schema)
    for address in [back.columns[0].values!, back.columns[1].values!, UnsafeRawPointer(back.columns[1].data!)] {
      #expect(UInt(bitPattern: address) % 64 == 0)
      #expect(memory.bytes.baseAddress! <= address && address < memory.bytes.baseAddress! + memory.bytes.count)
    }
  }

  @Test func theMemoryLivesAsLongAsABatchOfIt() throws {
    weak var watched: FrameMemory?
    var back: RecordBatch?
    do {
      let batch = try ArrowFixture(tally: Tally()).batch([Field("i", .int8)], [[.int(1)], [.int(2)]])
      let memory = FrameMemory(BatchFrame(batch, rows: 0..<2))
      watched = memory
      back = try memory.received.batch(batch.schema).slice(1, 1)
    }
    #expect(watched != nil && back?.rows == [[.int(2)]])
    back = nil
    #expect(watched == nil)
  }

  @Test func aDictionaryIsSentOnce() throws {
    let type = DataType.dictionary(index: .int32, value: .utf8, ordered: false)
    let fields = [
      Field("d", type), Field("l", .list(Field("item", type))),
      Field("s", .structure([Field("d", type), Field("n", .int8)])),
    ]
    var random = SeededGenerator(5)
    let rows = (0..<60).map { _ in fields.map { random.value($0) } }
    let batch = try ArrowFixture(tally: Tally()).batch(fields, rows)
    let dictionaries = NumberedDictionaries()
    for range in [0..<20, 20..<60] {
      let frame = FrameMemory(BatchFrame(batch, rows: range, dictionaries: dictionaries))
      let back = try frame.received.batch(batch.schema) { number in
        let column = dictionaries.columns[Int(number)]
        return try? dictionaries.frames[Int(number)].received.batch(
          Schema([Field("", column.type == Int32(MARTLET_TYPE_UTF8.rawValue) ? .utf8 : .int8)]))
      }
      #expect(back.rows == Array(rows[range]))
    }
    #expect(dictionaries.frames.count == 3)
    // One that is missing, or of another type, is an error.
    let frame = FrameMemory(BatchFrame(batch, rows: 0..<20, dictionaries: dictionaries))
    #expect(throws: EngineError.self) { try frame.received.batch(batch.schema) }
    let other = try ArrowFixture(tally: Tally()).batch([Field("x", .int8)], [[.int(1)]])
    #expect(throws: EngineError.self) { try frame.received.batch(batch.schema) { _ in other } }
  }

  @Test func cutFramesAreErrors() throws {
    var random = SeededGenerator(3)
    for type in [DataType.int32, .utf8, .utf8View, .list(Field("item", .utf8)), SampleTypes.dictionaries[0], .bool] {
      let fields = [Field("x", type), Field("n", .int64)]
      let batch = try ArrowFixture(tally: Tally()).batch(
        fields, (0..<10).map { _ in fields.map { random.value($0, nulls: 20) } })
      let whole = FrameMemory(BatchFrame(batch, rows: 0..<10))
      for count in 0..<whole.bytes.count {
        let cut = FrameMemory(copying: whole, count: count)
        let frame = ReceivedFrame(bytes: UnsafeRawBufferPointer(rebasing: cut.bytes[0..<count]), owner: cut)
        #expect(throws: EngineError.self) { try frame.batch(batch.schema) }
      }
    }
  }

  @Test func scrambledWordsNeverReachBeyondTheFrame() throws {
    var random = SeededGenerator(4)
    let odd: [Int64] = [-1, 0, 1, 7, 8, 63, 64, 65, 1 << 20, 1 << 31, 1 << 32, 1 << 47, 1 << 48, .max, .min, .max - 63]
    for type in SampleTypes.all where type.children.count < 2 {
      let fields = [Field("x", type), Field("n", .int16)]
      let rows = (0..<12).map { _ in fields.map { random.value($0, nulls: 20) } }
      let batch = try ArrowFixture(tally: Tally()).batch(fields, rows)
      let whole = FrameMemory(BatchFrame(batch, rows: 0..<12))
      let words = Int(whole.bytes.loadUnaligned(fromByteOffset: 16, as: Int64.self)) / 8
      for word in 0..<words {
        let spoilt = FrameMemory(copying: whole, count: whole.bytes.count)
        spoilt.bytes.storeBytes(of: odd.randomElement(using: &random)!, toByteOffset: word * 8, as: Int64.self)
        // An error or a batch; what a batch says about its buffers lies within the frame, or a sanitizer objects.
        guard let back = try? spoilt.received.batch(batch.schema) else { continue }
        for column in back.columns where column.n_children == 0 && column.dictionary == nil && column.length > 0 {
          if column.width > 0 { _ = column.bytes(Int(column.length) - 1) }
        }
      }
    }
  }

  @Test func anotherSchemaIsAnError() throws {
    let batch = try ArrowFixture(tally: Tally()).batch([Field("x", .int8)], (0..<100).map { [.int(Int64($0))] })
    let frame = FrameMemory(BatchFrame(batch, rows: 0..<100))
    #expect(throws: EngineError.self) { try frame.received.batch(Schema([Field("x", .int64)])) }
    #expect(throws: EngineError.self) { try frame.received.batch(Schema([Field("x", .int8), Field("y", .int8)])) }
    #expect(throws: EngineError.self) { try frame.received.batch(Schema([Field("x", .utf8)])) }
  }
}
