import CMartlet

@testable import Martlet

/// A cell as plain data: what columns are compared by.
indirect enum Value: Hashable {
  case null
  case int(Int64)
  case double(Double)
  case bytes([UInt8])
  /// Items of a list, fields of a struct; a map is a list of structs.
  case nested([Value])

  static func text(_ text: String) -> Value { .bytes(Array(text.utf8)) }
}

/// Counts the releases of arrays made by hand.
final class Tally {
  var made = 0
  var released = 0
}

/// Arrow arrays written out naively from values, by the book and not by the builders under test.
struct ArrowFixture {
  let tally: Tally

  /// `values`, behind `lead` other cells that an offset skips.
  func array(_ type: DataType, _ values: [Value], lead: [Value] = []) -> ArrowArray {
    let cells = lead + values
    let node = Node(tally)
    if type != .null { node.buffers.append(bitmap(cells.map { $0 != .null })) }
    switch type {
    case .null: break
    case .bool: node.buffers.append(bitmap(cells.map { $0 == .int(1) }))
    case .utf8, .binary:
      node.addOffsets(cells.map(\.byteCount), as: Int32.self); node.buffers.append(bytes(cells.flatMap(\.asBytes)))
    case .largeUtf8, .largeBinary:
      node.addOffsets(cells.map(\.byteCount), as: Int64.self); node.buffers.append(bytes(cells.flatMap(\.asBytes)))
    case .utf8View, .binaryView: addViews(node, cells)
    case .list(let item), .map(let item, _):
      node.addOffsets(cells.map { $0.items.count }, as: Int32.self)
      node.children.append(array(item.type, cells.flatMap(\.items)))
    case .largeList(let item):
      node.addOffsets(cells.map { $0.items.count }, as: Int64.self)
      node.children.append(array(item.type, cells.flatMap(\.items)))
    case .fixedSizeList(let item, let width):
      let items = cells.flatMap { $0 == .null ? Array(repeating: Value.null, count: width) : $0.items }
      node.children.append(array(item.type, items, lead: width == 0 ? [] : [.null]))
    // A child with an offset of its own.
    case .structure(let fields):
      for (position, field) in fields.enumerated() {
        node.children.append(
          array(field.type, cells.map { $0 == .null ? .null : $0.items[position] }, lead: position == 0 ? [.null] : []))
      }
    case .dictionary(let index, let value, _):
      // Values that no cell uses, and duplicates, are legal.
      var entries: [Value] = cells.filter { $0 != .null }.reversed()
      if let first = entries.first { entries.append(first) }
      let positions = cells.map { cell in entries.firstIndex(of: cell).map { Value.int(Int64($0)) } ?? .int(0) }
      node.buffers.append(bytes(positions.flatMap { $0.stored(as: index) }))
      node.dictionary = array(value, entries, lead: entries.isEmpty ? [] : [entries[0]])
    default: node.buffers.append(bytes(cells.flatMap { $0.stored(as: type) }))
    }
    return node.finish(length: values.count, offset: lead.count, nullCount: -1)
  }

  /// A record batch as a struct array with an offset.
  func batch(_ fields: [Field], _ rows: [[Value]], lead: [[Value]] = []) throws -> RecordBatch {
    var array = array(.structure(fields), rows.map { .nested($0) }, lead: lead.map { .nested($0) })
    return try RecordBatch(moving: &array, schema: Schema(fields))
  }

  private func addViews(_ node: Node, _ cells: [Value]) {
    var views: [UInt8] = []
    // Two data buffers, used in turn.
    var data: [[UInt8]] = [[9], [8, 8]]
    for (position, cell) in cells.enumerated() {
      let text = cell.asBytes
      views += Self.raw(Int32(text.count))
      if text.count <= 12 {
        views += text + Array(repeating: 0, count: 12 - text.count)
      } else {
        let buffer = position % 2
        views += text.prefix(4) + Self.raw(Int32(buffer)) + Self.raw(Int32(data[buffer].count))
        data[buffer] += text
      }
    }
    node.buffers.append(bytes(views))
    for buffer in data { node.buffers.append(bytes(buffer)) }
    node.buffers.append(bytes(data.flatMap { Self.raw(Int64($0.count)) }))
  }

  static func raw<T: BitwiseCopyable>(_ value: T) -> [UInt8] { withUnsafeBytes(of: value) { Array($0) } }

  private func bytes(_ bytes: [UInt8]) -> UnsafeMutableRawPointer { Node.copy(bytes) }

  private func bitmap(_ bits: [Bool]) -> UnsafeMutableRawPointer {
    var packed = Array(repeating: UInt8(0), count: (bits.count + 7) / 8)
    for (position, bit) in bits.enumerated() where bit { packed[position / 8] |= 1 << UInt8(position % 8) }
    return Node.copy(packed)
  }

  /// One array with its own blocks, to be changed by tests of malformed input before it is finished.
  final class Node {
    var buffers: [UnsafeMutableRawPointer?] = []
    var children: [ArrowArray] = []
    var dictionary: ArrowArray?
    private let tally: Tally
    private var blocks: UnsafeMutablePointer<UnsafeRawPointer?>?
    private var nodes: [UnsafeMutablePointer<ArrowArray>] = []
    private var list: UnsafeMutablePointer<UnsafeMutablePointer<ArrowArray>?>?

    init(_ tally: Tally) { self.tally = tally }

    static func copy(_ bytes: [UInt8]) -> UnsafeMutableRawPointer {
      let block = UnsafeMutableRawPointer.allocate(byteCount: max(1, bytes.count), alignment: 64)
      bytes.withUnsafeBytes { if let base = $0.baseAddress { block.copyMemory(from: base, byteCount: bytes.count) } }
      return block
    }

    func addOffsets<T: FixedWidthInteger & BitwiseCopyable>(_ lengths: [Int], as: T.Type) {
      var offsets: [T] = [0]
      for length in lengths { offsets.append(offsets.last! + T(length)) }
      buffers.append(Self.copy(offsets.flatMap { ArrowFixture.raw($0) }))
    }

    func finish(length: Int, offset: Int, nullCount: Int) -> ArrowArray {
      tally.made += 1
      blocks = .allocate(capacity: max(1, buffers.count))
      for (position, buffer) in buffers.enumerated() { (blocks! + position).initialize(to: UnsafeRawPointer(buffer)) }
      list = .allocate(capacity: max(1, children.count))
      for (position, child) in children.enumerated() {
        let node = UnsafeMutablePointer<ArrowArray>.allocate(capacity: 1)
        node.initialize(to: child)
        nodes.append(node)
        (list! + position).initialize(to: node)
      }
      var dictionaryNode: UnsafeMutablePointer<ArrowArray>?
      if let dictionary {
        dictionaryNode = .allocate(capacity: 1)
        dictionaryNode!.initialize(to: dictionary)
        nodes.append(dictionaryNode!)
      }
      return ArrowArray(
        length: Int64(length), null_count: Int64(nullCount), offset: Int64(offset), n_buffers: Int64(buffers.count),
        n_children: Int64(children.count),
        buffers: blocks, children: list, dictionary: dictionaryNode,
        release: { array in
          let node = Unmanaged<Node>.fromOpaque(array!.pointee.private_data).takeRetainedValue()
          array!.pointee.release = nil
          node.free()
        }, private_data: Unmanaged.passRetained(self).toOpaque())
    }

    private func free() {
      tally.released += 1
      for node in nodes {
        node.pointee.release?(node)
        node.deallocate()
      }
      for buffer in buffers { buffer?.deallocate() }
      blocks?.deallocate()
      list?.deallocate()
    }
  }
}

extension Value {
  var asBytes: [UInt8] { if case .bytes(let bytes) = self { bytes } else { [] } }
  var byteCount: Int { asBytes.count }
  var items: [Value] { if case .nested(let items) = self { items } else { [] } }

  /// The element as a fixed-width type stores it.
  func stored(as type: DataType) -> [UInt8] {
    switch self {
    case .int(let value): Array(ArrowFixture.raw(value).prefix(type.byteWidth))
    case .double(let value):
      switch type {
      case .float16: ArrowFixture.raw(Float16(value))
      case .float32: ArrowFixture.raw(Float(value))
      default: ArrowFixture.raw(value)
      }
    case .bytes(let bytes): bytes
    case .null, .nested: Array(repeating: 0xEE, count: type.byteWidth)
    }
  }

  /// Reads a cell of a resolved column.
  init(_ column: martlet_column, _ type: DataType, _ row: Int) {
    if column.isNull(row) {
      self = .null
      return
    }
    let element = Int(column.offset) + row
    func items(_ item: Field, _ range: Range<Int>) -> Value {
      .nested(range.map { Value(column.children[0], item.type, $0) })
    }
    switch type {
    case .null: self = .null
    case .utf8, .largeUtf8, .utf8View, .binary, .largeBinary, .binaryView, .fixedSizeBinary, .decimal128, .decimal256,
      .interval:
      self = .bytes(Array(column.bytes(row)))
    case .float16, .float32, .float64: self = .double(column.double(row))
    case .list(let item), .map(let item, _):
      let offsets = column.values.assumingMemoryBound(to: Int32.self) + element
      self = items(item, Int(offsets[0])..<Int(offsets[1]))
    case .largeList(let item):
      let offsets = column.values.assumingMemoryBound(to: Int64.self) + element
      self = items(item, Int(offsets[0])..<Int(offsets[1]))
    case .fixedSizeList(let item, let width): self = items(item, (row * width)..<((row + 1) * width))
    case .structure(let fields): self = .nested(fields.indices.map { Value(column.children[$0], fields[$0].type, row) })
    case .dictionary(_, let value, _): self = Value(column.dictionary.pointee, value, column.index(row))
    default: self = .int(column.int64(row))
    }
  }
}

extension EngineError? {
  /// Whether there is an error with that text in its message.
  func says(_ text: String) -> Bool { self?.message.contains(text) ?? false }
}

extension RecordBatch {
  /// All cells, row by row.
  var rows: [[Value]] {
    (0..<numRows).map { row in schema.fields.indices.map { Value(columns[$0], schema.fields[$0].type, row) } }
  }

  /// Exported and imported again.
  func exported(_ offset: Int, _ count: Int) throws -> RecordBatch {
    var array = ArrowArray()
    var exportedSchema = ArrowSchema()
    try export(offset: offset, length: count, into: &array)
    schema.export(into: &exportedSchema)
    return try RecordBatch.importing(array: &array, schema: &exportedSchema)
  }
}

extension ColumnBuilder {
  /// Appends a value by the calls for single cells.
  func append(_ value: Value) throws {
    if value == .null { return try appendNull() }
    switch (field.type.valueType, value) {
    case (.bool, .int(let value)): try append(bool: value != 0)
    case (.uint64, .int(let value)): try append(uint64: UInt64(bitPattern: value))
    case (_, .int(let value)): try append(int64: value)
    case (_, .double(let value)): try append(double: value)
    case (_, .bytes(let bytes)):
      try bytes.withUnsafeBytes { bytes in try append(bytes: bytes) }
    case (.structure, .nested(let items)):
      for (position, item) in items.enumerated() { try child(position)!.append(item) }
      try endNested()
    case (_, .nested(let items)):
      for item in items { try child(0)!.append(item) }
      try endNested()
    case (_, .null): break
    }
  }
}
