// How work travels from the coordinator to the worker that has the instance.
//
// A message has the small things. Records lie in a block that all workers read, an instance's row numbers, times and marks in a
// block of its own.

/// Messages between a coordinator and its workers, beside those about shared memory.
enum WorkerMessage: UInt8 {
  /// What the worker is built of, before anything else.
  case hello = 16
  /// operator (4) | work.
  case work = 17
  /// operator (4) | result.
  case result = 18
  /// Work that waits need not be done.
  case skip = 19
  /// Nothing more comes; the worker ends.
  case bye = 20
}

private enum WorkKind: UInt8 {
  case open = 1, chunk, watermarks, tick, declare, endTimers, endKeys, close
}

/// Writes work for workers. `outbox` is shared by all of them.
final class WorkWriter {
  private let outbox: FrameOutbox
  /// The rows that were written last: the other instances get the same.
  private var last: (batch: RecordBatch, span: Range<Int>, frame: WrittenFrame)?

  init(_ outbox: FrameOutbox) { self.outbox = outbox }

  /// The message, after whatever the reader needs before it; the row of the batch that is row 0 of what the worker gets.
  func message(
    _ work: InstanceWork, now: Int64?, process: Int, to reader: Int
  ) throws(EngineError) -> (payload: [UInt8], firstRow: Int) {
    var message = ByteWriter()
    message.integer(UInt32(process))
    message.optional(now)
    var firstRow = 0
    switch work {
    case .open(let opening):
      message.integer(WorkKind.open.rawValue)
      schema(opening.left, to: reader, &message)
      schema(opening.right, to: reader, &message)
      message.count(opening.lanes.count)
      for lane in opening.lanes {
        message.optional(lane.tag)
        message.flag(lane.needsTimestamps)
      }
    case .chunk(let chunk):
      message.integer(WorkKind.chunk.rawValue)
      firstRow = try write(chunk, to: reader, &message)
    case .watermarks(let watermarks):
      message.integer(WorkKind.watermarks.rawValue)
      message.count(watermarks.count)
      for watermark in watermarks { message.integer(watermark) }
    case .tick: message.integer(WorkKind.tick.rawValue)
    case .declare(let tag, let schema):
      message.integer(WorkKind.declare.rawValue)
      message.optional(tag)
      self.schema(schema, to: reader, &message)
    case .endTimers(let atEnd, let clockAtLeast):
      message.integer(WorkKind.endTimers.rawValue)
      message.integer(atEnd.rawValue)
      message.integer(clockAtLeast)
    case .endKeys(let clockAtLeast):
      message.integer(WorkKind.endKeys.rawValue)
      message.integer(clockAtLeast)
    case .close: message.integer(WorkKind.close.rawValue)
    }
    return (message.bytes, firstRow)
  }

  private func schema(_ schema: Schema?, to reader: Int, _ message: inout ByteWriter) {
    message.optional(schema.map { Int64(outbox.introduceSchema($0, to: reader)) })
  }

  private func write(
    _ chunk: InstanceChunk, to reader: Int, _ message: inout ByteWriter
  ) throws(EngineError) -> Int {
    let frame = try frame(of: chunk)
    let firstRow = last!.span.lowerBound
    outbox.lend(frame.block, to: reader)
    let slot = outbox.introduce(frame, to: reader)
    message.integer(frame.block)
    message.count(frame.position)
    message.count(frame.byteCount)
    message.integer(UInt32(slot))
    message.integer(chunk.firstRecord + Int64(firstRow))
    message.count(chunk.recordCount)
    message.count(firstRow)

    var sections = BlockSections()
    let rows = sections.add(chunk.rows)
    let positions = sections.add(chunk.positions)
    let timestamps = chunk.timestamps.map {
      sections.add(UnsafeBufferPointer(start: $0, count: chunk.rows.count))
    }
    let marks = sections.add(chunk.marks)
    let block = try outbox.pool.take(sections.byteCount)
    sections.write(to: outbox.pool.block(block).base)
    outbox.lend(block, to: reader)
    outbox.pool.release(block)
    message.integer(block)
    message.count(chunk.rows.count)
    message.count(rows)
    message.count(positions)
    message.optional(timestamps.map(Int64.init))
    message.count(chunk.marks.count)
    message.count(marks)
    return firstRow
  }

  /// The chunk's records, written once for all instances.
  private func frame(of chunk: InstanceChunk) throws(EngineError) -> WrittenFrame {
    let own = chunk.rows.isEmpty ? 0..<0 : Int(chunk.rows[0])..<(Int(chunk.rows[chunk.rows.count - 1]) + 1)
    let span = chunk.span ?? own
    if let last, last.batch === chunk.batch,
      span.isEmpty || (last.span.lowerBound <= span.lowerBound && span.upperBound <= last.span.upperBound)
    {
      return last.frame
    }
    forget()
    let (_, frames, _) = try outbox.write([(chunk.batch, span)])
    last = (chunk.batch, span, frames[0])
    return frames[0]
  }

  /// Lets go of the rows that were written last.
  func forget() {
    if let last { outbox.pool.release(last.frame.block) }
    last = nil
  }
}

/// Reads what a `WorkWriter` wrote.
struct WorkReader {
  let inbox: FrameInbox

  struct Work {
    let process: Int
    let now: Int64?
    let work: InstanceWork
  }

  func read(_ payload: [UInt8]) throws -> Work {
    try payload.withUnsafeBytes { bytes in
      var reader = ByteReader(bytes)
      let process = Int(try reader.integer(UInt32.self))
      let now = try reader.optionalInteger()
      guard let kind = WorkKind(rawValue: try reader.integer(UInt8.self)) else {
        throw SocketChannel.Failure.broken("work of an unknown kind")
      }
      return Work(process: process, now: now, work: try work(kind, &reader))
    }
  }

  private func work(_ kind: WorkKind, _ reader: inout ByteReader) throws -> InstanceWork {
    switch kind {
    case .open:
      let left = try schema(&reader)
      let right = try schema(&reader)
      var lanes: [InstanceOpening.LaneUse] = []
      for _ in 0..<(try reader.count()) {
        let tag = try reader.optionalText()
        lanes.append(InstanceOpening.LaneUse(tag: tag, needsTimestamps: try reader.bool()))
      }
      return .open(InstanceOpening(left: left, right: right, lanes: lanes))
    case .chunk: return .chunk(try chunk(&reader))
    case .watermarks:
      var watermarks: [Int64] = []
      for _ in 0..<(try reader.count()) { watermarks.append(try reader.integer(Int64.self)) }
      return .watermarks(watermarks)
    case .tick: return .tick
    case .declare:
      let tag = try reader.optionalText()
      guard let schema = try schema(&reader) else { throw ByteReader.Malformed() }
      return .declare(tag: tag, schema)
    case .endTimers:
      guard let atEnd = TimersAtEnd(rawValue: try reader.integer(Int32.self)) else { throw ByteReader.Malformed() }
      return .endTimers(atEnd, clockAtLeast: try reader.integer(Int64.self))
    case .endKeys: return .endKeys(clockAtLeast: try reader.integer(Int64.self))
    case .close: return .close
    }
  }

  private func schema(_ reader: inout ByteReader) throws -> Schema? {
    guard let slot = try reader.optionalInteger() else { return nil }
    return try inbox.schema(Int(slot))
  }

  private func chunk(_ reader: inout ByteReader) throws -> InstanceChunk {
    let records = try inbox.lease(try reader.integer(BlockPool.Number.self))
    let position = try reader.count()
    let byteCount = try reader.count()
    let schema = try inbox.schema(Int(try reader.integer(UInt32.self)))
    let firstRecord = try reader.integer(Int64.self)
    let recordCount = try reader.count()
    let firstRow = try reader.count()
    let batch = try inbox.batch(records, position, byteCount, schema)
    let arrays = try inbox.lease(try reader.integer(BlockPool.Number.self))
    let count = try reader.count()
    let theirs = try arrays.array(Int32.self, at: try reader.count(), count)
    let positions = try arrays.array(UInt32.self, at: try reader.count(), count)
    var timestamps: UnsafeBufferPointer<Int64>?
    if let position = try reader.optionalInteger() {
      timestamps = try arrays.array(Int64.self, at: Int(clamping: position), count)
    }
    let markCount = try reader.count()
    let marks = try arrays.array(WatermarkMark.self, at: try reader.count(), markCount)
    // Rows of this batch, of which the coordinator's row `firstRow` is the first.
    let rows = UnsafeMutablePointer<Int32>.allocate(capacity: count)
    for index in 0..<count {
      let row = Int(theirs[index]) - firstRow
      guard row >= 0, row < batch.numRows else {
        rows.deallocate()
        throw SocketChannel.Failure.broken("row \(row) of a batch of \(batch.numRows)")
      }
      (rows + index).initialize(to: Int32(row))
    }
    let numbers = RowNumbers(rows, count)
    return InstanceChunk(
      batch: batch, firstRecord: firstRecord, rows: numbers.values, positions: positions,
      timestamps: timestamps?.baseAddress, marks: marks, recordCount: recordCount,
      owner: ChunkOwner(arrays: arrays, rows: numbers))
  }
}

/// What a chunk's arrays lie in.
private final class ChunkOwner {
  private let arrays: BlockLease
  private let rows: RowNumbers

  init(arrays: BlockLease, rows: RowNumbers) {
    self.arrays = arrays
    self.rows = rows
  }
}
