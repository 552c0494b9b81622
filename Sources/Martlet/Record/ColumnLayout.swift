import CMartlet

/// The part of `martlet_column` that every batch of a schema shares: types, names, nesting.
///
/// A layout is built once per schema. A batch copies its trees and fills in the buffers, so that importing a batch allocates
/// one block and no strings; builders hand the trees out as their field descriptions.
///
/// All trees lie in one block: the columns first, then each node's children side by side.
///
/// `@unchecked Sendable`: nothing changes after `init`.
final class ColumnLayout: @unchecked Sendable {
  private let block: UnsafeMutableBufferPointer<martlet_column>
  private var strings: [UnsafeMutablePointer<CChar>] = []
  private let width: Int

  var columns: UnsafeBufferPointer<martlet_column> { UnsafeBufferPointer(rebasing: block[0..<width]) }
  /// Nodes in all the trees.
  var nodeCount: Int { block.count }

  init(_ fields: [Field]) {
    width = fields.count
    block = .allocate(capacity: fields.reduce(0) { $0 + $1.type.nodeCount })
    block.initialize(repeating: martlet_column())
    var next = fields.count
    for (position, field) in fields.enumerated() { fill(position, field, &next) }
  }

  deinit {
    for string in strings { string.deallocate() }
    block.deallocate()
  }

  private func fill(_ position: Int, _ field: Field, _ next: inout Int) {
    var column = martlet_column()
    column.name = intern(field.name)
    column.format = intern(field.type.format)
    column.type_name = intern(field.type.description)
    column.nullable = field.isNullable ? 1 : 0
    column.describe(field.type)
    if case .timestamp(_, let timezone?) = field.type { column.timezone = intern(timezone) }
    let children = field.type.children
    if !children.isEmpty {
      let first = next
      next += children.count
      column.children = UnsafePointer(block.baseAddress! + first)
      column.n_children = Int64(children.count)
      for (offset, child) in children.enumerated() { fill(first + offset, child, &next) }
    }
    if case .dictionary(_, let value, _) = field.type {
      let first = next
      next += 1
      column.dictionary = UnsafePointer(block.baseAddress! + first)
      fill(first, Field(field.name, value), &next)
    }
    block[position] = column
  }

  private func intern(_ text: String) -> UnsafePointer<CChar> {
    let copy = CString.copy(text)
    strings.append(copy)
    return UnsafePointer(copy)
  }
}

extension DataType {
  fileprivate var nodeCount: Int {
    var count = 1 + children.reduce(0) { $0 + $1.type.nodeCount }
    if case .dictionary(_, let value, _) = self { count += value.nodeCount }
    return count
  }
}

extension martlet_column {
  /// Sets type, unit, width, precision and scale.
  fileprivate mutating func describe(_ dataType: DataType) {
    width = Int32(dataType.byteWidth)
    switch dataType {
    case .null: type = Int32(MARTLET_TYPE_NULL.rawValue)
    case .bool: type = Int32(MARTLET_TYPE_BOOL.rawValue)
    case .int8: type = Int32(MARTLET_TYPE_INT8.rawValue)
    case .int16: type = Int32(MARTLET_TYPE_INT16.rawValue)
    case .int32: type = Int32(MARTLET_TYPE_INT32.rawValue)
    case .int64: type = Int32(MARTLET_TYPE_INT64.rawValue)
    case .uint8: type = Int32(MARTLET_TYPE_UINT8.rawValue)
    case .uint16: type = Int32(MARTLET_TYPE_UINT16.rawValue)
    case .uint32: type = Int32(MARTLET_TYPE_UINT32.rawValue)
    case .uint64: type = Int32(MARTLET_TYPE_UINT64.rawValue)
    case .float16: type = Int32(MARTLET_TYPE_FLOAT16.rawValue)
    case .float32: type = Int32(MARTLET_TYPE_FLOAT32.rawValue)
    case .float64: type = Int32(MARTLET_TYPE_FLOAT64.rawValue)
    case .utf8: type = Int32(MARTLET_TYPE_UTF8.rawValue)
    case .largeUtf8: type = Int32(MARTLET_TYPE_LARGE_UTF8.rawValue)
    case .utf8View: type = Int32(MARTLET_TYPE_UTF8_VIEW.rawValue)
    case .binary: type = Int32(MARTLET_TYPE_BINARY.rawValue)
    case .largeBinary: type = Int32(MARTLET_TYPE_LARGE_BINARY.rawValue)
    case .binaryView: type = Int32(MARTLET_TYPE_BINARY_VIEW.rawValue)
    case .fixedSizeBinary: type = Int32(MARTLET_TYPE_FIXED_BINARY.rawValue)
    case .date32: type = Int32(MARTLET_TYPE_DATE32.rawValue)
    case .date64: type = Int32(MARTLET_TYPE_DATE64.rawValue)
    case .time32(let unit):
      type = Int32(MARTLET_TYPE_TIME32.rawValue)
      self.unit = unit.code
    case .time64(let unit):
      type = Int32(MARTLET_TYPE_TIME64.rawValue)
      self.unit = unit.code
    case .timestamp(let unit, _):
      type = Int32(MARTLET_TYPE_TIMESTAMP.rawValue)
      self.unit = unit.code
    case .duration(let unit):
      type = Int32(MARTLET_TYPE_DURATION.rawValue)
      self.unit = unit.code
    case .interval(.months): type = Int32(MARTLET_TYPE_INTERVAL_MONTHS.rawValue)
    case .interval(.dayTime): type = Int32(MARTLET_TYPE_INTERVAL_DAY_TIME.rawValue)
    case .interval(.monthDayNano): type = Int32(MARTLET_TYPE_INTERVAL_MONTH_DAY_NANO.rawValue)
    case .decimal128(let precision, let scale):
      type = Int32(MARTLET_TYPE_DECIMAL128.rawValue)
      (self.precision, self.scale) = (Int32(precision), Int32(scale))
    case .decimal256(let precision, let scale):
      type = Int32(MARTLET_TYPE_DECIMAL256.rawValue)
      (self.precision, self.scale) = (Int32(precision), Int32(scale))
    case .list: type = Int32(MARTLET_TYPE_LIST.rawValue)
    case .largeList: type = Int32(MARTLET_TYPE_LARGE_LIST.rawValue)
    case .fixedSizeList(_, let items):
      type = Int32(MARTLET_TYPE_FIXED_LIST.rawValue)
      width = Int32(items)
    case .structure: type = Int32(MARTLET_TYPE_STRUCT.rawValue)
    case .map: type = Int32(MARTLET_TYPE_MAP.rawValue)
    case .dictionary(let index, _, _): describe(index)
    }
  }
}

extension TimeUnit {
  fileprivate var code: Int32 {
    switch self {
    case .second: Int32(MARTLET_UNIT_SECOND.rawValue)
    case .milli: Int32(MARTLET_UNIT_MILLI.rawValue)
    case .micro: Int32(MARTLET_UNIT_MICRO.rawValue)
    case .nano: Int32(MARTLET_UNIT_NANO.rawValue)
    }
  }
}

enum CString {
  /// A NUL-terminated copy, to be deallocated by the caller.
  static func copy(_ text: String) -> UnsafeMutablePointer<CChar> {
    let bytes = text.utf8
    let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count + 1)
    var end = copy
    for byte in bytes {
      end.initialize(to: CChar(bitPattern: byte))
      end += 1
    }
    end.initialize(to: 0)
    return copy
  }
}
