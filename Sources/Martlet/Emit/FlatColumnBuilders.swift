import CMartlet

/// The null type: no buffers, only a count.
final class NullColumnBuilder: ColumnBuilder {
  override func appendPlaceholder() { storedCount += 1 }

  override func append(from column: UnsafePointer<martlet_column>, rows: UnsafeBufferPointer<Int32>, owner: AnyObject?)
  { storedCount += rows.count }

  override func append(from column: UnsafePointer<martlet_column>, range: Range<Int>, owner: AnyObject?) {
    storedCount += range.count
  }

  override func finish(into array: UnsafeMutablePointer<ArrowArray>) {
    ExportedArray(nil, buffers: 0, children: 0).fill(array, length: storedCount, nullCount: Int64(storedCount))
    storedCount = 0
  }
}

/// Booleans, one bit a cell.
final class BoolColumnBuilder: ColumnBuilder {
  private var bytes = GrowableBytes()
  private var bits: UnsafeMutablePointer<UInt8> { bytes.start.assumingMemoryBound(to: UInt8.self) }

  deinit { bytes.free() }

  private func reserve(_ more: Int) {
    bytes.reserve(Bitmap.byteCount(storedCount + more), used: Bitmap.byteCount(storedCount))
  }

  override func append(bool value: Bool) {
    reserve(1)
    Bitmap.set(bits, storedCount, value)
    commit(valid: true)
  }

  override func appendPlaceholder() {
    reserve(1)
    Bitmap.set(bits, storedCount, false)
    commit(valid: !field.isNullable)
  }

  override func append(from column: UnsafePointer<martlet_column>, rows: UnsafeBufferPointer<Int32>, owner: AnyObject?)
    throws(EngineError)
  {
    try checkNulls(column, rows)
    reserve(rows.count)
    if !rows.isEmpty {
      let source = column.pointee.values.assumingMemoryBound(to: UInt8.self)
      let offset = Int(column.pointee.offset)
      for (position, row) in rows.enumerated() {
        Bitmap.set(bits, storedCount + position, Bitmap.get(source, offset + Int(row)))
      }
    }
    commit(column.pointee, rows)
  }

  override func append(from column: UnsafePointer<martlet_column>, range: Range<Int>, owner: AnyObject?)
    throws(EngineError)
  {
    try checkNulls(column, range)
    reserve(range.count)
    if !range.isEmpty {
      let source = column.pointee.values.assumingMemoryBound(to: UInt8.self)
      Bitmap.copy(
        source, from: Int(column.pointee.offset) + range.lowerBound, to: bits, at: storedCount, count: range.count)
    }
    commit(column.pointee, range)
  }

  override func storedBytes(_ row: Int) -> UnsafeRawBufferPointer? {
    UnsafeRawBufferPointer(start: Self.keys + (Bitmap.get(bits, row) ? 1 : 0), count: 1)
  }

  /// A zero and a one byte, never freed.
  private nonisolated(unsafe) static let keys: UnsafeMutablePointer<UInt8> = {
    let keys = UnsafeMutablePointer<UInt8>.allocate(capacity: 2)
    keys.initialize(to: 0)
    (keys + 1).initialize(to: 1)
    return keys
  }()

  override func finish(into array: UnsafeMutablePointer<ArrowArray>) {
    finish(into: array, buffers: [bytes.start])
    bytes = GrowableBytes()
  }
}
