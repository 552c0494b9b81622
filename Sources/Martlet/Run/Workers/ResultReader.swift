/// Reads what a `ResultWriter` wrote.
struct ResultReader {
  let inbox: FrameInbox

  /// Which operator the result is of.
  static func process(_ payload: [UInt8]) throws -> Int {
    try payload.withUnsafeBytes { bytes in
      var reader = ByteReader(bytes)
      return Int(try reader.integer(UInt32.self))
    }
  }

  /// `left` and `right` are the records that went with the work.
  func read(_ payload: [UInt8], left: SentRows?, right: SentRows?) throws -> InstanceResult {
    try payload.withUnsafeBytes { bytes in
      var reader = ByteReader(bytes)
      _ = try reader.integer(UInt32.self)
      var result = InstanceResult()
      result.counters = try reader.plain(OperatorCounters.self)
      result.nextWake = try reader.optionalInteger()
      result.timersLeft = try reader.bool()
      result.clockAtLeast = try reader.integer(Int64.self)
      if try reader.bool() { result.snapshot = Array(try reader.long()) }
      if try reader.bool() { result.snapshotFailure = try reader.error() }
      for _ in 0..<(try reader.count()) {
        let tag = try reader.optionalText()
        result.schemas.append((tag, try inbox.schema(Int(try reader.integer(UInt32.self)))))
      }
      result.failure = try failure(&reader)
      let lanes = try reader.count()
      if lanes > 0 {
        let block = try inbox.lease(try reader.integer(BlockPool.Number.self))
        for _ in 0..<lanes { result.lanes.append(try lane(&reader, block, left, right)) }
      }
      return result
    }
  }

  private func lane(
    _ reader: inout ByteReader, _ block: BlockLease, _ left: SentRows?, _ right: SentRows?
  ) throws -> InstanceLane {
    let tag = try reader.optionalText()
    guard let kind = LaneRows(rawValue: try reader.integer(UInt8.self)) else { throw ByteReader.Malformed() }
    let schema = try inbox.schema(Int(try reader.integer(UInt32.self)))
    let batch: RecordBatch
    var base = 0
    switch kind {
    case .ofWork, .ofRight:
      let first = try reader.count()
      let count = try reader.count()
      guard let sent = kind == .ofWork ? left : right, sent.firstRow + first + count <= sent.batch.numRows,
        schema == sent.batch.schema || schema.misfit(of: sent.batch.schema) == nil
      else { throw SocketChannel.Failure.broken("rows \(first) to \(first + count) of the input are not there") }
      batch = sent.batch.relabelled(schema, sent.firstRow + first, count)
    case .inFrame:
      let position = try reader.count()
      let byteCount = try reader.count()
      base = try reader.count()
      batch = try inbox.batch(block, position, byteCount, schema)
    }
    let count = try reader.count()
    var rows: RowNumbers?
    if let position = try reader.optionalInteger() {
      rows = try numbers(block.array(Int32.self, at: Int(clamping: position), count), less: base, of: batch)
    }
    guard rows != nil || count == batch.numRows else { throw ByteReader.Malformed() }
    var timestamps: RowTimestamps?
    if let position = try reader.optionalInteger() {
      timestamps = RowTimestamps(copy(try block.array(Int64.self, at: Int(clamping: position), count)), count)
    }
    let orders = try block.array(UInt32.self, at: try reader.count(), count)
    let detailCount = try reader.count()
    let details = Array(try block.array(OrderDetail.self, at: try reader.count(), detailCount))
    let keyCount = try reader.count()
    let keys = Array(try block.array(UInt8.self, at: try reader.count(), keyCount))
    for detail in details {
      guard Int(detail.firstRow) + Int(detail.rowCount) <= count,
        Int(detail.keyStart) + Int(detail.keyCount) <= keyCount
      else { throw ByteReader.Malformed() }
    }
    return InstanceLane(
      tag: tag, batch: batch, rows: rows, timestamps: timestamps,
      orders: RowOrders(copy(orders), count, details: details, keyBytes: keys))
  }

  private func copy<Element: BitwiseCopyable>(_ elements: UnsafeBufferPointer<Element>) -> GrowableBytes {
    let block = GrowableBytes(capacity: elements.count * MemoryLayout<Element>.stride)
    if let base = elements.baseAddress, !elements.isEmpty {
      block.start.copyMemory(from: base, byteCount: elements.count * MemoryLayout<Element>.stride)
    }
    return block
  }

  private func numbers(
    _ numbers: UnsafeBufferPointer<Int32>, less base: Int, of batch: RecordBatch
  ) throws -> RowNumbers {
    let block = UnsafeMutablePointer<Int32>.allocate(capacity: numbers.count)
    for (position, number) in numbers.enumerated() {
      let row = Int(number) - base
      guard row >= 0, row < batch.numRows else {
        block.deallocate()
        throw SocketChannel.Failure.broken("row \(row) of a batch of \(batch.numRows)")
      }
      (block + position).initialize(to: Int32(row))
    }
    return RowNumbers(block, numbers.count)
  }

  private func failure(_ reader: inout ByteReader) throws -> InstanceFailure? {
    guard try reader.bool() else { return nil }
    let order = try reader.integer(UInt32.self)
    let detail = try reader.bool() ? try reader.plain(OrderDetail.self) : nil
    let key = Array(try reader.short())
    var error = try reader.error()
    let hasCause = try reader.bool()
    let cause = Array(try reader.short())
    if hasCause { error.cause = cause }
    return InstanceFailure(order: order, detail: detail, key: key, error: error)
  }
}
