// Chunks of records as work: the records in a block that all workers read, an instance's row numbers, times and marks in one of
// its own.

/// The top bit of a row number of a merged chunk.
private let rightSide: UInt32 = 1 << 31

extension WorkWriter {
  func write(_ chunk: InstanceChunk, to reader: Int, _ message: inout ByteWriter) throws(EngineError) -> SentRows {
    let own = chunk.rows.isEmpty ? 0..<0 : Int(chunk.rows[0])..<(Int(chunk.rows[chunk.rows.count - 1]) + 1)
    let sent = try write(chunk.batch, chunk.span ?? own, to: reader, &message)
    message.integer(chunk.firstRecord)
    var sections = BlockSections()
    let rows = sections.add(chunk.rows)
    try write(
      rows, chunk.rows.count, chunk.positions, chunk.timestamps, chunk.marks, chunk.recordCount, sections, to: reader,
      &message)
    return sent
  }

  func write(
    _ chunk: InstanceMergedChunk, to reader: Int, _ message: inout ByteWriter
  ) throws(EngineError) -> (left: SentRows?, right: SentRows?) {
    var sent: (left: SentRows?, right: SentRows?)
    message.flag(chunk.left != nil)
    if let left = chunk.left { sent.left = try write(left, chunk.leftSpan, to: reader, &message) }
    message.flag(chunk.right != nil)
    if let right = chunk.right { sent.right = try write(right, chunk.rightSpan, to: reader, &message) }
    message.integer(chunk.firstLeft)
    message.integer(chunk.firstRight)
    var sections = BlockSections()
    let rows = sections.add(chunk.rows)
    try write(
      rows, chunk.rows.count, chunk.positions, chunk.timestamps, chunk.marks, chunk.recordCount, sections, to: reader,
      &message)
    return sent
  }

  private func write(
    _ rows: Int, _ count: Int, _ positions: UnsafeBufferPointer<UInt32>, _ timestamps: UnsafePointer<Int64>?,
    _ marks: UnsafeBufferPointer<WatermarkMark>, _ recordCount: Int, _ sections: BlockSections, to reader: Int,
    _ message: inout ByteWriter
  ) throws(EngineError) {
    var sections = sections
    let positions = sections.add(positions)
    let timestamps = timestamps.map { sections.add(UnsafeBufferPointer(start: $0, count: count)) }
    let markCount = marks.count
    let marks = sections.add(marks)
    let block = try outbox.pool.take(sections.byteCount)
    sections.write(to: outbox.pool.block(block).base)
    outbox.lend(block, to: reader)
    outbox.pool.release(block)
    message.count(recordCount)
    message.integer(block)
    message.count(count)
    message.count(rows)
    message.count(positions)
    message.optional(timestamps.map(Int64.init))
    message.count(markCount)
    message.count(marks)
  }
}

extension WorkReader {
  func chunk(_ reader: inout ByteReader) throws -> InstanceChunk {
    let records = try self.records(&reader)
    let firstRecord = try reader.integer(Int64.self)
    let arrays = try ChunkArrays(inbox, &reader)
    let theirs = try arrays.lease.array(Int32.self, at: arrays.rows, arrays.count)
    // Rows of this batch, of which the coordinator's row `firstRow` is the first.
    let rows = RowNumbers(.allocate(capacity: arrays.count), arrays.count)
    let target = UnsafeMutablePointer(mutating: rows.values.baseAddress!)
    for index in 0..<arrays.count {
      target[index] = Int32(truncatingIfNeeded: try records.row(Int(theirs[index])))
    }
    return InstanceChunk(
      batch: records.batch, firstRecord: firstRecord + Int64(records.firstRow), rows: rows.values,
      positions: arrays.positions, timestamps: arrays.timestamps, marks: arrays.marks, recordCount: arrays.recordCount,
      owner: ChunkOwner(arrays: arrays.lease, rows: rows))
  }

  func mergedChunk(_ reader: inout ByteReader) throws -> InstanceMergedChunk {
    let left = try reader.bool() ? try records(&reader) : nil
    let right = try reader.bool() ? try records(&reader) : nil
    let firstLeft = try reader.integer(Int64.self)
    let firstRight = try reader.integer(Int64.self)
    let arrays = try ChunkArrays(inbox, &reader)
    let theirs = try arrays.lease.array(UInt32.self, at: arrays.rows, arrays.count)
    let rows = RowNumbers(.allocate(capacity: arrays.count), arrays.count)
    let target = UnsafeMutablePointer(mutating: rows.values.baseAddress!)
    for index in 0..<arrays.count {
      let side = theirs[index] & rightSide
      guard let records = side == 0 ? left : right else {
        throw SocketChannel.Failure.broken("a record of an input that did not come")
      }
      let row = UInt32(truncatingIfNeeded: try records.row(Int(theirs[index] & ~rightSide)))
      target[index] = Int32(bitPattern: row | side)
    }
    let numbers = UnsafeRawPointer(target).assumingMemoryBound(to: UInt32.self)
    return InstanceMergedChunk(
      left: left?.batch, right: right?.batch, firstLeft: firstLeft + Int64(left?.firstRow ?? 0),
      firstRight: firstRight + Int64(right?.firstRow ?? 0),
      rows: UnsafeBufferPointer(start: numbers, count: arrays.count), positions: arrays.positions,
      timestamps: arrays.timestamps, marks: arrays.marks, recordCount: arrays.recordCount,
      owner: ChunkOwner(arrays: arrays.lease, rows: rows), leftSpan: 0..<(left?.batch.numRows ?? 0),
      rightSpan: 0..<(right?.batch.numRows ?? 0))
  }
}

extension SentRows {
  /// The worker's number of a row of the coordinator's.
  fileprivate func row(_ theirs: Int) throws(SocketChannel.Failure) -> Int {
    let row = theirs - firstRow
    guard row >= 0, row < batch.numRows else { throw .broken("row \(row) of a batch of \(batch.numRows)") }
    return row
  }
}

/// What a chunk has beside its records.
private struct ChunkArrays {
  let lease: BlockLease
  let recordCount: Int
  let count: Int
  /// Where the row numbers begin.
  let rows: Int
  let positions: UnsafeBufferPointer<UInt32>
  let timestamps: UnsafePointer<Int64>?
  let marks: UnsafeBufferPointer<WatermarkMark>

  init(_ inbox: FrameInbox, _ reader: inout ByteReader) throws {
    recordCount = try reader.count()
    lease = try inbox.lease(try reader.integer(BlockPool.Number.self))
    count = try reader.count()
    rows = try reader.count()
    positions = try lease.array(UInt32.self, at: try reader.count(), count)
    if let position = try reader.optionalInteger() {
      timestamps = try lease.array(Int64.self, at: Int(clamping: position), count).baseAddress
    } else {
      timestamps = nil
    }
    let markCount = try reader.count()
    marks = try lease.array(WatermarkMark.self, at: try reader.count(), markCount)
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
