import CMartlet

// How results travel back. Rows that a function passed on as they came are not sent: the coordinator has them, and is told their
// numbers.

/// How a lane's rows are sent.
enum LaneRows: UInt8 {
  /// They are rows of the batch that came with the work: of the only input, or the left one.
  case ofWork = 0
  /// They are in a frame.
  case inFrame = 1
  /// They are rows of the right batch that came with the work.
  case ofRight = 2
}

/// Writes results for the coordinator.
final class ResultWriter {
  private let outbox: FrameOutbox

  init(_ outbox: FrameOutbox) { self.outbox = outbox }

  /// Where a lane's rows come from.
  private struct Lane {
    let lane: InstanceLane
    /// Of the rows in the work's batch, or in its own one.
    let firstRow: Int
    let kind: LaneRows
    /// The number among the frames.
    var frame = 0
  }

  /// The message about a result of `work`, after whatever the reader needs before it. `cause` is what the binding says about the
  /// failure.
  func message(
    _ result: InstanceResult, of work: InstanceWork, process: Int, cause: [UInt8]?
  ) throws(EngineError) -> [UInt8] {
    var result = result
    if let snapshot = result.snapshot, snapshot.count > SocketChannel.longestMessage / 2 {
      result.snapshot = nil
      let error = EngineError(
        .invalidArgument,
        "the state of one instance has \(snapshot.count) bytes, and a worker process hands over \(SocketChannel.longestMessage / 2) for "
          + "a checkpoint; raise the parallelism")
      result.failure = InstanceFailure(order: 0, detail: nil, key: [], error: error)
    }
    var message = ByteWriter()
    message.integer(UInt32(process))
    message.plain(result.counters)
    message.optional(result.nextWake)
    message.flag(result.timersLeft)
    message.integer(result.clockAtLeast)
    message.flag(result.snapshot != nil)
    if let snapshot = result.snapshot { message.long(snapshot) }
    message.flag(result.snapshotFailure != nil)
    if let failure = result.snapshotFailure { message.error(failure) }
    message.count(result.schemas.count)
    for (tag, schema) in result.schemas {
      message.optional(tag)
      message.integer(UInt32(outbox.introduceSchema(schema, to: 0)))
    }
    write(result.failure, cause, &message)
    try write(result.lanes, work, &message)
    return message.bytes
  }

  private func write(_ lanes: [InstanceLane], _ work: InstanceWork, _ message: inout ByteWriter) throws(EngineError) {
    let (input, right) = work.batches
    var parts: [(batch: RecordBatch, rows: Range<Int>)] = []
    var sections = BlockSections()
    var sources: [Lane] = []
    for lane in lanes {
      if let input, let firstRow = lane.batch.firstRow(in: input) {
        sources.append(Lane(lane: lane, firstRow: firstRow, kind: .ofWork))
      } else if let right, let firstRow = lane.batch.firstRow(in: right) {
        sources.append(Lane(lane: lane, firstRow: firstRow, kind: .ofRight))
      } else {
        let span = lane.span
        sources.append(Lane(lane: lane, firstRow: span.lowerBound, kind: .inFrame, frame: parts.count))
        parts.append((lane.batch, span))
      }
    }
    message.count(lanes.count)
    guard !lanes.isEmpty else { return }
    // Arrays lie behind the frames; where that is, is known when the frames are written.
    var arrays: [(rows: Int?, timestamps: Int?, orders: Int, details: Int, keys: Int)] = []
    for lane in lanes {
      arrays.append(
        (
          rows: lane.rows.map { sections.add($0.values) },
          timestamps: lane.timestamps.map { sections.add($0.values) },
          orders: sections.add(lane.orders.values),
          details: sections.add(lane.orders.details),
          keys: sections.add(lane.orders.keyBytes)
        ))
    }
    let (block, frames, begin) = try outbox.write(parts, extra: sections.byteCount)
    withExtendedLifetime(lanes) { sections.write(to: outbox.pool.block(block).base + begin) }
    outbox.lend(block, to: 0)
    outbox.pool.release(block)
    message.integer(block)
    for (source, array) in zip(sources, arrays) {
      message.optional(source.lane.tag)
      message.integer(source.kind.rawValue)
      if source.kind != .inFrame {
        message.integer(UInt32(outbox.introduceSchema(source.lane.batch.schema, to: 0)))
        message.count(source.firstRow)
        message.count(source.lane.batch.numRows)
      } else {
        let frame = frames[source.frame]
        message.integer(UInt32(outbox.introduce(frame, to: 0)))
        message.count(frame.position)
        message.count(frame.byteCount)
        message.count(source.firstRow)
      }
      message.count(source.lane.count)
      message.optional(array.rows.map { Int64(begin + $0) })
      message.optional(array.timestamps.map { Int64(begin + $0) })
      message.count(begin + array.orders)
      message.count(source.lane.orders.details.count)
      message.count(begin + array.details)
      message.count(source.lane.orders.keyBytes.count)
      message.count(begin + array.keys)
    }
  }

  private func write(_ failure: InstanceFailure?, _ cause: [UInt8]?, _ message: inout ByteWriter) {
    message.flag(failure != nil)
    guard let failure else { return }
    message.integer(failure.order)
    message.flag(failure.detail != nil)
    if let detail = failure.detail { message.plain(detail) }
    message.short(failure.key)
    let error = EngineError(any: failure.error)
    message.error(error)
    message.flag(cause != nil)
    message.short(cause ?? [])
  }
}

extension InstanceWork {
  /// The records that came with it.
  fileprivate var batches: (left: RecordBatch?, right: RecordBatch?) {
    switch self {
    case .chunk(let chunk): (chunk.batch, nil)
    case .merged(let chunk): (chunk.left, chunk.right)
    case .open, .watermarks, .tick, .declare, .endTimers, .endKeys, .close, .restore, .snapshot, .flush: (nil, nil)
    }
  }
}

extension InstanceLane {
  /// The rows of the batch that are to be sent.
  fileprivate var span: Range<Int> {
    guard let rows = rows?.values else { return 0..<batch.numRows }
    guard let first = rows.min(), let last = rows.max() else { return 0..<0 }
    return Int(first)..<(Int(last) + 1)
  }
}

extension RecordBatch {
  /// Where this batch begins in `whole`, if it is a slice of it; a schema with other names may be on it.
  fileprivate func firstRow(in whole: RecordBatch) -> Int? {
    guard owner === whole.owner, columns.count == whole.columns.count, let column = columns.first, numRows > 0 else {
      return nil
    }
    let first = Int(column.offset - whole.columns[0].offset)
    return first >= 0 && first + numRows <= whole.numRows ? first : nil
  }
}

extension EngineError {
  /// Whatever an instance threw, as the one kind of error that travels.
  init(any error: any Error) {
    switch error {
    case let error as EngineError: self = error
    case let error as ProcessFunctionError:
      self.init(.callbackFailed, "\(error.underlying)")
      operatorName = error.operatorName
      record = error.record
      key = error.key
    default: self.init(.callbackFailed, "\(error)")
    }
  }
}
