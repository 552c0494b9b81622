import CMartlet

/// Builds one column, cell by cell or by copying cells of other columns.
///
/// One subclass per buffer layout. A cell is appended by the call that fits the column's type; any other is `.schemaMismatch`
/// naming the column, what it holds and what came. After an error the cells since the last good count are undefined until
/// `truncate(to:)`. Not thread-safe.
public class ColumnBuilder {
  public final let field: Field
  @exclusivity(unchecked) @usableFromInline private(set) final var cursor: UnsafeMutablePointer<CellCursor>
  private final var cursors: CellCursors
  @usableFromInline final var storedCount: Int {
    @inlinable @inline(__always) get { cursor.pointee.count }
    @inlinable @inline(__always) set { cursor.pointee.count = newValue }
  }
  /// Bit set: not null. Nil until the first null, as most columns never see one. Exempt from the run-time check for overlapping
  /// access, which costs more than the append itself: loaded and stored as a whole, by one thread, and no access calls out.
  @exclusivity(unchecked) @usableFromInline final var validity: UnsafeMutablePointer<UInt8>?
  private final var validityBytes = 0
  private(set) final var nullCount = 0
  private final let layout: ColumnLayout

  init(_ field: Field) {
    self.field = field
    layout = ColumnLayout([field])
    cursors = CellCursors(count: 1)
    cursor = cursors.start
  }

  deinit { validity?.deallocate() }

  /// Has its cursor beside those of other columns from now on.
  final func place(in cursors: CellCursors, at index: Int) {
    cursors.start[index] = cursor.pointee
    cursor = cursors.start + index
    self.cursors = cursors
  }

  /// The cells so far.
  @inlinable
  public final var count: Int { storedCount }

  /// The field as a `martlet_column` without buffers; valid as long as the builder lives.
  public final var template: UnsafePointer<martlet_column> { layout.columns.baseAddress! }

  // MARK: cells

  /// A null. Errors: the column is not nullable.
  public final func appendNull() throws(EngineError) {
    guard field.isNullable else { throw unexpectedNull() }
    try appendPlaceholder()
  }

  public func append(bool value: Bool) throws(EngineError) { throw mismatch("a bool") }
  /// An integer, date, time, timestamp or duration in the column's own unit, or a float that holds it exactly.
  public func append(int64 value: Int64) throws(EngineError) { throw mismatch("an integer") }
  public func append(uint64 value: UInt64) throws(EngineError) { throw mismatch("an integer") }
  public func append(double value: Double) throws(EngineError) { throw mismatch("a float") }
  /// A string, binary, or the raw element of a decimal or interval.
  public func append(bytes: UnsafeRawBufferPointer) throws(EngineError) { throw mismatch("a string or bytes") }

  /// Closes one list, map or struct cell made of what was appended to the children since the last one.
  public func endNested() throws(EngineError) { throw mismatch("a nested value") }
  /// The builder of the items (list, map: 0) or of a field (struct); nil if there is none.
  public func child(_ index: Int) -> ColumnBuilder? { nil }
  /// Whether children hold cells that no `endNested` has closed.
  var hasOpenItems: Bool { false }

  /// Cells `rows` of a column of the same type. `owner` keeps that column alive; with it, dictionaries are shared, not copied.
  public func append(from column: UnsafePointer<martlet_column>, rows: UnsafeBufferPointer<Int32>, owner: AnyObject?)
    throws(EngineError)
  {
    throw mismatch("another column")
  }
  /// Cells `range` of a column of the same type.
  public func append(from column: UnsafePointer<martlet_column>, range: Range<Int>, owner: AnyObject?)
    throws(EngineError)
  {
    throw mismatch("another column")
  }
  public final func append(from column: UnsafePointer<martlet_column>, rows: UnsafeBufferPointer<Int32>)
    throws(EngineError)
  {
    try append(from: column, rows: rows, owner: nil)
  }
  public final func append(from column: UnsafePointer<martlet_column>, range: Range<Int>) throws(EngineError) {
    try append(from: column, range: range, owner: nil)
  }

  /// One cell of a column, which is checked to have this builder's type. Errors: `.schemaMismatch`.
  public final func append(cell row: Int, of column: UnsafePointer<martlet_column>, owner: AnyObject? = nil)
    throws(EngineError)
  {
    guard column.pointee.hasType(of: template.pointee) else {
      throw mismatch("a cell of type \(String(cString: column.pointee.type_name))")
    }
    guard row >= 0, row < Int(column.pointee.length) else {
      throw EngineError(
        .invalidArgument, "column '\(field.name)': row \(row) is outside of a column of \(column.pointee.length) rows")
    }
    try append(from: column, range: row..<(row + 1), owner: owner)
  }

  /// Takes back the cells from `count` on, and whatever open items the children hold.
  public func truncate(to count: Int) { truncateValidity(to: count) }

  /// Moves the cells into `array` and starts over empty.
  public func finish(into array: UnsafeMutablePointer<ArrowArray>) {
    fatalError("every builder finishes its own buffers")
  }

  /// A null if the column may hold one, else a zero: the cell below a null struct or in a null fixed-size list.
  func appendPlaceholder() throws(EngineError) { fatalError("every builder has a placeholder") }

  /// The stored bytes of a cell, as the key of a dictionary; nil for nested values.
  func storedBytes(_ row: Int) -> UnsafeRawBufferPointer? { nil }

  // MARK: errors

  final func mismatch(_ what: String) -> EngineError {
    EngineError(.schemaMismatch, "column '\(field.name)': expected \(field.type), got \(what)")
  }

  final func unexpectedNull() -> EngineError {
    EngineError(
      .schemaMismatch,
      "column '\(field.name)' (\(field.type)) is not nullable, got a null; give it a value or declare it nullable")
  }

  final func outOfRange(_ value: some CustomStringConvertible) -> EngineError {
    EngineError(.valueRange, "column '\(field.name)': \(value) does not fit \(field.type)")
  }

  // MARK: validity

  /// Counts one more cell. The one step after its value is stored.
  @inline(__always)
  final func commit(valid: Bool) {
    if validity != nil || !valid { writeValidity(valid) }
    storedCount &+= 1
  }

  @usableFromInline @inline(never)
  final func writeValidity(_ valid: Bool) {
    reserveValidity(storedCount + 1)
    Bitmap.set(validity!, storedCount, valid)
    if !valid { nullCount += 1 }
  }

  final func commit(validCells: Int) {
    if validity != nil {
      reserveValidity(storedCount + validCells)
      Bitmap.fill(validity!, from: storedCount, count: validCells, true)
    }
    storedCount += validCells
  }

  /// Counts the cells `rows` of `column`, with its nulls.
  final func commit(_ column: martlet_column, _ rows: UnsafeBufferPointer<Int32>) {
    guard column.null_count != 0, !rows.isEmpty, let source = column.validity else {
      return commit(validCells: rows.count)
    }
    reserveValidity(storedCount + rows.count)
    let offset = Int(column.offset)
    var valid = 0
    for (position, row) in rows.enumerated() {
      let bit = Bitmap.get(source, offset + Int(row))
      Bitmap.set(validity!, storedCount + position, bit)
      valid += bit ? 1 : 0
    }
    nullCount += rows.count - valid
    storedCount += rows.count
  }

  final func commit(_ column: martlet_column, _ range: Range<Int>) {
    guard column.null_count != 0, !range.isEmpty, let source = column.validity else {
      return commit(validCells: range.count)
    }
    reserveValidity(storedCount + range.count)
    Bitmap.copy(source, from: Int(column.offset) + range.lowerBound, to: validity!, at: storedCount, count: range.count)
    nullCount += range.count - Bitmap.popcount(validity!, from: storedCount, count: range.count)
    storedCount += range.count
  }

  /// Refuses nulls for a column that is not nullable.
  @inline(__always)
  final func checkNulls(_ column: UnsafePointer<martlet_column>, _ rows: UnsafeBufferPointer<Int32>) throws(EngineError)
  {
    if field.isNullable || column.pointee.null_count == 0 { return }
    for row in rows where column.pointee.isNull(Int(row)) { throw unexpectedNull() }
  }

  @inline(__always)
  final func checkNulls(_ column: UnsafePointer<martlet_column>, _ range: Range<Int>) throws(EngineError) {
    if field.isNullable || column.pointee.null_count == 0 { return }
    for row in range where column.pointee.isNull(row) { throw unexpectedNull() }
  }

  private final func reserveValidity(_ bits: Int) {
    let needed = Bitmap.byteCount(bits)
    guard needed > validityBytes else { return }
    let larger = max(64, needed, validityBytes * 2)
    let block = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: GrowableBytes.alignment)
      .assumingMemoryBound(to: UInt8.self)
    if let validity {
      block.update(from: validity, count: validityBytes)
      validity.deallocate()
      (block + validityBytes).initialize(repeating: 0, count: larger - validityBytes)
    } else {
      block.initialize(repeating: 0, count: larger)
      Bitmap.fill(block, from: 0, count: storedCount, true)
    }
    validity = block
    validityBytes = larger
    cursor.pointee.limit = 0
  }

  final func truncateValidity(to count: Int) {
    guard count < storedCount else { return }
    if let validity, nullCount > 0 {
      let cut = storedCount - count
      nullCount -= cut - Bitmap.popcount(validity, from: count, count: cut)
    }
    storedCount = count
  }

  /// Wraps the buffers up: validity first, then `buffers`, then whatever `children` puts into the node.
  final func finish(
    into array: UnsafeMutablePointer<ArrowArray>, buffers: [UnsafeMutableRawPointer],
    borrowing inner: [UnsafeMutableRawPointer]? = nil, children: Int = 0,
    fillChildren: (ExportedArray) -> Void = { _ in }
  ) {
    let shown = inner ?? buffers
    var owned = buffers
    if let validity { owned.append(UnsafeMutableRawPointer(validity)) }
    let node = ExportedArray(BuiltBuffers(owned), buffers: 1 + shown.count, children: children)
    if nullCount > 0 { node.buffers[0] = UnsafeRawPointer(validity) }
    for (position, buffer) in shown.enumerated() { node.buffers[1 + position] = UnsafeRawPointer(buffer) }
    fillChildren(node)
    node.fill(array, length: storedCount, nullCount: Int64(nullCount))
    validity = nil
    (validityBytes, nullCount, storedCount) = (0, 0, 0)
  }
}

extension martlet_column {
  /// Whether cells of this column can be copied into a column with that template.
  func hasType(of other: martlet_column) -> Bool {
    guard type == other.type, width == other.width, n_children == other.n_children else { return false }
    guard CString.equal(format, other.format) else { return false }
    for position in 0..<Int(n_children) where !children[position].hasType(of: other.children[position]) { return false }
    if type == Int32(MARTLET_TYPE_STRUCT.rawValue) {
      for position in 0..<Int(n_children) where !CString.equal(children[position].name, other.children[position].name) {
        return false
      }
    }
    switch (dictionary, other.dictionary) {
    case (nil, nil): return true
    case (let mine?, let theirs?): return mine.pointee.hasType(of: theirs.pointee)
    default: return false
    }
  }
}

extension CString {
  static func equal(_ left: UnsafePointer<CChar>, _ right: UnsafePointer<CChar>) -> Bool {
    var position = 0
    while left[position] == right[position] {
      if left[position] == 0 { return true }
      position += 1
    }
    return false
  }
}
