import CMartlet

/// Dictionary-encoded cells.
///
/// As long as all cells are copied from columns with one and the same dictionary, that dictionary is shared and only indices are
/// copied. A cell from another dictionary, or a plain value, makes the builder unify: from then on it holds the distinct values itself, in
/// order of appearance, and finds them by a hash index.
final class DictionaryColumnBuilder: ColumnBuilder {
  private enum Source {
    case none
    /// Indices refer to this dictionary; the object keeps it alive.
    case shared(UnsafePointer<martlet_column>, AnyObject)
    /// Indices refer to `values`.
    case unified
  }

  private let width: Int
  private let maxIndex: Int
  private var indices = GrowableBytes()
  private var source = Source.none
  private let values: ColumnBuilder
  private var lookup = ValueLookup()
  /// From positions in the last dictionary that was unified to positions in `values`.
  private var translation: Translation?

  private struct Translation {
    let dictionary: UnsafePointer<martlet_column>
    let owner: AnyObject?
    /// `unknown` until a cell needs the entry.
    var positions: [Int]
    static let unknown = -1
    static let null = -2
  }

  init(_ field: Field, index: DataType, value: DataType) throws(EngineError) {
    width = index.byteWidth
    maxIndex =
      switch index {
      case .int8: Int(Int8.max)
      case .uint8: Int(UInt8.max)
      case .int16: Int(Int16.max)
      case .uint16: Int(UInt16.max)
      case .int32: Int(Int32.max)
      case .uint32: Int(UInt32.max)
      default: Int.max
      }
    values = try ColumnBuilder.make(for: Field(field.name, value))
    super.init(field)
  }

  deinit { indices.free() }

  // MARK: values

  override func append(bool value: Bool) throws(EngineError) {
    try unify()
    try values.append(bool: value)
    try commit(internLast())
  }

  override func append(int64 value: Int64) throws(EngineError) {
    try unify()
    try values.append(int64: value)
    try commit(internLast())
  }

  override func append(uint64 value: UInt64) throws(EngineError) {
    try unify()
    try values.append(uint64: value)
    try commit(internLast())
  }

  override func append(double value: Double) throws(EngineError) {
    try unify()
    try values.append(double: value)
    try commit(internLast())
  }

  override func append(bytes: UnsafeRawBufferPointer) throws(EngineError) {
    try unify()
    try values.append(bytes: bytes)
    try commit(internLast())
  }

  override func endNested() throws(EngineError) {
    try unify()
    try values.endNested()
    try commit(internLast())
  }

  override func child(_ index: Int) -> ColumnBuilder? { values.child(index) }
  override var hasOpenItems: Bool { values.hasOpenItems }

  override func appendPlaceholder() throws(EngineError) {
    if field.isNullable {
      reserve(1)
      write(0, at: storedCount)
      return commit(valid: false)
    }
    try unify()
    try values.appendPlaceholder()
    try commit(internLast())
  }

  /// The position of the last value, which is dropped again if it was there before.
  private func internLast() throws(EngineError) -> Int {
    let last = values.count - 1
    let position = lookup.position(of: last, in: values)
    if position != last { values.truncate(to: last) }
    guard position <= maxIndex else {
      values.truncate(to: last)
      lookup = ValueLookup(over: values)
      throw EngineError(
        .valueRange,
        "column '\(field.name)': more than \(maxIndex + 1) different values do not fit \(field.type); declare a wider index type"
      )
    }
    return position
  }

  private func commit(_ index: Int) {
    reserve(1)
    write(index, at: storedCount)
    commit(valid: true)
  }

  private func reserve(_ cells: Int) { indices.reserve((storedCount + cells) * width, used: storedCount * width) }

  private func write(_ index: Int, at position: Int) {
    switch width {
    case 1: indices.start.storeBytes(of: UInt8(truncatingIfNeeded: index), toByteOffset: position, as: UInt8.self)
    case 2: indices.start.storeBytes(of: UInt16(truncatingIfNeeded: index), toByteOffset: position * 2, as: UInt16.self)
    case 4: indices.start.storeBytes(of: UInt32(truncatingIfNeeded: index), toByteOffset: position * 4, as: UInt32.self)
    default:
      indices.start.storeBytes(of: UInt64(truncatingIfNeeded: index), toByteOffset: position * 8, as: UInt64.self)
    }
  }

  /// Takes the values over from a shared dictionary; indices stay as they are.
  private func unify() throws(EngineError) {
    switch source {
    case .unified: return
    case .none: break
    case .shared(let dictionary, let owner):
      try values.append(from: dictionary, range: 0..<Int(dictionary.pointee.length), owner: owner)
      lookup = ValueLookup(over: values)
    }
    source = .unified
  }

  // MARK: cells of other columns

  override func append(from column: UnsafePointer<martlet_column>, rows: UnsafeBufferPointer<Int32>, owner: AnyObject?)
    throws(EngineError)
  {
    guard let dictionary = column.pointee.dictionary else { throw mismatch("a column that is not dictionary-encoded") }
    try checkCells(column, rows.lazy.map { Int($0) })
    if shares(dictionary, owner) {
      reserve(rows.count)
      let first = column.pointee.values.map { $0 + Int(column.pointee.offset) * width }
      for (position, row) in rows.enumerated() {
        (indices.start + (storedCount + position) * width).copyMemory(from: first! + Int(row) * width, byteCount: width)
      }
      commit(column.pointee, rows)
    } else {
      try translate(column, dictionary, rows.lazy.map { Int($0) }, owner)
    }
  }

  override func append(from column: UnsafePointer<martlet_column>, range: Range<Int>, owner: AnyObject?)
    throws(EngineError)
  {
    guard let dictionary = column.pointee.dictionary else { throw mismatch("a column that is not dictionary-encoded") }
    try checkCells(column, range)
    if shares(dictionary, owner) {
      reserve(range.count)
      if !range.isEmpty {
        (indices.start + storedCount * width).copyMemory(
          from: column.pointee.values + (Int(column.pointee.offset) + range.lowerBound) * width,
          byteCount: range.count * width)
      }
      commit(column.pointee, range)
    } else {
      try translate(column, dictionary, range, owner)
    }
  }

  private func checkCells(_ column: UnsafePointer<martlet_column>, _ rows: some Collection<Int>) throws(EngineError) {
    if field.isNullable { return }
    for row in rows where column.pointee.isNull(row) { throw unexpectedNull() }
  }

  /// Whether indices into `dictionary` can be stored as they are; the first dictionary is adopted.
  private func shares(_ dictionary: UnsafePointer<martlet_column>, _ owner: AnyObject?) -> Bool {
    switch source {
    case .unified: return false
    case .shared(let mine, _): return mine.pointee.hasSameCells(as: dictionary.pointee)
    case .none:
      // Nested values may be appended through `child` at any time, so they always go to `values`.
      guard let owner, values.child(0) == nil, storedCount == nullCount else { return false }
      source = .shared(dictionary, owner)
      return true
    }
  }

  private func translate(
    _ column: UnsafePointer<martlet_column>, _ dictionary: UnsafePointer<martlet_column>, _ rows: some Collection<Int>,
    _ owner: AnyObject?
  ) throws(EngineError) {
    try unify()
    let entries = Int(dictionary.pointee.length)
    // A table pays off when it is used often: for many cells, or again for the next ones of the same batch.
    let usesTable = owner != nil || rows.count > entries / 4
    if usesTable,
      translation == nil || translation!.owner == nil
        || !translation!.dictionary.pointee.hasSameCells(as: dictionary.pointee)
    {
      translation = Translation(
        dictionary: dictionary, owner: owner, positions: Array(repeating: Translation.unknown, count: entries))
    }
    defer { if owner == nil { translation = nil } }
    let validity = column.pointee.null_count == 0 ? nil : column.pointee.validity
    reserve(rows.count)
    for row in rows {
      if let validity, !Bitmap.get(validity, Int(column.pointee.offset) + row) {
        write(0, at: storedCount)
        commit(valid: false)
        continue
      }
      let entry = column.pointee.index(row)
      guard entry >= 0, entry < entries else {
        throw EngineError(
          .schemaMismatch, "column '\(field.name)': index \(entry) is outside of a dictionary of \(entries) values")
      }
      var position = usesTable ? translation!.positions[entry] : Translation.unknown
      if position == Translation.unknown {
        position = try intern(dictionary, entry, owner)
        if usesTable { translation!.positions[entry] = position }
      }
      write(position == Translation.null ? 0 : position, at: storedCount)
      commit(valid: position != Translation.null)
    }
  }

  private func intern(_ dictionary: UnsafePointer<martlet_column>, _ entry: Int, _ owner: AnyObject?)
    throws(EngineError) -> Int
  {
    if dictionary.pointee.isNull(entry) { return Translation.null }
    try values.append(from: dictionary, range: entry..<(entry + 1), owner: owner)
    return try internLast()
  }

  // MARK: the rest

  override func truncate(to count: Int) {
    // Values that lost their cells stay in the dictionary: harmless, and other cells may share them.
    if values.hasOpenItems { values.truncate(to: values.count) }
    truncateValidity(to: count)
  }

  override func finish(into array: UnsafeMutablePointer<ArrowArray>) {
    let shared: (UnsafePointer<martlet_column>, AnyObject)? =
      if case .shared(let column, let owner) = source { (column, owner) } else { nil }
    finish(into: array, buffers: [indices.start]) { node in
      let target = node.makeDictionary()
      if let (column, owner) = shared {
        column.pointee.export(0, Int(column.pointee.length), owner, into: target)
      } else {
        values.finish(into: target)
      }
    }
    (indices, source, lookup, translation) = (GrowableBytes(), .none, ValueLookup(), nil)
  }
}

extension martlet_column {
  /// Whether both columns are views of the same memory, both being alive.
  fileprivate func hasSameCells(as other: martlet_column) -> Bool {
    length == other.length && offset == other.offset && values == other.values && validity == other.validity
      && data == other.data
      && children == other.children && n_variadic == other.n_variadic
      && (dictionary == nil) == (other.dictionary == nil)
      && (0..<Int(n_variadic)).allSatisfy { variadic[$0] == other.variadic[$0] }
  }
}
