// What waits before an operator of two inputs, as a checkpoint has it. Drawn byte by byte in `docs/design/checkpoint.md`.

#if _endian(big)
  #error("frames of records are written in the order of the machine, which every reader takes to be little-endian")
#endif

extension ByteWriter {
  mutating func merge(_ merge: MergeStage) {
    for channel in 0..<2 {
      integer(merge.valve.watermark(of: channel))
      status(merge.valve.status(of: channel))
    }
    integer(merge.valve.watermark)
    flag(merge.isLeftsTurn)
    queue(merge.left)
    queue(merge.right)
  }

  private mutating func queue(_ queue: MergeQueue) {
    flag(queue.hasEnded)
    let waiting = queue.waiting
    integer(UInt32(waiting.count))
    var known: Schema?
    for segment in waiting { self.segment(segment, &known) }
  }

  private mutating func segment(_ segment: MergeQueue.Segment, _ known: inout Schema?) {
    let count = segment.count - segment.position
    flag(segment.batch != nil)
    if let batch = segment.batch {
      let rows = segment.rows.map { Array(UnsafeBufferPointer(start: $0 + segment.position, count: count)) }
      let first = rows?.first.map { Int($0) } ?? (segment.rows == nil ? segment.firstRow + segment.position : 0)
      let last = rows?.last.map { Int($0) + 1 } ?? (segment.rows == nil ? first + count : 0)
      flag(known != batch.schema)
      if known != batch.schema { schema(batch.schema) }
      known = batch.schema
      integer(segment.firstRecord + Int64(first))
      let frame = FrameBlock(batch, first..<last)
      withExtendedLifetime(frame) { long(frame.bytes) }
      integer(UInt32(count))
      flag(rows != nil)
      for row in rows ?? [] { integer(row - Int32(first)) }
      flag(segment.times != nil)
      if let times = segment.times {
        for position in segment.position..<segment.count { integer(times[position]) }
      }
    }
    integer(UInt32(segment.markCount - segment.mark))
    if let marks = segment.marks {
      for number in segment.mark..<segment.markCount {
        integer(UInt32(max(marks[number].position - segment.position, 0)))
        integer(marks[number].watermark)
      }
    }
  }
}

extension ByteReader {
  /// Fills a stage that nothing was added to.
  mutating func merge(into merge: MergeStage) throws {
    var channels: [(watermark: Int64, status: WatermarkValve.Status)] = []
    for _ in 0..<2 {
      let watermark = try integer(Int64.self)
      channels.append((watermark, try status()))
    }
    let valve = WatermarkValve(restoring: channels, watermark: try integer(Int64.self))
    let isLeftsTurn = try flag()
    var left = MergeQueue()
    var right = MergeQueue()
    do {
      try queue(&left)
      try queue(&right)
    } catch {
      left.removeAll()
      right.removeAll()
      throw error
    }
    merge.restore(left: left, right: right, valve, isLeftsTurn: isLeftsTurn)
  }

  private mutating func queue(_ queue: inout MergeQueue) throws {
    queue.hasEnded = try flag()
    var known: Schema?
    for _ in 0..<(try integer(UInt32.self)) { queue.add(try segment(&known)) }
  }

  private mutating func segment(_ known: inout Schema?) throws -> MergeQueue.Segment {
    var batch: RecordBatch?
    var firstRecord: Int64 = 0
    var count = 0
    var rows: [Int32]?
    var times: [Int64]?
    if try flag() {
      if try flag() { known = try schema() }
      guard let known else { throw Malformed() }
      firstRecord = try integer(Int64.self)
      let read = try FrameBlock(copying: long()).batch(known)
      count = Int(try integer(UInt32.self))
      if try flag() { rows = try numbers(count) }
      if try flag() { times = try numbers(count) }
      // What a cursor would read is there, whatever the bytes say.
      guard rows?.allSatisfy({ $0 >= 0 && $0 < read.numRows }) ?? (count <= read.numRows) else { throw Malformed() }
      batch = read
    }
    var marks: [WatermarkMark] = []
    for _ in 0..<(try integer(UInt32.self)) {
      let position = Int(try integer(UInt32.self))
      guard position <= count, position >= marks.last?.position ?? 0 else { throw Malformed() }
      marks.append(WatermarkMark(position: position, watermark: try integer(Int64.self)))
    }
    return MergeQueue.Segment(
      batch, firstRecord: firstRecord, count: count, rows: rows, times: times, marks: marks)
  }

  private mutating func numbers<Value: FixedWidthInteger & BitwiseCopyable>(
    _ count: Int
  ) throws(Malformed) -> [Value] {
    let bytes = try take(count * MemoryLayout<Value>.size)
    return (0..<count).map {
      Value(littleEndian: bytes.loadUnaligned(fromByteOffset: $0 * MemoryLayout<Value>.size, as: Value.self))
    }
  }
}

/// A frame of records (`BatchFrame`) in memory of its own, aligned as frames must be.
private final class FrameBlock {
  private let memory: UnsafeMutableRawBufferPointer

  private init(byteCount: Int) {
    memory = .allocate(byteCount: max(byteCount, 1), alignment: BatchFrame.alignment)
    memory.initializeMemory(as: UInt8.self, repeating: 0)
    size = byteCount
  }

  private let size: Int

  convenience init(_ batch: RecordBatch, _ rows: Range<Int>) {
    let frame = BatchFrame(batch, rows: rows)
    self.init(byteCount: frame.byteCount)
    if let base = memory.baseAddress { frame.write(to: base) }
  }

  convenience init(copying bytes: UnsafeRawBufferPointer) {
    self.init(byteCount: bytes.count)
    if let source = bytes.baseAddress { memory.baseAddress?.copyMemory(from: source, byteCount: bytes.count) }
  }

  deinit { memory.deallocate() }

  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(memory)[..<size]) }

  /// The batch keeps the block.
  func batch(_ schema: Schema) throws(EngineError) -> RecordBatch {
    try ReceivedFrame(bytes: bytes, owner: self).batch(schema)
  }
}
