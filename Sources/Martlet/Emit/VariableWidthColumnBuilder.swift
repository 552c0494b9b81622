import CMartlet

/// utf8 and binary, with int32 or int64 offsets: cell `i` is bytes `offsets[i] ..< offsets[i + 1]` of the data.
final class VariableWidthColumnBuilder: ColumnBuilder {
  private let isLarge: Bool
  private let isText: Bool
  @exclusivity(unchecked) private var offsets = GrowableBytes()
  @exclusivity(unchecked) private var data = GrowableBytes()
  @exclusivity(unchecked) private var dataCount = 0

  override init(_ field: Field) {
    isLarge = field.type == .largeUtf8 || field.type == .largeBinary
    isText = field.type == .largeUtf8 || field.type == .utf8
    super.init(field)
    writeOffset(0, 0)
  }

  deinit {
    offsets.free()
    data.free()
  }

  @inline(__always)
  private func writeOffset(_ position: Int, _ value: Int) {
    if isLarge {
      offsets.start.storeBytes(of: Int64(value), toByteOffset: position * 8, as: Int64.self)
    } else {
      offsets.start.storeBytes(of: Int32(truncatingIfNeeded: value), toByteOffset: position * 4, as: Int32.self)
    }
  }

  private func offset(_ position: Int) -> Int {
    isLarge
      ? Int(offsets.start.load(fromByteOffset: position * 8, as: Int64.self))
      : Int(offsets.start.load(fromByteOffset: position * 4, as: Int32.self))
  }

  /// Makes room for `cells` more cells of `bytes` in all.
  @inline(__always)
  private func reserve(_ cells: Int, bytes: Int) throws(EngineError) {
    let step = isLarge ? 8 : 4
    offsets.reserve((storedCount + cells + 1) * step, used: (storedCount + 1) * step)
    if !isLarge && dataCount + bytes > Int(Int32.max) { throw tooLong() }
    data.reserve(dataCount + bytes, used: dataCount)
  }

  private func tooLong() -> EngineError {
    EngineError(
      .valueRange,
      "column '\(field.name)': more than 2 GiB in one batch do not fit \(field.type); declare it large_\(isText ? "utf8" : "binary"), or emit smaller batches"
    )
  }

  override func append(bytes: UnsafeRawBufferPointer) throws(EngineError) {
    if isText && !UTF8Check.isValid(bytes) {
      throw EngineError(
        .valueRange,
        "column '\(field.name)': a string of \(bytes.count) bytes is not valid UTF-8; declare it binary to keep raw bytes"
      )
    }
    try reserve(1, bytes: bytes.count)
    if let base = bytes.baseAddress { (data.start + dataCount).copyMemory(from: base, byteCount: bytes.count) }
    dataCount += bytes.count
    writeOffset(storedCount + 1, dataCount)
    commit(valid: true)
  }

  override func appendPlaceholder() throws(EngineError) {
    try reserve(1, bytes: 0)
    writeOffset(storedCount + 1, dataCount)
    commit(valid: !field.isNullable)
  }

  override func append(from column: UnsafePointer<martlet_column>, rows: UnsafeBufferPointer<Int32>, owner: AnyObject?)
    throws(EngineError)
  {
    try checkNulls(column, rows)
    if !rows.isEmpty {
      if isLarge { try gather(Int64.self, column.pointee, rows) } else { try gather(Int32.self, column.pointee, rows) }
    }
    commit(column.pointee, rows)
  }

  private func gather<Offset: FixedWidthInteger & BitwiseCopyable>(
    _: Offset.Type, _ column: martlet_column, _ rows: UnsafeBufferPointer<Int32>
  ) throws(EngineError) {
    let source = column.values.assumingMemoryBound(to: Offset.self) + Int(column.offset)
    var total = 0
    for row in rows { total += Int(source[Int(row) + 1] &- source[Int(row)]) }
    try reserve(rows.count, bytes: total)
    let target = offsets.start.assumingMemoryBound(to: Offset.self) + storedCount + 1
    var end = dataCount
    for (position, row) in rows.enumerated() {
      let first = Int(source[Int(row)])
      let length = Int(source[Int(row) + 1]) &- first
      (data.start + end).copyMemory(from: column.data + first, byteCount: length)
      end &+= length
      target[position] = Offset(truncatingIfNeeded: end)
    }
    dataCount = end
  }

  override func append(from column: UnsafePointer<martlet_column>, range: Range<Int>, owner: AnyObject?)
    throws(EngineError)
  {
    try checkNulls(column, range)
    if !range.isEmpty {
      if isLarge { try copy(Int64.self, column.pointee, range) } else { try copy(Int32.self, column.pointee, range) }
    }
    commit(column.pointee, range)
  }

  private func copy<Offset: FixedWidthInteger & BitwiseCopyable>(
    _: Offset.Type, _ column: martlet_column, _ range: Range<Int>
  ) throws(EngineError) {
    let source = column.values.assumingMemoryBound(to: Offset.self) + Int(column.offset) + range.lowerBound
    let first = Int(source[0])
    let length = Int(source[range.count]) - first
    try reserve(range.count, bytes: length)
    (data.start + dataCount).copyMemory(from: column.data + first, byteCount: length)
    let target = offsets.start.assumingMemoryBound(to: Offset.self) + storedCount + 1
    let shift = Offset(truncatingIfNeeded: dataCount - first)
    for position in 0..<range.count { target[position] = source[position + 1] &+ shift }
    dataCount += length
  }

  override func truncate(to count: Int) {
    guard count < storedCount else { return }
    dataCount = offset(count)
    super.truncate(to: count)
  }

  override func storedBytes(_ row: Int) -> UnsafeRawBufferPointer? {
    UnsafeRawBufferPointer(start: data.start + offset(row), count: offset(row + 1) - offset(row))
  }

  override func finish(into array: UnsafeMutablePointer<ArrowArray>) {
    // Room for as much again: batches of one output are mostly of one size.
    let room = (offsets: GrowableBytes(capacity: (storedCount + 1) * (isLarge ? 8 : 4)), data: dataCount)
    finish(into: array, buffers: [offsets.start, data.start])
    (offsets, data, dataCount) = (room.offsets, GrowableBytes(capacity: room.data), 0)
    writeOffset(0, 0)
  }
}
