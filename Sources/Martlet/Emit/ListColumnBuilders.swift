import CMartlet

/// list, large list and map: cell `i` is items `offsets[i] ..< offsets[i + 1]` of the child, which for a map is a struct of
/// key and value.
final class ListColumnBuilder: ColumnBuilder {
  private let isLarge: Bool
  private var offsets = GrowableBytes()
  private let items: ColumnBuilder

  init(_ field: Field, items: ColumnBuilder) {
    if case .largeList = field.type { isLarge = true } else { isLarge = false }
    self.items = items
    super.init(field)
    writeOffset(0, 0)
  }

  deinit { offsets.free() }

  private func writeOffset(_ position: Int, _ value: Int) {
    let step = isLarge ? 8 : 4
    offsets.reserve((position + 1) * step, used: position * step)
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

  override func child(_ index: Int) -> ColumnBuilder? { index == 0 ? items : nil }

  override var hasOpenItems: Bool { items.count != offset(storedCount) || items.hasOpenItems }

  override func endNested() throws(EngineError) {
    guard !items.hasOpenItems else { throw openItems() }
    if case .map = field.type { try checkKeys() }
    try close(at: storedCount)
    commit(valid: true)
  }

  override func appendPlaceholder() throws(EngineError) {
    guard !hasOpenItems else { throw openItems() }
    try close(at: storedCount)
    commit(valid: !field.isNullable)
  }

  private func openItems() -> EngineError {
    EngineError(
      .schemaMismatch,
      "column '\(field.name)' (\(field.type)): items were appended that no end of a nested value has closed")
  }

  private func checkKeys() throws(EngineError) {
    for position in offset(storedCount)..<items.count {
      if let bitmap = items.validity, !Bitmap.get(bitmap, position) {
        throw EngineError(.schemaMismatch, "column '\(field.name)' (\(field.type)): an entry of a map cannot be null")
      }
    }
  }

  /// Ends the cell at `position` where the items end now.
  private func close(at position: Int) throws(EngineError) {
    try checkOffset(items.count)
    writeOffset(position + 1, items.count)
  }

  private func checkOffset(_ items: Int) throws(EngineError) {
    if !isLarge && items > Int(Int32.max) {
      throw EngineError(
        .valueRange,
        "column '\(field.name)': more than \(Int32.max) items in one batch do not fit \(field.type); declare it large_list, or emit smaller batches"
      )
    }
  }

  private func sourceRange(_ column: martlet_column, _ row: Int) -> Range<Int> {
    let element = Int(column.offset) + row
    if let validity = column.validity, column.null_count != 0, !Bitmap.get(validity, element) { return 0..<0 }
    if isLarge {
      let source = column.values.assumingMemoryBound(to: Int64.self)
      return Int(source[element])..<Int(source[element + 1])
    }
    let source = column.values.assumingMemoryBound(to: Int32.self)
    return Int(source[element])..<Int(source[element + 1])
  }

  override func append(from column: UnsafePointer<martlet_column>, rows: UnsafeBufferPointer<Int32>, owner: AnyObject?)
    throws(EngineError)
  {
    try checkNulls(column, rows)
    try appendItems(column, rows.lazy.map { Int($0) }, owner)
    commit(column.pointee, rows)
  }

  override func append(from column: UnsafePointer<martlet_column>, range: Range<Int>, owner: AnyObject?)
    throws(EngineError)
  {
    try checkNulls(column, range)
    try appendItems(column, range, owner)
    commit(column.pointee, range)
  }

  /// Copies the items of the rows, those that lie side by side at once.
  private func appendItems(_ column: UnsafePointer<martlet_column>, _ rows: some Collection<Int>, _ owner: AnyObject?)
    throws(EngineError)
  {
    guard let source = column.pointee.children else { throw mismatch("a column without items") }
    var pending = 0..<0
    var end = items.count
    var position = storedCount
    for row in rows {
      let range = sourceRange(column.pointee, row)
      end += range.count
      position += 1
      try checkOffset(end)
      writeOffset(position, end)
      if range.isEmpty { continue }
      if range.lowerBound == pending.upperBound {
        pending = pending.lowerBound..<range.upperBound
      } else {
        if !pending.isEmpty { try items.append(from: source, range: pending, owner: owner) }
        pending = range
      }
    }
    if !pending.isEmpty { try items.append(from: source, range: pending, owner: owner) }
  }

  override func truncate(to count: Int) {
    let kept = min(count, storedCount)
    items.truncate(to: offset(kept))
    super.truncate(to: kept)
  }

  override func finish(into array: UnsafeMutablePointer<ArrowArray>) {
    items.truncate(to: offset(storedCount))
    finish(into: array, buffers: [offsets.start], children: 1) { node in items.finish(into: node.children[0]!) }
    offsets = GrowableBytes()
    writeOffset(0, 0)
  }
}

/// Fixed-size list: cell `i` is items `i * width ..< (i + 1) * width` of the child, also when it is null.
final class FixedSizeListColumnBuilder: ColumnBuilder {
  private let items: ColumnBuilder
  private let width: Int

  init(_ field: Field, items: ColumnBuilder, width: Int) {
    self.items = items
    self.width = width
    super.init(field)
  }

  override func child(_ index: Int) -> ColumnBuilder? { index == 0 ? items : nil }

  override var hasOpenItems: Bool { items.count != storedCount * width || items.hasOpenItems }

  override func endNested() throws(EngineError) {
    let came = items.count - storedCount * width
    guard came == width, !items.hasOpenItems else {
      throw EngineError(.valueRange, "column '\(field.name)': \(field.type) takes exactly \(width) items, got \(came)")
    }
    commit(valid: true)
  }

  override func appendPlaceholder() throws(EngineError) {
    guard !hasOpenItems else {
      throw EngineError(
        .schemaMismatch,
        "column '\(field.name)' (\(field.type)): items were appended that no end of a nested value has closed")
    }
    for _ in 0..<width { try items.appendPlaceholder() }
    commit(valid: !field.isNullable)
  }

  override func append(from column: UnsafePointer<martlet_column>, rows: UnsafeBufferPointer<Int32>, owner: AnyObject?)
    throws(EngineError)
  {
    try checkNulls(column, rows)
    guard let source = column.pointee.children else { throw mismatch("a column without items") }
    var pending = 0..<0
    for row in rows {
      let first = Int(row) * width
      if first == pending.upperBound && !pending.isEmpty {
        pending = pending.lowerBound..<(first + width)
      } else {
        if !pending.isEmpty { try items.append(from: source, range: pending, owner: owner) }
        pending = first..<(first + width)
      }
    }
    if !pending.isEmpty { try items.append(from: source, range: pending, owner: owner) }
    commit(column.pointee, rows)
  }

  override func append(from column: UnsafePointer<martlet_column>, range: Range<Int>, owner: AnyObject?)
    throws(EngineError)
  {
    try checkNulls(column, range)
    guard let source = column.pointee.children else { throw mismatch("a column without items") }
    try items.append(from: source, range: (range.lowerBound * width)..<(range.upperBound * width), owner: owner)
    commit(column.pointee, range)
  }

  override func truncate(to count: Int) {
    let kept = min(count, storedCount)
    items.truncate(to: kept * width)
    super.truncate(to: kept)
  }

  override func finish(into array: UnsafeMutablePointer<ArrowArray>) {
    items.truncate(to: storedCount * width)
    finish(into: array, buffers: [], children: 1) { node in items.finish(into: node.children[0]!) }
  }
}
