import CMartlet

// Batches out through the Arrow C data interface. Nothing is copied: every exported array shares the buffers and keeps
// their owner alive.

extension RecordBatch {
  /// Rows `[offset, offset + length)` as a struct array. Errors: `.invalidArgument` for a range outside of the batch.
  public func export(offset: Int, length: Int, into array: UnsafeMutablePointer<ArrowArray>) throws(EngineError) {
    try checkRange(offset, length)
    let node = ExportedArray(owner, buffers: 1, children: columns.count)
    for (position, column) in columns.enumerated() {
      column.export(offset, length, owner, into: node.children[position]!)
    }
    node.fill(array, length: length)
  }

  /// One column of those rows, with its field. Errors: `.invalidArgument` for a range or column outside of the batch.
  public func exportColumn(
    _ column: Int, offset: Int, length: Int, into array: UnsafeMutablePointer<ArrowArray>,
    schema: UnsafeMutablePointer<ArrowSchema>
  ) throws(EngineError) {
    guard columns.indices.contains(column) else {
      throw EngineError(.invalidArgument, "there is no column \(column); the batch has \(columns.count)")
    }
    try checkRange(offset, length)
    columns[column].export(offset, length, owner, into: array)
    self.schema.fields[column].export(into: schema)
  }

  private func checkRange(_ offset: Int, _ length: Int) throws(EngineError) {
    guard offset >= 0, length >= 0, offset <= numRows, length <= numRows - offset else {
      throw EngineError(
        .invalidArgument, "rows \(offset) to \(offset) + \(length) are outside of a batch of \(numRows) rows")
    }
  }
}

extension martlet_column {
  /// Rows `[start, start + count)` as an Arrow array.
  func export(_ start: Int, _ count: Int, _ owner: AnyObject, into array: UnsafeMutablePointer<ArrowArray>) {
    let kind = bufferKind
    let isList = n_children == 1 && (kind == .offsets32 || kind == .offsets64)
    let bufferCount = kind == .views ? Int(n_variadic) + 3 : kind.bufferCount - (isList ? 1 : 0)
    let node = ExportedArray(owner, buffers: bufferCount, children: Int(n_children))
    let bitmap = count == 0 ? nil : validity
    if kind != .none { node.buffers[0] = UnsafeRawPointer(bitmap) }
    switch kind {
    case .none, .nested: break
    case .bits, .fixed: node.buffers[1] = values
    case .offsets32, .offsets64:
      node.buffers[1] = values
      if !isList { node.buffers[2] = UnsafeRawPointer(data) }
    case .views:
      node.buffers[1] = values
      // `variadic` points into the buffer list of the imported array, where the buffer of sizes comes last.
      for position in 0...Int(n_variadic) { node.buffers[2 + position] = UnsafeRawPointer(variadic[position]) }
    }
    // Without a bitmap of its own a nested column starts at 0 and its children carry the whole offset; with one, it
    // keeps its offset and the children give back the part of theirs that was folded in.
    var ownOffset = count == 0 ? 0 : Int(offset) + start
    if kind == .nested {
      let items = type == Int32(MARTLET_TYPE_STRUCT.rawValue) ? 1 : Int(width)
      if bitmap == nil { ownOffset = 0 }
      for position in 0..<Int(n_children) {
        let child = children[position]
        let shift = bitmap == nil ? start * items : -Int(offset) * items
        let needed = (bitmap == nil ? count : ownOffset + count) * items
        child.export(child.length == 0 ? 0 : shift, needed, owner, into: node.children[position]!)
      }
    } else {
      for position in 0..<Int(n_children) {
        children[position].export(0, Int(children[position].length), owner, into: node.children[position]!)
      }
    }
    if let dictionary {
      dictionary.pointee.export(0, Int(dictionary.pointee.length), owner, into: node.makeDictionary())
    }
    let isWhole = start == 0 && count == Int(length)
    node.fill(
      array, length: count, offset: ownOffset,
      nullCount: kind == .none ? Int64(count) : bitmap == nil ? 0 : isWhole ? null_count : -1)
  }
}

/// What one exported array node owns. Each node has its own, since a consumer may move a child out of its parent: the child's
/// `release` is then nil in the parent's list, and the parent leaves it alone.
final class ExportedArray {
  private let owner: AnyObject?
  let buffers: UnsafeMutableBufferPointer<UnsafeRawPointer?>
  let children: UnsafeMutableBufferPointer<UnsafeMutablePointer<ArrowArray>?>
  private var dictionary: UnsafeMutablePointer<ArrowArray>?

  /// `owner` keeps the buffers alive. The children are empty structs, to be filled before `fill`.
  init(_ owner: AnyObject?, buffers bufferCount: Int, children childCount: Int) {
    self.owner = owner
    buffers = .allocate(capacity: bufferCount)
    buffers.initialize(repeating: nil)
    children = .allocate(capacity: childCount)
    for position in 0..<childCount {
      let child = UnsafeMutablePointer<ArrowArray>.allocate(capacity: 1)
      child.initialize(to: ArrowArray())
      children.initializeElement(at: position, to: child)
    }
  }

  deinit {
    for case let node? in Array(children) + [dictionary] {
      node.pointee.release?(node)
      node.deallocate()
    }
    children.deallocate()
    buffers.deallocate()
  }

  func makeDictionary() -> UnsafeMutablePointer<ArrowArray> {
    let node = UnsafeMutablePointer<ArrowArray>.allocate(capacity: 1)
    node.initialize(to: ArrowArray())
    dictionary = node
    return node
  }

  func fill(_ array: UnsafeMutablePointer<ArrowArray>, length: Int, offset: Int = 0, nullCount: Int64 = 0) {
    array.initialize(
      to: ArrowArray(
        length: Int64(length), null_count: nullCount, offset: Int64(offset), n_buffers: Int64(buffers.count),
        n_children: Int64(children.count), buffers: buffers.baseAddress, children: children.baseAddress,
        dictionary: dictionary,
        release: { array in
          guard let array, let node = array.pointee.private_data else { return }
          array.pointee.release = nil
          Unmanaged<ExportedArray>.fromOpaque(node).release()
        }, private_data: Unmanaged.passRetained(self).toOpaque()))
  }
}
