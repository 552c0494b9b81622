import CMartlet

/// utf8 and binary views: 16 bytes a cell, which hold either up to 12 bytes (int32 length, bytes) or a reference (int32 length,
/// 4-byte prefix, int32 buffer, int32 offset) into one of the data buffers.
final class ViewColumnBuilder: ColumnBuilder {
  private var views = GrowableBytes()
  /// The data buffers; the last one is being filled. Offsets are int32, so a full one is left as it is.
  private var buffers: [GrowableBytes] = []
  private var sizes: [Int] = []
  private let isText: Bool
  /// A buffer never grows beyond this.
  private static let bufferLimit = Int(Int32.max)

  override init(_ field: Field) {
    isText = field.type == .utf8View
    super.init(field)
  }

  deinit {
    views.free()
    for buffer in buffers { buffer.free() }
  }

  override func append(bytes: UnsafeRawBufferPointer) throws(EngineError) {
    if isText && !UTF8Check.isValid(bytes) {
      throw EngineError(
        .valueRange,
        "column '\(field.name)': a string of \(bytes.count) bytes is not valid UTF-8; declare it binary to keep raw bytes"
      )
    }
    try write(bytes, at: storedCount)
    commit(valid: true)
  }

  override func appendPlaceholder() throws(EngineError) {
    try write(UnsafeRawBufferPointer(start: nil, count: 0), at: storedCount)
    commit(valid: !field.isNullable)
  }

  /// Stores the cell at `position`, at or after the cells so far.
  private func write(_ bytes: UnsafeRawBufferPointer, at position: Int) throws(EngineError) {
    guard bytes.count <= Self.bufferLimit else {
      throw EngineError(
        .valueRange,
        "column '\(field.name)': a value of \(bytes.count) bytes does not fit \(field.type); the limit is 2 GiB")
    }
    views.reserve((position + 1) * 16, used: position * 16)
    let view = views.start + position * 16
    view.storeBytes(of: 0, toByteOffset: 0, as: UInt64.self)
    view.storeBytes(of: 0, toByteOffset: 8, as: UInt64.self)
    view.storeBytes(of: Int32(bytes.count), as: Int32.self)
    guard let base = bytes.baseAddress, !bytes.isEmpty else { return }
    if bytes.count <= 12 {
      (view + 4).copyMemory(from: base, byteCount: bytes.count)
      return
    }
    if buffers.isEmpty || sizes[sizes.count - 1] + bytes.count > Self.bufferLimit {
      buffers.append(GrowableBytes(capacity: max(4096, bytes.count)))
      sizes.append(0)
    }
    let last = buffers.count - 1
    buffers[last].reserve(sizes[last] + bytes.count, used: sizes[last])
    (buffers[last].start + sizes[last]).copyMemory(from: base, byteCount: bytes.count)
    (view + 4).copyMemory(from: base, byteCount: 4)
    view.storeBytes(of: Int32(last), toByteOffset: 8, as: Int32.self)
    view.storeBytes(of: Int32(sizes[last]), toByteOffset: 12, as: Int32.self)
    sizes[last] += bytes.count
  }

  override func append(from column: UnsafePointer<martlet_column>, rows: UnsafeBufferPointer<Int32>, owner: AnyObject?)
    throws(EngineError)
  {
    try checkNulls(column, rows)
    for (position, row) in rows.enumerated() { try copy(column, Int(row), at: storedCount + position) }
    commit(column.pointee, rows)
  }

  override func append(from column: UnsafePointer<martlet_column>, range: Range<Int>, owner: AnyObject?)
    throws(EngineError)
  {
    try checkNulls(column, range)
    for (position, row) in range.enumerated() { try copy(column, row, at: storedCount + position) }
    commit(column.pointee, range)
  }

  /// The view of a null cell may point anywhere, so it is not followed.
  private func copy(_ column: UnsafePointer<martlet_column>, _ row: Int, at position: Int) throws(EngineError) {
    try write(
      column.pointee.isNull(row) ? UnsafeRawBufferPointer(start: nil, count: 0) : column.pointee.bytes(row),
      at: position)
  }

  override func storedBytes(_ row: Int) -> UnsafeRawBufferPointer? {
    let view = views.start + row * 16
    let length = Int(view.load(as: Int32.self))
    if length <= 12 { return UnsafeRawBufferPointer(start: view + 4, count: length) }
    let buffer = Int(view.load(fromByteOffset: 8, as: Int32.self))
    return UnsafeRawBufferPointer(
      start: buffers[buffer].start + Int(view.load(fromByteOffset: 12, as: Int32.self)), count: length)
  }

  /// Gives the bytes of the cut cells back as well: cells refer to the data in order, so the first long one that is cut
  /// marks its new end.
  override func truncate(to count: Int) {
    for row in count..<max(count, storedCount) {
      let view = views.start + row * 16
      guard view.load(as: Int32.self) > 12 else { continue }
      let buffer = Int(view.load(fromByteOffset: 8, as: Int32.self))
      for full in buffers[(buffer + 1)...] { full.free() }
      buffers.removeSubrange((buffer + 1)...)
      sizes.removeSubrange((buffer + 1)...)
      sizes[buffer] = Int(view.load(fromByteOffset: 12, as: Int32.self))
      break
    }
    super.truncate(to: count)
  }

  override func finish(into array: UnsafeMutablePointer<ArrowArray>) {
    let lengths = GrowableBytes(capacity: sizes.count * 8)
    for (position, size) in sizes.enumerated() {
      lengths.start.storeBytes(of: Int64(size), toByteOffset: position * 8, as: Int64.self)
    }
    finish(into: array, buffers: [views.start] + buffers.map(\.start) + [lengths.start])
    (views, buffers, sizes) = (GrowableBytes(), [], [])
  }
}
