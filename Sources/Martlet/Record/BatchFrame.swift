import CMartlet

// A frame is a range of a batch's rows as one block of memory that another process, or this one later, uses where it lies.
//
//     word 0   "MFrame01"
//     word 1   bytes in all
//     word 2   where the body begins, a multiple of 64
//     word 3   rows
//     word 4…  one entry per column, its children and its dictionary behind it:
//              length · nulls · buffers · (begin in the body, bytes) for each · number of the dictionary, if it has one
//     body     buffers, each at a multiple of 64, as Arrow lays them out, with offset 0
//
// Words are int64 in the order of the machine: a frame never leaves it. Only the cells of the rows are in a frame, whatever their
// batch was cut from: offsets start at 0, views and the bytes they show are packed. A dictionary is in the frame, behind its
// column (number -1), or was sent before in a frame of its own that has a number.

/// Where dictionaries go that are not to be repeated in every frame.
protocol FrameDictionaries: AnyObject {
  /// The number of a dictionary that the reader has, or will have before it reads this frame; nil puts it into the frame.
  /// `place` is the position of its column among all columns of the schema and their children, each column before its children;
  /// `batch` owns the buffers.
  func number(of dictionary: martlet_column, place: Int, in batch: RecordBatch) -> Int64?
}

/// What is to be copied to where: a frame that is measured but not written.
struct BatchFrame {
  static let magic = Int64(bitPattern: 0x3130_656D_6172_464D)
  static let alignment = 64

  private var words: [Int64]
  private var copies: [FrameCopy] = []
  private var bodyBytes = 0
  private var place = 0
  private let batch: RecordBatch

  /// Rows `range` of `batch`, which is kept until the frame is written.
  init(_ batch: RecordBatch, rows range: Range<Int>, dictionaries: (any FrameDictionaries)? = nil) {
    precondition(range.lowerBound >= 0 && range.upperBound <= batch.numRows, "rows \(range) of \(batch.numRows)")
    self.batch = batch
    words = [BatchFrame.magic, 0, 0, Int64(range.count)]
    for column in batch.columns { add(column, range.lowerBound, range.count, dictionaries) }
    words[2] = Int64(Self.aligned(words.count * 8))
    words[1] = words[2] + Int64(bodyBytes)
  }

  /// A dictionary as a frame of one column; what it has of dictionaries itself is in the frame.
  init(dictionary: martlet_column, in batch: RecordBatch) {
    self.batch = batch
    words = [BatchFrame.magic, 0, 0, dictionary.length]
    add(dictionary, 0, Int(dictionary.length), nil)
    words[2] = Int64(Self.aligned(words.count * 8))
    words[1] = words[2] + Int64(bodyBytes)
  }

  /// The size of the frame.
  var byteCount: Int { Int(words[1]) }

  /// Writes the frame to `target`, which has room for `byteCount` bytes and lies at a multiple of 64.
  func write(to target: UnsafeMutableRawPointer) {
    words.withUnsafeBytes { target.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    let body = target + Int(words[2])
    for copy in copies { copy.run(into: body) }
  }

  static func aligned(_ count: Int) -> Int { (count + alignment - 1) & ~(alignment - 1) }

  // MARK: - Measuring

  private mutating func reserve(_ bytes: Int) -> Int {
    let at = bodyBytes
    bodyBytes = Self.aligned(at + bytes)
    words.append(Int64(at))
    words.append(Int64(bytes))
    return at
  }

  private mutating func add(
    _ column: martlet_column, _ start: Int, _ count: Int, _ dictionaries: (any FrameDictionaries)?
  ) {
    let kind = column.bufferKind
    let isList = column.n_children == 1 && (kind == .offsets32 || kind == .offsets64)
    let from = Int(column.offset) + start
    let nulls = column.nulls(start, count)
    let here = place
    place += 1
    words.append(Int64(count))
    words.append(Int64(nulls))
    let bufferWord = words.count
    words.append(Int64(kind.bufferCount - (isList ? 1 : 0)))
    if kind != .none {
      let bytes = nulls == 0 ? 0 : Bitmap.byteCount(count)
      let at = reserve(bytes)
      if nulls > 0, let validity = column.validity { copies.append(.bits(validity, from: from, count: count, at: at)) }
    }
    var items = start..<(start + count)
    switch kind {
    case .none, .nested: break
    case .bits:
      let at = reserve(Bitmap.byteCount(count))
      if count > 0 {
        copies.append(.bits(column.values.assumingMemoryBound(to: UInt8.self), from: from, count: count, at: at))
      }
    case .fixed:
      let width = Int(column.width)
      let at = reserve(count * width)
      if count * width > 0 { copies.append(.bytes(column.values + from * width, count: count * width, at: at)) }
    case .offsets32: items = addOffsets(column, Int32.self, from, count, isList) { .offsets32($0, count: $1, at: $2) }
    case .offsets64: items = addOffsets(column, Int64.self, from, count, isList) { .offsets64($0, count: $1, at: $2) }
    case .views:
      let packed = PackedViews(column, start, count)
      packed.at = reserve(count * 16)
      for bytes in packed.bufferBytes { packed.dataAt.append(reserve(bytes)) }
      packed.sizesAt = reserve(packed.bufferBytes.count * 8)
      words[bufferWord] += Int64(packed.bufferBytes.count)
      if count > 0 { copies.append(.views(packed)) }
    }
    let isFixedList = column.type == Int32(MARTLET_TYPE_FIXED_LIST.rawValue)
    if isFixedList { items = (start * Int(column.width))..<((start + count) * Int(column.width)) }
    for position in 0..<Int(column.n_children) {
      add(column.children[position], items.lowerBound, items.count, dictionaries)
    }
    guard let dictionary = column.dictionary?.pointee else { return }
    if let number = dictionaries?.number(of: dictionary, place: here, in: batch) {
      words.append(number)
    } else {
      words.append(-1)
      // Places do not depend on where dictionaries go.
      let following = place
      add(dictionary, 0, Int(dictionary.length), nil)
      place = following
    }
  }

  /// The offsets, and the bytes they point to; the range of the items they point to.
  private mutating func addOffsets<Offset: FixedWidthInteger & BitwiseCopyable>(
    _ column: martlet_column, _: Offset.Type, _ from: Int, _ count: Int, _ isList: Bool,
    _ copy: (UnsafePointer<Offset>, Int, Int) -> FrameCopy
  ) -> Range<Int> {
    guard count > 0 else {
      _ = reserve(0)
      if !isList { _ = reserve(0) }
      return 0..<0
    }
    let offsets = column.values.assumingMemoryBound(to: Offset.self) + from
    copies.append(copy(offsets, count + 1, reserve((count + 1) * MemoryLayout<Offset>.size)))
    let items = Int(offsets[0])..<max(Int(offsets[0]), Int(offsets[count]))
    if !isList {
      let at = reserve(items.count)
      if !items.isEmpty { copies.append(.bytes(column.data + items.lowerBound, count: items.count, at: at)) }
    }
    return items
  }
}

/// One step of writing a frame; positions are in its body.
private enum FrameCopy {
  case bytes(UnsafeRawPointer, count: Int, at: Int)
  case bits(UnsafePointer<UInt8>, from: Int, count: Int, at: Int)
  /// Less the first of them, so that they start at 0.
  case offsets32(UnsafePointer<Int32>, count: Int, at: Int)
  case offsets64(UnsafePointer<Int64>, count: Int, at: Int)
  case views(PackedViews)

  func run(into body: UnsafeMutableRawPointer) {
    switch self {
    case .bytes(let source, let count, let at): (body + at).copyMemory(from: source, byteCount: count)
    case .bits(let source, let from, let count, let at):
      let target = (body + at).assumingMemoryBound(to: UInt8.self)
      // The bits behind the last one are part of the buffer, and of nothing.
      target[Bitmap.byteCount(count) - 1] = 0
      Bitmap.copy(source, from: from, to: target, at: 0, count: count)
    case .offsets32(let source, let count, let at): Self.rebase(source, count, body + at)
    case .offsets64(let source, let count, let at): Self.rebase(source, count, body + at)
    case .views(let packed): packed.write(into: body)
    }
  }

  @inline(__always)
  private static func rebase<Offset: FixedWidthInteger & BitwiseCopyable>(
    _ source: UnsafePointer<Offset>, _ count: Int, _ target: UnsafeMutableRawPointer
  ) {
    let first = source[0]
    let target = target.assumingMemoryBound(to: Offset.self)
    for position in 0..<count { target[position] = source[position] &- first }
  }
}

/// Views whose bytes are brought together: those of a batch may show a few bytes of very large buffers.
private final class PackedViews {
  /// Of each data buffer; positions in one are int32.
  private(set) var bufferBytes: [Int] = []
  var at = 0
  var dataAt: [Int] = []
  var sizesAt = 0
  private let column: martlet_column
  private let start: Int
  private let count: Int

  init(_ column: martlet_column, _ start: Int, _ count: Int) {
    self.column = column
    self.start = start
    self.count = count
    var filled = 0
    for row in start..<(start + count) {
      let length = longBytes(row).count
      guard length > 0 else { continue }
      if bufferBytes.isEmpty || filled + length > Int(Int32.max) {
        if !bufferBytes.isEmpty { bufferBytes[bufferBytes.count - 1] = filled }
        bufferBytes.append(0)
        filled = 0
      }
      filled += length
      bufferBytes[bufferBytes.count - 1] = filled
    }
  }

  /// The bytes of a cell that are outside of its view; what is below a null may be anything.
  private func longBytes(_ row: Int) -> UnsafeRawBufferPointer {
    guard column.null_count == 0 || !column.isNull(row) else { return UnsafeRawBufferPointer(start: nil, count: 0) }
    let bytes = column.bytes(row)
    return bytes.count > 12 ? bytes : UnsafeRawBufferPointer(start: nil, count: 0)
  }

  func write(into body: UnsafeMutableRawPointer) {
    let views = body + at
    let source = UnsafeRawPointer(column.values) + (Int(column.offset) + start) * 16
    var (buffer, filled) = (0, 0)
    for position in 0..<count {
      let view = views + position * 16
      if column.null_count != 0, column.isNull(start + position) {
        view.initializeMemory(as: UInt8.self, repeating: 0, count: 16)
        continue
      }
      view.copyMemory(from: source + position * 16, byteCount: 16)
      let bytes = longBytes(start + position)
      guard bytes.count > 0 else { continue }
      if filled + bytes.count > bufferBytes[buffer] { (buffer, filled) = (buffer + 1, 0) }
      (body + dataAt[buffer] + filled).copyMemory(from: bytes.baseAddress!, byteCount: bytes.count)
      view.storeBytes(of: Int32(buffer), toByteOffset: 8, as: Int32.self)
      view.storeBytes(of: Int32(filled), toByteOffset: 12, as: Int32.self)
      filled += bytes.count
    }
    for (position, bytes) in bufferBytes.enumerated() {
      (body + sizesAt).storeBytes(of: Int64(bytes), toByteOffset: position * 8, as: Int64.self)
    }
  }
}

extension martlet_column {
  /// Nulls, by the bitmap, in rows `[start, start + count)`.
  fileprivate func nulls(_ start: Int, _ count: Int) -> Int {
    if bufferKind == .none { return count }
    guard null_count != 0, count > 0, let validity else { return 0 }
    if start == 0, count == Int(length) { return Int(null_count) }
    return count - Bitmap.popcount(validity, from: Int(offset) + start, count: count)
  }

  /// Whether two columns of one type show the same memory, so that their cells are the same as long as both live.
  func sharesBuffers(with other: martlet_column) -> Bool {
    guard length == other.length, offset == other.offset, values == other.values, validity == other.validity,
      data == other.data, null_count == other.null_count, n_variadic == other.n_variadic, n_children == other.n_children
    else { return false }
    for position in 0..<Int(n_variadic) where variadic[position] != other.variadic[position] { return false }
    for position in 0..<Int(n_children) where !children[position].sharesBuffers(with: other.children[position]) {
      return false
    }
    switch (dictionary, other.dictionary) {
    case (nil, nil): return true
    case (let mine?, let theirs?): return mine.pointee.sharesBuffers(with: theirs.pointee)
    default: return false
    }
  }
}
