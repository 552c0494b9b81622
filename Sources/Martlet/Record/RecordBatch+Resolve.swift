import CMartlet

// From Arrow arrays to resolved columns.

extension ColumnLayout {
  /// A copy of all nodes, with the links between them pointing into the copy.
  func copyNodes() -> UnsafeMutableBufferPointer<martlet_column> {
    let copy = UnsafeMutableBufferPointer<martlet_column>.allocate(capacity: nodeCount)
    guard let target = copy.baseAddress, let source = columns.baseAddress else { return copy }
    target.initialize(from: source, count: nodeCount)
    for position in 0..<nodeCount {
      if let children = copy[position].children {
        copy[position].children = UnsafePointer(target + (children - source))
      }
      if let dictionary = copy[position].dictionary {
        copy[position].dictionary = UnsafePointer(target + (dictionary - source))
      }
    }
    return copy
  }
}

/// Stands in for the buffers that a producer may leave out of an empty array: reading offset 0 of it gives 0.
/// Never written, never freed.
private nonisolated(unsafe) let emptyBuffer: UnsafeRawPointer = {
  let block = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 64)
  block.initializeMemory(as: UInt8.self, repeating: 0, count: 64)
  return UnsafeRawPointer(block)
}()

/// A bound, far beyond what memory can hold, that keeps sums of lengths and offsets from overflowing, whatever a producer
/// writes into them.
enum ArrowExtent {
  private static let limit: Int64 = 1 << 48

  static func isSound(_ array: ArrowArray) -> Bool {
    (0..<limit).contains(array.length) && (0..<limit).contains(array.offset)
  }
}

/// How the buffers of a column are laid out.
enum BufferKind {
  case none, bits, fixed, offsets32, offsets64, views, nested

  /// Buffers an array of this kind has; at least, for views.
  var bufferCount: Int {
    switch self {
    case .none: 0
    case .nested: 1
    case .bits, .fixed: 2
    case .offsets32, .offsets64, .views: 3
    }
  }
}

extension martlet_column {
  /// The layout, and whether the offsets (if any) point into `data` or into a child.
  var bufferKind: BufferKind {
    switch martlet_type(UInt32(type)) {
    case MARTLET_TYPE_NULL: .none
    case MARTLET_TYPE_BOOL: .bits
    case MARTLET_TYPE_UTF8, MARTLET_TYPE_BINARY, MARTLET_TYPE_LIST, MARTLET_TYPE_MAP: .offsets32
    case MARTLET_TYPE_LARGE_UTF8, MARTLET_TYPE_LARGE_BINARY, MARTLET_TYPE_LARGE_LIST: .offsets64
    case MARTLET_TYPE_UTF8_VIEW, MARTLET_TYPE_BINARY_VIEW: .views
    case MARTLET_TYPE_STRUCT, MARTLET_TYPE_FIXED_LIST: .nested
    default: .fixed
    }
  }

  /// The children of this node, to be written while a batch is being built.
  private func child(_ position: Int) -> UnsafeMutablePointer<martlet_column> {
    UnsafeMutablePointer(mutating: children + position)
  }

  private func malformed(_ what: String) -> EngineError {
    EngineError(
      .schemaMismatch,
      "column '\(String(cString: name))' (\(String(cString: type_name))): \(what); the Arrow array does not fit its schema"
    )
  }

  /// Fills in rows `[parentOffset, parentOffset + rows)` of `source`; they become rows 0 ..< `rows` of this column.
  mutating func resolve(_ source: UnsafePointer<ArrowArray>, parentOffset: Int, rows: Int) throws(EngineError) {
    let array = source.pointee
    guard array.release != nil else { throw malformed("its Arrow array was released or moved") }
    guard ArrowExtent.isSound(array) else {
      throw malformed("its length \(array.length) or offset \(array.offset) is negative or out of bounds")
    }
    let (end, overflow) = parentOffset.addingReportingOverflow(rows)
    guard !overflow, array.length >= Int64(end) else {
      throw malformed("it has \(array.length) rows where \(rows) are needed from row \(parentOffset) on")
    }
    let kind = bufferKind
    let isList = kind == .offsets32 && n_children == 1 || kind == .offsets64 && n_children == 1
    let needed = kind.bufferCount - (isList ? 1 : 0)
    guard kind == .views ? array.n_buffers >= needed : array.n_buffers == needed, needed == 0 || array.buffers != nil
    else {
      throw malformed("it has \(array.n_buffers) buffers, not \(needed)")
    }
    guard array.n_children == n_children, n_children == 0 || array.children != nil else {
      throw malformed("it has \(array.n_children) children, not \(n_children)")
    }
    length = Int64(rows)
    offset = array.offset + Int64(parentOffset)
    guard !(offset + length).multipliedReportingOverflow(by: Int64(max(1, width))).overflow else {
      throw malformed("\(length) rows from \(offset) on are out of bounds")
    }
    try resolveBuffers(array, kind, isList)
    try resolveNulls(array, kind)
    try resolveChildren(array, isList)
  }

  private mutating func resolveBuffers(_ array: ArrowArray, _ kind: BufferKind, _ isList: Bool) throws(EngineError) {
    guard kind != .none else { return }
    validity = array.buffers[0].map { $0.assumingMemoryBound(to: UInt8.self) }
    guard kind != .nested else { return }
    values = array.buffers[1]
    if values == nil {
      let hasBytes = kind != .fixed || width > 0
      guard length == 0 || !hasBytes else { throw malformed("its values buffer is missing") }
      // Nothing is there at the array's offset: start over at 0 of the stand-in.
      values = emptyBuffer
      if length == 0 {
        offset = 0
        validity = nil
      }
    }
    switch kind {
    case .views:
      n_variadic = array.n_buffers - 3
      variadic = UnsafeRawPointer(array.buffers + 2).assumingMemoryBound(to: UnsafePointer<UInt8>?.self)
    case .offsets32, .offsets64:
      let (first, last) = offsetBounds
      guard first >= 0, last >= first else { throw malformed("its offsets run from \(first) to \(last)") }
      guard !isList else { return }
      data = array.buffers[2].map { $0.assumingMemoryBound(to: UInt8.self) }
      if data == nil {
        guard first == last else { throw malformed("its data buffer is missing") }
        data = emptyBuffer.assumingMemoryBound(to: UInt8.self)
      }
    case .none, .bits, .fixed, .nested: break
    }
  }

  /// The first and the last offset of the rows.
  private var offsetBounds: (Int, Int) {
    let (start, end) = (Int(offset), Int(offset + length))
    if bufferKind == .offsets64 {
      let offsets = values.assumingMemoryBound(to: Int64.self)
      return (Int(offsets[start]), length == 0 ? Int(offsets[start]) : Int(offsets[end]))
    }
    let offsets = values.assumingMemoryBound(to: Int32.self)
    return (Int(offsets[start]), length == 0 ? Int(offsets[start]) : Int(offsets[end]))
  }

  private mutating func resolveNulls(_ array: ArrowArray, _ kind: BufferKind) throws(EngineError) {
    if kind == .none {
      null_count = length
    } else if array.null_count == 0 || validity == nil || length == 0 {
      null_count = 0
      validity = nil
    } else if array.null_count > 0 && array.length == length && array.null_count <= length {
      null_count = array.null_count
    } else {
      countNulls()
    }
  }

  private mutating func countNulls() {
    guard let validity else { return }
    null_count = length - Int64(Bitmap.popcount(validity, from: Int(offset), count: Int(length)))
    if null_count == 0 { self.validity = nil }
  }

  private mutating func resolveChildren(_ array: ArrowArray, _ isList: Bool) throws(EngineError) {
    for position in 0..<Int(n_children) {
      guard let source = array.children[position] else { throw malformed("child \(position) is missing") }
      switch martlet_type(UInt32(type)) {
      case MARTLET_TYPE_STRUCT:
        try child(position).pointee.resolve(source, parentOffset: Int(offset), rows: Int(length))
      case MARTLET_TYPE_FIXED_LIST:
        let items = Int(width)
        try child(position).pointee.resolve(source, parentOffset: Int(offset) * items, rows: Int(length) * items)
      default:
        try child(position).pointee.resolve(source, parentOffset: 0, rows: Int(max(0, source.pointee.length)))
        let last = offsetBounds.1
        guard last <= child(position).pointee.length else {
          throw malformed("its offsets reach item \(last) of \(child(position).pointee.length)")
        }
      }
    }
    if let node = dictionary {
      guard let source = array.dictionary else { throw malformed("its dictionary is missing") }
      try UnsafeMutablePointer(mutating: node).pointee.resolve(
        source, parentOffset: 0, rows: Int(max(0, source.pointee.length)))
    }
  }

  /// Shares the buffers of rows `[start, start + count)` of `source`, a column of the same shape.
  mutating func takeBuffers(_ source: martlet_column, _ start: Int, _ count: Int) {
    offset = source.offset + Int64(start)
    length = Int64(count)
    validity = source.validity
    values = source.values
    data = source.data
    variadic = source.variadic
    n_variadic = source.n_variadic
    if bufferKind == .none {
      null_count = length
    } else if source.null_count == 0 || length == source.length {
      null_count = source.null_count
    } else {
      countNulls()
    }
    for position in 0..<Int(n_children) {
      let from = source.children[position]
      switch martlet_type(UInt32(type)) {
      case MARTLET_TYPE_STRUCT: child(position).pointee.takeBuffers(from, start, count)
      case MARTLET_TYPE_FIXED_LIST: child(position).pointee.takeBuffers(from, start * Int(width), count * Int(width))
      default: child(position).pointee.takeBuffers(from, 0, Int(from.length))
      }
    }
    if let node = dictionary, let from = source.dictionary {
      UnsafeMutablePointer(mutating: node).pointee.takeBuffers(from.pointee, 0, Int(from.pointee.length))
    }
  }
}
