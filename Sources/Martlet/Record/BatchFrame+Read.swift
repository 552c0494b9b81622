import CMartlet

// Reading a frame, without copying it.

/// A frame in memory. `owner` keeps the memory; a batch made from the frame holds on to it for as long as anything shares its
/// buffers.
///
/// Whatever the words of a frame say, no buffer reaches beyond it: a frame that is cut or scrambled is an error. What the cells
/// say (the offsets between the first and the last, views, indices into a dictionary) is taken as it is, as from any Arrow array.
struct ReceivedFrame {
  let bytes: UnsafeRawBufferPointer
  let owner: AnyObject

  /// The rows as a batch of `schema`. `dictionaries` gives those that are not in the frame, each as a batch of one column.
  func batch(
    _ schema: Schema, dictionaries: @escaping (Int64) -> RecordBatch? = { _ in nil }
  ) throws(EngineError) -> RecordBatch {
    guard bytes.count >= 32, UInt(bitPattern: bytes.baseAddress) % 8 == 0, word(0) == BatchFrame.magic,
      word(1) >= 32, word(1) <= bytes.count, word(2) >= 32, word(2) <= word(1), word(2) % 64 == 0, word(3) >= 0,
      word(3) <= Int32.max
    else { throw Self.malformed("its head is damaged") }
    var reading = Reading(frame: self, dictionaries: dictionaries)
    let columns = schema.columnLayout.columns
    let root = ExportedArray(nil, buffers: 1, children: columns.count)
    var array = ArrowArray()
    var failure: EngineError?
    do throws(EngineError) {
      for (position, column) in columns.enumerated() {
        try reading.node(column, rows: Int(word(3)), into: root.children[position]!)
      }
    } catch { failure = error }
    root.fill(&array, length: Int(word(3)))
    if let failure {
      array.release(&array)
      throw failure
    }
    return try RecordBatch(moving: &array, schema: schema)
  }

  fileprivate func word(_ position: Int) -> Int64 {
    bytes.loadUnaligned(fromByteOffset: position * 8, as: Int64.self)
  }

  static func malformed(_ what: String) -> EngineError {
    EngineError(.internalError, "a frame of records cannot be read: \(what)")
  }
}

private struct Reading {
  let frame: ReceivedFrame
  let dictionaries: (Int64) -> RecordBatch?
  private var next = 4
  private let words: Int
  private let body: UnsafeRawBufferPointer

  init(frame: ReceivedFrame, dictionaries: @escaping (Int64) -> RecordBatch?) {
    self.frame = frame
    self.dictionaries = dictionaries
    words = Int(frame.word(2)) / 8
    body = UnsafeRawBufferPointer(rebasing: frame.bytes[Int(frame.word(2))..<Int(frame.word(1))])
  }

  private mutating func word() throws(EngineError) -> Int {
    guard next < words else { throw ReceivedFrame.malformed("it has too few entries") }
    defer { next += 1 }
    return Int(frame.word(next))
  }

  /// A buffer of at least `needed` bytes; nil for one that is left out.
  private mutating func buffer(_ needed: Int) throws(EngineError) -> UnsafeRawBufferPointer? {
    let begin = try word()
    let count = try word()
    guard begin >= 0, count >= 0, begin % 64 == 0, begin <= body.count, count <= body.count - begin else {
      throw ReceivedFrame.malformed("a buffer of \(count) bytes at \(begin) is outside of its \(body.count) bytes")
    }
    guard count >= needed else {
      throw ReceivedFrame.malformed("a buffer has \(count) bytes, not the \(needed) that its rows need")
    }
    return count == 0 ? nil : UnsafeRawBufferPointer(rebasing: body[begin..<(begin + count)])
  }

  /// Reads one column. `rows`: how many it must have; nil if that is for the column above it to judge.
  mutating func node(
    _ column: martlet_column, rows: Int?, into array: UnsafeMutablePointer<ArrowArray>
  ) throws(EngineError) {
    let kind = column.bufferKind
    let isList = column.n_children == 1 && (kind == .offsets32 || kind == .offsets64)
    let length = try word()
    let nulls = try word()
    let bufferCount = try word()
    let least = kind.bufferCount - (isList ? 1 : 0)
    guard length >= 0, length < 1 << 48, nulls >= 0, nulls <= length, rows == nil || rows == length,
      kind == .views ? bufferCount >= least && bufferCount < words : bufferCount == least
    else { throw ReceivedFrame.malformed("an entry of \(length) rows, \(nulls) nulls and \(bufferCount) buffers") }
    let node = ExportedArray(frame.owner, buffers: bufferCount, children: Int(column.n_children))
    var failure: EngineError?
    do throws(EngineError) { try fill(node, column, kind, isList, length, nulls) } catch { failure = error }
    // Also after a failure: what the node has of children is released with it.
    node.fill(array, length: length, nullCount: Int64(kind == .none ? length : nulls))
    if let failure { throw failure }
  }

  private mutating func fill(
    _ node: ExportedArray, _ column: martlet_column, _ kind: BufferKind, _ isList: Bool, _ length: Int, _ nulls: Int
  ) throws(EngineError) {
    if kind != .none { node.buffers[0] = try buffer(nulls == 0 ? 0 : Bitmap.byteCount(length))?.baseAddress }
    switch kind {
    case .none, .nested: break
    case .bits: node.buffers[1] = try buffer(Bitmap.byteCount(length))?.baseAddress
    case .fixed:
      let (bytes, overflow) = length.multipliedReportingOverflow(by: Int(column.width))
      guard !overflow else { throw ReceivedFrame.malformed("\(length) rows of \(column.width) bytes") }
      node.buffers[1] = try buffer(bytes)?.baseAddress
    case .offsets32: try fillOffsets(node, Int32.self, isList, length)
    case .offsets64: try fillOffsets(node, Int64.self, isList, length)
    case .views:
      node.buffers[1] = try buffer(length * 16)?.baseAddress
      for position in 2..<node.buffers.count { node.buffers[position] = try buffer(0)?.baseAddress }
    }
    let inner: Int? =
      switch martlet_type(UInt32(column.type)) {
      case MARTLET_TYPE_STRUCT: length
      case MARTLET_TYPE_FIXED_LIST: length * Int(column.width)
      default: nil
      }
    for position in 0..<Int(column.n_children) {
      try self.node(column.children[position], rows: inner, into: node.children[position]!)
    }
    guard let dictionary = column.dictionary else { return }
    let number = try word()
    if number < 0 {
      try self.node(dictionary.pointee, rows: nil, into: node.makeDictionary())
    } else if let known = dictionaries(Int64(number)), known.columns.count == 1,
      known.columns[0].hasType(of: dictionary.pointee)
    {
      known.columns[0].export(0, known.numRows, known, into: node.makeDictionary())
    } else {
      throw ReceivedFrame.malformed(
        "column '\(String(cString: column.name))' needs dictionary \(number), which did not come")
    }
  }

  private mutating func fillOffsets<Offset: FixedWidthInteger & BitwiseCopyable>(
    _ node: ExportedArray, _: Offset.Type, _ isList: Bool, _ length: Int
  ) throws(EngineError) {
    let size = MemoryLayout<Offset>.size
    let offsets = try buffer(length == 0 ? 0 : (length + 1) * size)
    node.buffers[1] = offsets?.baseAddress
    guard !isList else { return }
    let data = try buffer(0)
    node.buffers[2] = data?.baseAddress
    guard let offsets, length > 0 else { return }
    let last = offsets.loadUnaligned(fromByteOffset: length * size, as: Offset.self)
    guard offsets.loadUnaligned(as: Offset.self) == 0, last >= 0, Int(last) <= data?.count ?? 0 else {
      throw ReceivedFrame.malformed("offsets reach byte \(last) of \(data?.count ?? 0)")
    }
  }
}
