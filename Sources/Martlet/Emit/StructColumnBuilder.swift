import CMartlet

/// Struct: cell `i` is cell `i` of every child.
final class StructColumnBuilder: ColumnBuilder {
  private let children: [ColumnBuilder]

  init(_ field: Field, _ children: [ColumnBuilder]) {
    self.children = children
    super.init(field)
  }

  override func child(_ index: Int) -> ColumnBuilder? { children.indices.contains(index) ? children[index] : nil }

  override var hasOpenItems: Bool { children.contains { $0.count != storedCount || $0.hasOpenItems } }

  /// Fields without a cell get a null.
  override func endNested() throws(EngineError) {
    for child in children {
      if child.count == storedCount {
        guard !child.hasOpenItems else { throw openItems(child) }
        try child.appendNull()
      }
      guard child.count == storedCount + 1, !child.hasOpenItems else { throw openItems(child) }
    }
    commit(valid: true)
  }

  override func appendPlaceholder() throws(EngineError) {
    for child in children {
      guard child.count == storedCount, !child.hasOpenItems else { throw openItems(child) }
      try child.appendPlaceholder()
    }
    commit(valid: !field.isNullable)
  }

  private func openItems(_ child: ColumnBuilder) -> EngineError {
    EngineError(
      .schemaMismatch,
      "column '\(field.name)' (\(field.type)): field '\(child.field.name)' has \(child.count - storedCount) cells or unclosed items for one struct; append one cell to each field"
    )
  }

  override func append(from column: UnsafePointer<martlet_column>, rows: UnsafeBufferPointer<Int32>, owner: AnyObject?)
    throws(EngineError)
  {
    try checkNulls(column, rows)
    for (position, child) in children.enumerated() {
      try child.append(from: column.pointee.children + position, rows: rows, owner: owner)
    }
    commit(column.pointee, rows)
  }

  override func append(from column: UnsafePointer<martlet_column>, range: Range<Int>, owner: AnyObject?)
    throws(EngineError)
  {
    try checkNulls(column, range)
    for (position, child) in children.enumerated() {
      try child.append(from: column.pointee.children + position, range: range, owner: owner)
    }
    commit(column.pointee, range)
  }

  override func truncate(to count: Int) {
    let kept = min(count, storedCount)
    for child in children { child.truncate(to: kept) }
    super.truncate(to: kept)
  }

  override func finish(into array: UnsafeMutablePointer<ArrowArray>) {
    for child in children { child.truncate(to: storedCount) }
    finish(into: array, buffers: [], children: children.count) { node in
      for (position, child) in children.enumerated() { child.finish(into: node.children[position]!) }
    }
  }
}
