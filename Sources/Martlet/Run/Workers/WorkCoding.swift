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
  /// Make the store of this worker, and what came of it.
  case openStore = 21
  case storeOpened = 22
  /// Write what the instances have put down, copy the store; and, later, what came of it.
  case persist = 23
  case persisted = 24
}

enum WorkKind: UInt8 {
  case open = 1, chunk, merged, watermarks, tick, declare, endTimers, endKeys, close, restore, snapshot, flush
}

/// Rows of a batch that a worker has: its row 0 is row `firstRow` of the batch.
struct SentRows {
  let batch: RecordBatch
  let firstRow: Int
}

/// Writes work for workers. `outbox` is shared by all of them.
final class WorkWriter {
  let outbox: FrameOutbox
  /// What was written last: the other instances get the same. Two, since a chunk may be of two inputs.
  private var recent: [(batch: RecordBatch, span: Range<Int>, frame: WrittenFrame)] = []

  init(_ outbox: FrameOutbox) { self.outbox = outbox }

  /// The message, after whatever the reader needs before it; the records that the reader gets, of either input.
  func message(
    _ work: InstanceWork, now: Int64?, process: Int, to reader: Int
  ) throws(EngineError) -> (payload: [UInt8], left: SentRows?, right: SentRows?) {
    var message = ByteWriter()
    message.integer(UInt32(process))
    message.optional(now)
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
      let sent = try write(chunk, to: reader, &message)
      return (message.bytes, sent, nil)
    case .merged(let chunk):
      message.integer(WorkKind.merged.rawValue)
      let (left, right) = try write(chunk, to: reader, &message)
      return (message.bytes, left, right)
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
    case .restore(let bytes, let forgetting):
      message.integer(WorkKind.restore.rawValue)
      message.count(forgetting.count)
      for name in forgetting { message.text(name) }
      message.long(bytes)
    case .snapshot(let target):
      message.integer(WorkKind.snapshot.rawValue)
      var path: String?
      if case .file(let place, _) = target { path = place }
      message.optional(path)
    case .flush: message.integer(WorkKind.flush.rawValue)
    }
    return (message.bytes, nil, nil)
  }

  private func schema(_ schema: Schema?, to reader: Int, _ message: inout ByteWriter) {
    message.optional(schema.map { Int64(outbox.introduceSchema($0, to: reader)) })
  }

  /// The records of one input, written once for all instances.
  func write(
    _ batch: RecordBatch, _ span: Range<Int>, to reader: Int, _ message: inout ByteWriter
  ) throws(EngineError) -> SentRows {
    let (frame, firstRow) = try frame(batch, span)
    outbox.lend(frame.block, to: reader)
    let slot = outbox.introduce(frame, to: reader)
    message.integer(frame.block)
    message.count(frame.position)
    message.count(frame.byteCount)
    message.integer(UInt32(slot))
    message.count(firstRow)
    return SentRows(batch: batch, firstRow: firstRow)
  }

  private func frame(_ batch: RecordBatch, _ span: Range<Int>) throws(EngineError) -> (WrittenFrame, firstRow: Int) {
    let known = recent.first {
      $0.batch === batch
        && (span.isEmpty || ($0.span.lowerBound <= span.lowerBound && span.upperBound <= $0.span.upperBound))
        && outbox.canIntroduce($0.frame)
    }
    if let known { return (known.frame, known.span.lowerBound) }
    if recent.count == 2 { outbox.pool.release(recent.removeFirst().frame.block) }
    let (_, frames, _) = try outbox.write([(batch, span)])
    recent.append((batch, span, frames[0]))
    return (frames[0], span.lowerBound)
  }

  /// Lets go of what was written last.
  func forget() {
    for written in recent { outbox.pool.release(written.frame.block) }
    recent = []
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
    case .merged: return .merged(try mergedChunk(&reader))
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
    case .restore:
      var forgetting: [String] = []
      for _ in 0..<(try reader.count()) { forgetting.append(try reader.text()) }
      return .restore(Array(try reader.long()), forgetting: forgetting)
    case .snapshot:
      let path = try reader.optionalText()
      return .snapshot(path.map { .file($0, PosixFileSystem()) } ?? .memory)
    case .flush: return .flush
    }
  }

  private func schema(_ reader: inout ByteReader) throws -> Schema? {
    guard let slot = try reader.optionalInteger() else { return nil }
    return try inbox.schema(Int(slot))
  }

  /// Records, and the coordinator's number of the first.
  func records(_ reader: inout ByteReader) throws -> SentRows {
    let block = try inbox.lease(try reader.integer(BlockPool.Number.self))
    let position = try reader.count()
    let byteCount = try reader.count()
    let schema = try inbox.schema(Int(try reader.integer(UInt32.self)))
    let firstRow = try reader.count()
    return SentRows(batch: try inbox.batch(block, position, byteCount, schema), firstRow: firstRow)
  }
}
