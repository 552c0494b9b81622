/// Where a parallel instance is in the order of a serial run: set by its operator as it goes, read with every row it emits.
@usableFromInline
final class OrderCursor {
  /// The order of what is emitted now; see `RowOrders`.
  @usableFromInline let order: UnsafeMutablePointer<UInt32>
  /// Counts callbacks, so that rows of one callback share a detail.
  @exclusivity(unchecked) private(set) var serial: UInt64 = 0
  /// Whether rows emitted now have a detail.
  var isDetailed: Bool { detailed.pointee }
  fileprivate let detailed: UnsafeMutablePointer<Bool>
  @exclusivity(unchecked) private var phase: UInt32 = 0
  @exclusivity(unchecked) private var time = Int64.min
  /// The key that goes with `time`. Its slot is not given back before the work is done.
  @exclusivity(unchecked) private var slot = Slot.none
  /// While the operator is open.
  @exclusivity(unchecked) var keys: KeySpace?

  init() {
    order = .allocate(capacity: 1)
    order.initialize(to: 0)
    detailed = .allocate(capacity: 1)
    detailed.initialize(to: false)
  }

  deinit {
    order.deallocate()
    detailed.deallocate()
  }

  /// New work: nothing has come yet.
  func begin() {
    order.pointee = 0
    detailed.pointee = false
  }

  /// The record at this position of the chunk comes.
  @inline(__always)
  func begin(record position: Int) { order.pointee = UInt32(truncatingIfNeeded: 2 &* position &+ 1) }

  /// Timers fire, or keys end, before the record at `position`.
  func begin(phase: UInt32, before position: Int) {
    order.pointee = UInt32(truncatingIfNeeded: 2 &* position)
    begin(phase: phase)
  }

  /// The same where the order stays what it is.
  func begin(phase: UInt32) {
    self.phase = phase
    slot = Slot.none
    detailed.pointee = false
  }

  /// A record of two inputs comes, the only kind that can visit keys.
  @usableFromInline
  func begin(mergedRecord position: UInt32) {
    order.pointee = position &* 2 &+ 1
    phase = 0
    detailed.pointee = false
  }

  /// `on_broadcast` visits keys: what it emits for each has an odd phase, what it emits between two visits an even one.
  func beginVisit() { begin(phase: phase &+ 1) }

  func endVisit() {
    begin(phase: phase &+ 1)
    time = Int64.min
    serial &+= 1
    detailed.pointee = true
  }

  func endPhase() { detailed.pointee = false }

  /// A callback of the phase comes, for the key of `slot`.
  func begin(callbackAt time: Int64, slot: UInt32) {
    serial &+= 1
    detailed.pointee = true
    if self.slot == Slot.none || time > self.time {
      (self.time, self.slot) = (time, slot)
    } else if time == self.time, slot != self.slot, let keys, keys.precedes(self.slot, slot) {
      self.slot = slot
    }
  }

  /// The detail of what is emitted now; its key's bytes are appended to `bytes`.
  func detail(firstRow: Int, keyBytes bytes: inout [UInt8]) -> OrderDetail {
    let start = bytes.count
    if slot != Slot.none { keys?.appendCanonicalBytes(of: slot, to: &bytes) }
    return OrderDetail(
      firstRow: UInt32(firstRow), rowCount: 0, phase: phase, time: time, keyStart: UInt32(start),
      keyCount: UInt32(bytes.count - start))
  }
}

/// The orders of the rows of one output that were not taken yet.
final class OrderLog {
  private let cursor: OrderCursor
  /// The cursor's, for every row; the cursor lives as long as this.
  private let order: UnsafePointer<UInt32>
  private let detailed: UnsafePointer<Bool>
  @exclusivity(unchecked) private var values = GrowableBytes()
  @exclusivity(unchecked) private var count = 0
  private var details: [OrderDetail] = []
  private var keyBytes: [UInt8] = []
  /// The callback that the last detail belongs to; 0: none of the rows at hand.
  private var lastSerial: UInt64 = 0

  init(_ cursor: OrderCursor) {
    self.cursor = cursor
    order = UnsafePointer(cursor.order)
    detailed = UnsafePointer(cursor.detailed)
  }

  deinit { values.free() }

  /// Rows were emitted.
  @inline(__always)
  func note(_ rows: Int) {
    values.reserve((count &+ rows) &* 4, used: count &* 4)
    let start = values.start.assumingMemoryBound(to: UInt32.self) + count
    start.initialize(repeating: order.pointee, count: rows)
    if detailed.pointee { noteDetail(rows) }
    count &+= rows
  }

  private func noteDetail(_ rows: Int) {
    if lastSerial != cursor.serial {
      details.append(cursor.detail(firstRow: count, keyBytes: &keyBytes))
      lastSerial = cursor.serial
    }
    details[details.count - 1].rowCount += UInt32(rows)
  }

  /// The rows from `rows` on were taken back.
  func truncate(to rows: Int) {
    guard rows < count else { return }
    count = rows
    while let last = details.last, Int(last.firstRow) + Int(last.rowCount) > rows {
      if Int(last.firstRow) >= rows {
        details.removeLast()
        lastSerial = 0
      } else {
        details[details.count - 1].rowCount = UInt32(rows) - last.firstRow
      }
    }
  }

  /// Gives the rows of a slice their own orders: `sliceRows` tells which they are, from output row `start` on; the slice's first
  /// record is at `position`. Rows that are not covered from the start on count as the work of the slice's last record, as
  /// they do for the watermarks between them.
  func orderSlice(_ sliceRows: [SliceRows], from start: Int, position: Int) {
    let orders = values.start.assumingMemoryBound(to: UInt32.self)
    var next = start
    var reached: UInt32 = 0
    for run in sliceRows {
      guard run.outputRow == next else { return }
      for index in 0..<run.count {
        reached = max(reached, UInt32(2 * (position + run.sliceRow + index) + 1))
        orders[next + index] = reached
      }
      next += run.count
    }
  }

  func take() -> RowOrders {
    defer { (values, count, details, keyBytes, lastSerial) = (GrowableBytes(), 0, [], [], 0) }
    return RowOrders(values, count, details: details, keyBytes: keyBytes)
  }
}

extension OutputBuilder {
  /// As `takeBatch`, with the rows' orders. Rows of one batch are handed on as their numbers, without gathering their columns.
  func takeOrdered() throws(EngineError) -> (
    batch: RecordBatch, rows: RowNumbers?, timestamps: RowTimestamps?, orders: RowOrders
  )? {
    guard numRows > 0, let orderLog else { return nil }
    if let source, let schema, pendingRows == numRows,
      schema == source.schema || schema.isAsNullable(as: source.schema)
    {
      let numbers = RowNumbers(takeRows(), pendingRows)
      forgetReferences()
      return (source.relabelled(schema, 0, source.numRows), numbers, takeTimestamps(), orderLog.take())
    }
    guard let (batch, timestamps) = try takeBatch() else { return nil }
    return (batch, nil, timestamps, orderLog.take())
  }
}
