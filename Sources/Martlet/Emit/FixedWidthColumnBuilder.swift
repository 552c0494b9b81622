import CMartlet

/// Integers, floats, dates, times, timestamps, decimals, intervals and fixed-size binary: `width` bytes a cell.
public final class FixedWidthColumnBuilder: ColumnBuilder {
  /// How numbers are stored; `raw` takes bytes only.
  enum Scalar { case int8, int16, int32, int64, uint8, uint16, uint32, uint64, float16, float32, float64, raw }

  /// Bytes of a cell.
  public let width: Int
  private var values: UnsafeMutableRawPointer { cursor.pointee.values }
  @exclusivity(unchecked) private final var capacity = 0
  private let scalar: Scalar

  init(_ field: Field, _ scalar: Scalar) {
    self.scalar = scalar
    width = field.type.byteWidth
    super.init(field)
    start(Self.emptyBlock(width, 0))
  }

  deinit { values.deallocate() }

  /// A cell of a type with exactly `width` bytes, as it is to be stored: the caller has checked the type.
  @inlinable
  public final func appendUnchecked<T: BitwiseCopyable>(_ value: T) {
    assert(MemoryLayout<T>.size == width, "a value of another width than the column's")
    if _slowPath(!cursor.pointee.hasRoom) { makeRoom() }
    cursor.pointee.store(value)
  }

  /// Room for one more cell, and its bit if cells have bits.
  @usableFromInline @inline(never)
  final func makeRoom() {
    reserve(1)
    if validity != nil { writeValidity(true) }
  }

  private func start(_ block: (values: UnsafeMutableRawPointer, capacity: Int)) {
    cursor.pointee.values = block.values
    capacity = block.capacity
    cursor.pointee.limit = validity == nil ? capacity : 0
  }

  @inline(never)
  private func grow(_ more: Int) {
    let cells = max(storedCount + more, capacity * 2)
    let block = UnsafeMutableRawPointer.allocate(byteCount: max(64, cells * width), alignment: GrowableBytes.alignment)
    block.copyMemory(from: values, byteCount: storedCount * width)
    values.deallocate()
    start((block, cells))
  }

  private static func emptyBlock(_ width: Int, _ cells: Int) -> (UnsafeMutableRawPointer, Int) {
    let bytes = max(64, width, cells * width)
    return (.allocate(byteCount: bytes, alignment: GrowableBytes.alignment), width == 0 ? Int.max : bytes / width)
  }

  private func reserve(_ more: Int) {
    if more > capacity - storedCount { grow(more) }
  }

  override public func append(int64 value: Int64) throws(EngineError) {
    switch scalar {
    case .int64: appendUnchecked(value)
    case .int8: try appendNarrow(value, as: Int8.self)
    case .int16: try appendNarrow(value, as: Int16.self)
    case .int32: try appendNarrow(value, as: Int32.self)
    case .uint8: try appendNarrow(value, as: UInt8.self)
    case .uint16: try appendNarrow(value, as: UInt16.self)
    case .uint32: try appendNarrow(value, as: UInt32.self)
    case .uint64: try appendNarrow(value, as: UInt64.self)
    case .float16, .float32, .float64: try appendExact(value)
    case .raw: throw mismatch("an integer")
    }
  }

  override public func append(uint64 value: UInt64) throws(EngineError) {
    if let signed = Int64(exactly: value) { return try append(int64: signed) }
    switch scalar {
    case .uint64: appendUnchecked(value)
    case .int8, .int16, .int32, .int64, .uint8, .uint16, .uint32: throw outOfRange(value)
    case .float16, .float32, .float64: try appendExact(value)
    case .raw: throw mismatch("an integer")
    }
  }

  /// Floats are rounded to the column's precision; a finite value must stay finite.
  override public func append(double value: Double) throws(EngineError) {
    switch scalar {
    case .float64: appendUnchecked(value)
    case .float32:
      guard Float(value).isFinite || !value.isFinite else { throw outOfRange(value) }
      appendUnchecked(Float(value))
    case .float16:
      guard Float16(value).isFinite || !value.isFinite else { throw outOfRange(value) }
      appendUnchecked(Float16(value))
    case .int8, .int16, .int32, .int64, .uint8, .uint16, .uint32, .uint64, .raw: throw mismatch("a float")
    }
  }

  override public func append(bytes: UnsafeRawBufferPointer) throws(EngineError) {
    guard scalar == .raw else { throw mismatch("a string or bytes") }
    guard bytes.count == width else {
      throw EngineError(
        .valueRange, "column '\(field.name)': \(field.type) takes exactly \(width) bytes, got \(bytes.count)")
    }
    reserve(1)
    if let base = bytes.baseAddress, width > 0 {
      (values + storedCount * width).copyMemory(from: base, byteCount: width)
    }
    commit(valid: true)
  }

  override func appendPlaceholder() {
    reserve(1)
    (values + storedCount * width).initializeMemory(as: UInt8.self, repeating: 0, count: width)
    commit(valid: !field.isNullable)
  }

  private func appendNarrow<T: FixedWidthInteger & BitwiseCopyable>(_ value: Int64, as: T.Type) throws(EngineError) {
    guard let narrow = T(exactly: value) else { throw outOfRange(value) }
    appendUnchecked(narrow)
  }

  private func appendExact(_ value: some BinaryInteger) throws(EngineError) {
    switch scalar {
    case .float16:
      guard let exact = Float16(exactly: value) else { throw outOfRange(value) }
      appendUnchecked(exact)
    case .float32:
      guard let exact = Float(exactly: value) else { throw outOfRange(value) }
      appendUnchecked(exact)
    default:
      guard let exact = Double(exactly: value) else { throw outOfRange(value) }
      appendUnchecked(exact)
    }
  }

  override public func append(
    from column: UnsafePointer<martlet_column>, rows: UnsafeBufferPointer<Int32>, owner: AnyObject?
  ) throws(EngineError) {
    try checkNulls(column, rows)
    reserve(rows.count)
    if let source = column.pointee.values {
      let first = source + Int(column.pointee.offset) * width
      let target = values + storedCount * width
      switch width {
      case 1: Self.gather(UInt8.self, first, rows, target)
      case 2: Self.gather(UInt16.self, first, rows, target)
      case 4: Self.gather(UInt32.self, first, rows, target)
      case 8: Self.gather(UInt64.self, first, rows, target)
      case 16: Self.gather(SIMD2<UInt64>.self, first, rows, target)
      default:
        for (position, row) in rows.enumerated() {
          (target + position * width).copyMemory(from: first + Int(row) * width, byteCount: width)
        }
      }
    }
    commit(column.pointee, rows)
  }

  private static func gather<T: BitwiseCopyable>(
    _: T.Type, _ source: UnsafeRawPointer, _ rows: UnsafeBufferPointer<Int32>, _ target: UnsafeMutableRawPointer
  ) {
    var next = target
    for row in rows {
      // Unaligned, since producers need not align more than the C data interface asks of them, which is nothing.
      let value = source.loadUnaligned(fromByteOffset: Int(row) &* MemoryLayout<T>.stride, as: T.self)
      next.assumingMemoryBound(to: T.self).initialize(to: value)
      next += MemoryLayout<T>.stride
    }
  }

  override public func append(from column: UnsafePointer<martlet_column>, range: Range<Int>, owner: AnyObject?)
    throws(EngineError)
  {
    try checkNulls(column, range)
    reserve(range.count)
    if let source = column.pointee.values {
      (values + storedCount * width).copyMemory(
        from: source + (Int(column.pointee.offset) + range.lowerBound) * width, byteCount: range.count * width)
    }
    commit(column.pointee, range)
  }

  override func storedBytes(_ row: Int) -> UnsafeRawBufferPointer? {
    UnsafeRawBufferPointer(start: values + row * width, count: width)
  }

  override public func finish(into array: UnsafeMutablePointer<ArrowArray>) {
    let cells = storedCount
    finish(into: array, buffers: [values])
    // Room for as many again: batches of one output are mostly of one size.
    start(Self.emptyBlock(width, cells))
  }
}
