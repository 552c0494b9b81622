/// Brings the records of two inputs into one order, with the watermark of both together between them.
///
/// Each side is a sequence of *elements*, records and watermarks, as they come from a source or from the operator before. By
/// timestamp, the element with the smaller key goes first: a record's key is its timestamp, a watermark's the watermark. On ties the
/// left side goes first in a connect, the broadcast side in a broadcast. A record without a timestamp goes before anything that has
/// one, and two such records take turns. A side that may still give something is waited for. So the merged order and every combined
/// watermark follow from the two sequences alone, never from how they are cut into chunks; and as a watermark is an element too, a
/// side whose operator lets nothing through does not hold the other one back for ever.
final class MergeStage {
  enum Order {
    /// As above.
    case timestamps
    /// The right side to its end, then the left one.
    case rightFirst
    /// As they come: what is added goes on at once.
    case arrival
  }

  /// What goes on next; the buffers are valid until the next call.
  enum Work {
    case records(MergedChunk)
    case watermarks(UnsafeBufferPointer<WatermarkMark>)
  }

  static let chunkRows = 8192

  let order: Order
  /// Which side goes first on ties.
  private let favoursLeft: Bool
  private(set) var left = MergeQueue()
  private(set) var right = MergeQueue()
  private(set) var valve = WatermarkValve(channels: 2)
  /// Of two records without timestamps, whether the left one goes next.
  private(set) var isLeftsTurn: Bool

  // The merged records.
  private let rows = UnsafeMutablePointer<UInt32>.allocate(capacity: MergeStage.chunkRows)
  private let times = UnsafeMutablePointer<Int64>.allocate(capacity: MergeStage.chunkRows)
  private let marks = UnsafeMutablePointer<WatermarkMark>.allocate(capacity: 2 * MergeStage.chunkRows)
  private var rowCount = 0
  private var markCount = 0
  private var hasTimes = false
  private var leftBatch: (batch: RecordBatch, firstRecord: Int64)?
  private var rightBatch: (batch: RecordBatch, firstRecord: Int64)?

  init(_ kind: OperatorKind, _ order: Order) {
    self.order = order
    favoursLeft = kind != .broadcast
    isLeftsTurn = kind != .broadcast
  }

  deinit {
    left.removeAll()
    right.removeAll()
    rows.deallocate()
    times.deallocate()
    marks.deallocate()
  }

  // MARK: - Input

  func add(_ chunk: Chunk, _ side: InputSide) { add(MergeQueue.Segment(chunk), side) }

  func add(_ watermarks: UnsafeBufferPointer<WatermarkMark>, _ side: InputSide) {
    add(MergeQueue.Segment(watermarks), side)
  }

  private func add(_ segment: MergeQueue.Segment, _ side: InputSide) {
    switch side {
    case .left: left.add(segment)
    case .right: right.add(segment)
    }
  }

  /// Nothing more comes on that side. Its watermark counts until what waits there has gone on.
  func end(_ side: InputSide) {
    switch side {
    case .left: left.hasEnded = true
    case .right: right.hasEnded = true
    }
  }

  /// What gives that side has failed: an element like others, so that what goes on before it does not depend on chunks either.
  func fail(_ side: InputSide, _ error: any Error) {
    switch side {
    case .left: (left.hasEnded, left.failure) = (true, error)
    case .right: (right.hasEnded, right.failure) = (true, error)
    }
  }

  /// Goes on where another stage stood, whose queues these are; before anything is added.
  func restore(left: MergeQueue, right: MergeQueue, _ valve: WatermarkValve, isLeftsTurn: Bool) {
    (self.left, self.right, self.valve, self.isLeftsTurn) = (left, right, valve, isLeftsTurn)
  }

  func hasEnded(_ side: InputSide) -> Bool { side == .left ? left.hasEnded : right.hasEnded }

  /// A side has given nothing for long, or something again; what that makes of the combined watermark.
  func setIdle(_ side: InputSide, _ isIdle: Bool) -> Int64? {
    (isIdle ? valve.idle(side.rawValue) : valve.active(side.rawValue)).watermark
  }

  func isIdle(_ side: InputSide) -> Bool { valve.status(of: side.rawValue) == .idle }

  /// The side without which nothing goes on.
  var waitsFor: InputSide? {
    switch order {
    case .arrival: return nil
    case .rightFirst where !right.hasEnded: return .right
    case .rightFirst, .timestamps: break
    }
    if left.isEmpty, !left.hasEnded, !right.isEmpty { return .left }
    if right.isEmpty, !right.hasEnded, !left.isEmpty { return .right }
    return nil
  }

  /// Rows that wait on both sides.
  var waitingRows: Int { left.rowCount + right.rowCount }

  // MARK: - Output

  /// What can go on now: records of at most one batch of each side; nil if something has to come first. Throws the error of a
  /// side when everything before it has gone on.
  func next() throws -> Work? {
    (rowCount, markCount, hasTimes) = (0, 0, false)
    (leftBatch, rightBatch) = (nil, nil)
    fill()
    let marks = UnsafeBufferPointer(start: UnsafePointer(marks), count: markCount)
    if rowCount == 0, markCount == 0 {
      if let failure = right.hasFailed ? right.failure : nil { throw failure }
      if let failure = left.hasFailed && (order != .rightFirst || right.isOver) ? left.failure : nil { throw failure }
      return nil
    }
    guard rowCount > 0 else { return .watermarks(marks) }
    return .records(
      MergedChunk(
        left: leftBatch?.batch, right: rightBatch?.batch, rows: UnsafeBufferPointer(start: rows, count: rowCount),
        timestamps: hasTimes ? UnsafePointer(times) : nil, marks: marks, firstLeft: leftBatch?.firstRecord ?? 0,
        firstRight: rightBatch?.firstRecord ?? 0))
  }

  private func fill() {
    while rowCount < MergeStage.chunkRows, markCount < 2 * MergeStage.chunkRows {
      // Where the left side is not waited for, when it ends must not tell.
      if order == .rightFirst, right.isOver { finish(.right) }
      if left.isOver, order != .rightFirst || right.isOver { finish(.left) }
      if right.isOver { finish(.right) }
      if right.hasFailed || left.hasFailed && (order != .rightFirst || right.isOver) { return }
      let (leftHead, rightHead) = (left.head, right.head)
      guard fits(leftHead, leftBatch), fits(rightHead, rightBatch) else { return }
      switch (leftHead, rightHead) {
      case (nil, nil): return
      case (let head?, nil):
        guard right.hasEnded || order == .arrival else { return }
        alone(head, .left)
      case (nil, let head?):
        guard left.hasEnded || order != .timestamps else { return }
        alone(head, .right)
      case (let leftHead?, let rightHead?):
        if order == .timestamps { merge(leftHead, rightHead) } else { alone(rightHead, .right) }
      }
    }
  }

  /// Whether rows of a segment can join those that are there: a chunk has one batch of each side.
  private func fits(_ head: MergeQueue.Segment?, _ batch: (batch: RecordBatch, firstRecord: Int64)?) -> Bool {
    guard let head, let new = head.batch, let batch else { return true }
    return new === batch.batch
  }

  private func finish(_ side: InputSide) {
    if let watermark = valve.finish(side.rawValue).watermark { note(watermark) }
  }

  @inline(__always)
  private func note(_ watermark: Int64) {
    marks[markCount] = WatermarkMark(position: rowCount, watermark: watermark)
    markCount &+= 1
  }

  private func use(_ segment: MergeQueue.Segment, _ side: InputSide) {
    guard let batch = segment.batch else { return }
    switch side {
    case .left: leftBatch = (batch, segment.firstRecord)
    case .right: rightBatch = (batch, segment.firstRecord)
    }
  }

  /// A segment with nothing to compare it to.
  private func alone(_ segment: MergeQueue.Segment, _ side: InputSide) {
    use(segment, side)
    var cursor = Cursor(segment, side)
    var valve = valve
    while !cursor.isDone, rowCount < MergeStage.chunkRows, markCount < 2 * MergeStage.chunkRows {
      if cursor.isMark {
        advance(&valve, side, to: cursor.key)
        cursor.passMark()
      } else {
        take(&cursor)
      }
    }
    self.valve = valve
    if segment.times != nil { hasTimes = true }
    leave(cursor, side)
  }

  @inline(__always)
  private func take(_ cursor: inout Cursor) {
    rows[rowCount] = cursor.row
    times[rowCount] = cursor.key
    rowCount &+= 1
    cursor.passRow()
  }

  private func advance(_ valve: inout WatermarkValve, _ side: InputSide, to watermark: Int64) {
    if let watermark = valve.advance(side.rawValue, to: watermark) { note(watermark) }
  }

  /// Raises the watermark of one side, and that of both with it.
  @inline(__always)
  private func raise(_ own: inout Int64, to watermark: Int64, _ other: Int64, _ both: inout Int64) {
    guard watermark > own else { return }
    own = watermark
    guard min(own, other) > both else { return }
    both = min(own, other)
    note(both)
  }

  /// Two segments by timestamp, until one of them is through.
  private func merge(_ leftSegment: MergeQueue.Segment, _ rightSegment: MergeQueue.Segment) {
    use(leftSegment, .left)
    use(rightSegment, .right)
    var left = Cursor(leftSegment, .left)
    var right = Cursor(rightSegment, .right)
    var valve = valve
    // Where both sides count, as they nearly always do, the combined watermark is worked out here, without a call.
    let isPlain = valve.isPlain
    var leftMark = valve.watermark(of: 0)
    var rightMark = valve.watermark(of: 1)
    var both = valve.watermark
    while !left.isDone, !right.isDone, rowCount < MergeStage.chunkRows, markCount < 2 * MergeStage.chunkRows {
      let takesLeft = left.key == right.key ? leftGoesFirst(left.key) : left.key < right.key
      if takesLeft {
        if !left.isMark {
          take(&left)
        } else {
          if isPlain { raise(&leftMark, to: left.key, rightMark, &both) } else { advance(&valve, .left, to: left.key) }
          left.passMark()
        }
      } else {
        if !right.isMark {
          take(&right)
        } else {
          if isPlain {
            raise(&rightMark, to: right.key, leftMark, &both)
          } else {
            advance(&valve, .right, to: right.key)
          }
          right.passMark()
        }
      }
    }
    if isPlain { valve.jump(to: (leftMark, rightMark), combined: both) }
    self.valve = valve
    if leftSegment.times != nil || rightSegment.times != nil { hasTimes = true }
    leave(left, .left)
    leave(right, .right)
  }

  private func leave(_ cursor: Cursor, _ side: InputSide) {
    switch side {
    case .left: left.advance(to: cursor.position, mark: cursor.mark)
    case .right: right.advance(to: cursor.position, mark: cursor.mark)
    }
  }

  private func leftGoesFirst(_ key: Int64) -> Bool {
    guard key == EventTime.none else { return favoursLeft }
    defer { isLeftsTurn.toggle() }
    return isLeftsTurn
  }
}

/// Where one side of a merge stands within its first segment.
private struct Cursor {
  private let rows: UnsafePointer<Int32>?
  private let times: UnsafePointer<Int64>?
  private let marks: UnsafePointer<WatermarkMark>?
  private let firstRow: Int
  private let count: Int
  private let markCount: Int
  private let sideBit: UInt32
  private(set) var position: Int
  private(set) var mark: Int
  /// Of the next element.
  private(set) var key: Int64 = 0
  private(set) var isMark = false
  private(set) var isDone = false

  init(_ segment: MergeQueue.Segment, _ side: InputSide) {
    rows = segment.rows.map { UnsafePointer($0) }
    times = segment.times.map { UnsafePointer($0) }
    marks = segment.marks.map { UnsafePointer($0) }
    (firstRow, count, markCount) = (segment.firstRow, segment.count, segment.markCount)
    (position, mark) = (segment.position, segment.mark)
    sideBit = side == .right ? MergedChunk.rightBit : 0
    look()
  }

  var row: UInt32 {
    @inline(__always) get {
      sideBit | (rows.map { UInt32(bitPattern: $0[position]) } ?? UInt32(truncatingIfNeeded: firstRow &+ position))
    }
  }

  @inline(__always)
  mutating func passRow() {
    position &+= 1
    look()
  }

  @inline(__always)
  mutating func passMark() {
    mark &+= 1
    look()
  }

  @inline(__always)
  private mutating func look() {
    if mark < markCount, let marks, marks[mark].position <= position {
      (key, isMark) = (marks[mark].watermark, true)
    } else if position < count {
      (key, isMark) = (times.map { $0[position] } ?? EventTime.none, false)
    } else {
      isDone = true
    }
  }
}
