/// Arrays of plain values that go into a block behind the frames: measured first, written when the block is there.
struct BlockSections {
  private var writes: [(position: Int, bytes: UnsafeRawBufferPointer)] = []
  private var copies: [UnsafeMutableRawBufferPointer] = []
  private(set) var byteCount = 0

  /// Reserves room; where the array will begin, counted from the first of the sections. It must stay where it is until `write`.
  mutating func add<Element: BitwiseCopyable>(_ elements: UnsafeBufferPointer<Element>) -> Int {
    let position = byteCount
    writes.append((position, UnsafeRawBufferPointer(elements)))
    byteCount = BatchFrame.aligned(position + elements.count * MemoryLayout<Element>.stride)
    return position
  }

  /// The same for a few values that are copied at once.
  mutating func add<Element: BitwiseCopyable>(_ elements: [Element]) -> Int {
    let copy = UnsafeMutableBufferPointer<Element>.allocate(capacity: elements.count)
    _ = copy.initialize(from: elements)
    copies.append(UnsafeMutableRawBufferPointer(copy))
    return add(UnsafeBufferPointer(copy))
  }

  /// Once.
  mutating func write(to target: UnsafeMutableRawPointer) {
    defer {
      for copy in copies { copy.deallocate() }
      (copies, writes) = ([], [])
    }
    for (position, bytes) in writes where !bytes.isEmpty {
      (target + position).copyMemory(from: bytes.baseAddress!, byteCount: bytes.count)
    }
  }
}

extension BlockLease {
  /// `count` values at `position` of the block; valid as long as the lease lives.
  func array<Element: BitwiseCopyable>(
    _: Element.Type, at position: Int, _ count: Int
  ) throws(SocketChannel.Failure) -> UnsafeBufferPointer<Element> {
    let stride = MemoryLayout<Element>.stride
    guard position >= 0, count >= 0, position % 64 == 0, position <= block.size,
      count <= (block.size - position) / stride
    else { throw .broken("\(count) values at \(position) of a block of \(block.size) bytes") }
    return UnsafeBufferPointer(
      start: (block.base + position).assumingMemoryBound(to: Element.self), count: count)
  }
}

// Numbers and texts of messages.

extension ByteWriter {
  mutating func count(_ value: Int) { integer(Int64(value)) }

  mutating func optional(_ value: Int64?) {
    flag(value != nil)
    integer(value ?? 0)
  }

  mutating func optional(_ value: String?) {
    flag(value != nil)
    text(value ?? "")
  }

  /// The bytes of a plain value; both ends are one build.
  mutating func plain<Value: BitwiseCopyable>(_ value: Value) {
    withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
  }
}

extension ByteReader {
  mutating func bool() throws(Malformed) -> Bool { try integer(UInt8.self) != 0 }

  mutating func count() throws(Malformed) -> Int {
    let value = try integer(Int64.self)
    guard value >= 0, value < 1 << 48 else { throw Malformed() }
    return Int(value)
  }

  mutating func optionalInteger() throws(Malformed) -> Int64? {
    let isThere = try bool()
    let value = try integer(Int64.self)
    return isThere ? value : nil
  }

  mutating func optionalText() throws(Malformed) -> String? {
    let isThere = try bool()
    let value = try text()
    return isThere ? value : nil
  }

  mutating func plain<Value: BitwiseCopyable>(_: Value.Type) throws(Malformed) -> Value {
    try take(MemoryLayout<Value>.size).loadUnaligned(as: Value.self)
  }
}
