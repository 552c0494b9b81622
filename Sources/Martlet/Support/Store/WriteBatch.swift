/// Changes to a store that happen together, in the order they are added: later ones win.
///
/// They are kept as bytes in one block, independent of any store, so that a batch can be filled where the state is and
/// written by another thread:
///
/// ```
/// kind (1) | family (1) | length of key (4) | length of value (4) | key | value
/// ```
///
/// For the removal of a range the key is its lower end and the value its upper.
package final class WriteBatch: @unchecked Sendable {
  // Not locked: it is handed from one thread to the next and never used by two at a time.

  package enum Operation {
    case put(StoreFamily, key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer)
    case remove(StoreFamily, key: UnsafeRawBufferPointer)
    /// `lower` is below `upper`.
    case removeRange(StoreFamily, lower: UnsafeRawBufferPointer, upper: UnsafeRawBufferPointer)
  }

  /// The longest key. RocksDB adds 8 bytes to it and counts in 32 bits.
  package static let longestKey = Int(UInt32.max) - 8
  package static let longestValue = Int(UInt32.max)

  fileprivate static let headSize = 10
  // Written for every row, by the one thread that has the batch.
  @exclusivity(unchecked) fileprivate var block: UnsafeMutableRawPointer
  @exclusivity(unchecked) private var capacity: Int
  /// Bytes of all changes.
  @exclusivity(unchecked) package private(set) var size = 0
  /// How many changes.
  @exclusivity(unchecked) package private(set) var count = 0
  /// Families that are mentioned have a lower number than this.
  @exclusivity(unchecked) package private(set) var familyBound = 0
  /// Where every `markedEvery`th change begins.
  @exclusivity(unchecked) private var marks: [Int] = []
  /// Whether whoever has added the changes says that they are of one family, with the keys in order and each there once.
  @exclusivity(unchecked) package private(set) var isSorted = false

  /// `operations(from:)` begins at a multiple of it.
  package static let markedEvery = 4096

  package init(capacity: Int = 4096) {
    self.capacity = max(capacity, 64)
    block = reallocateBytes(nil, self.capacity)
  }

  deinit { freeBytes(block) }

  package var isEmpty: Bool { count == 0 }

  /// Forgets the changes, and keeps the memory.
  package func removeAll() {
    size = 0
    count = 0
    familyBound = 0
    marks.removeAll()
    isSorted = false
  }

  /// Forgets the changes and gives the memory back.
  package func free() {
    removeAll()
    capacity = 64
    block = reallocateBytes(block, capacity)
  }

  /// Sets a key. `.valueRange` if key or value is longer than a store can hold (4 GiB).
  package func put(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, in family: StoreFamily)
    throws(EngineError)
  {
    try add(0, family, key, value)
  }

  /// Removes a key; that it is not there is fine.
  package func remove(_ key: UnsafeRawBufferPointer, in family: StoreFamily) throws(EngineError) {
    try add(1, family, key, UnsafeRawBufferPointer(start: nil, count: 0))
  }

  /// Removes the keys from `lower` on, up to but not including `upper`; none if `upper` is not above `lower`.
  package func removeRange(
    from lower: UnsafeRawBufferPointer, upTo upper: UnsafeRawBufferPointer, in family: StoreFamily
  )
    throws(EngineError)
  {
    if upper.count > WriteBatch.longestKey { throw tooLong("key", upper.count, WriteBatch.longestKey) }
    if !lower.isBefore(upper) { return }
    try add(2, family, lower, upper)
  }

  package func put(_ key: [UInt8], _ value: [UInt8], in family: StoreFamily) throws(EngineError) {
    try withBytes(key, value) { (key, value) throws(EngineError) in try put(key, value, in: family) }
  }

  package func remove(_ key: [UInt8], in family: StoreFamily) throws(EngineError) {
    try withBytes(key, []) { (key, _) throws(EngineError) in try remove(key, in: family) }
  }

  /// Removes a range that has an end. One without is `.invalidArgument`: no store can remove it in one piece.
  package func remove(_ range: KeyRange, in family: StoreFamily) throws(EngineError) {
    guard let upper = range.upper else {
      throw EngineError(
        .invalidArgument,
        "a range of keys without an end cannot be removed; give it an upper key, or begin keys with a prefix")
    }
    try withBytes(range.lower, upper) { (lower, upper) throws(EngineError) in
      try removeRange(from: lower, upTo: upper, in: family)
    }
  }

  private func add(_ kind: UInt8, _ family: StoreFamily, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer)
    throws(EngineError)
  {
    if key.count > WriteBatch.longestKey { throw tooLong("key", key.count, WriteBatch.longestKey) }
    if value.count > WriteBatch.longestValue { throw tooLong("value", value.count, WriteBatch.longestValue) }
    let body = begin(kind, family, keyCount: key.count, valueCount: value.count)
    if let start = key.baseAddress { body.copyMemory(from: start, byteCount: key.count) }
    if let start = value.baseAddress { (body + key.count).copyMemory(from: start, byteCount: value.count) }
  }

  /// Sets a key of so many bytes to a value of so many, both much shorter than the longest: to be written at once, one behind the other,
  /// where the result points to.
  func beginPut(_ family: StoreFamily, keyCount: Int, valueCount: Int) -> UnsafeMutableRawPointer {
    begin(0, family, keyCount: keyCount, valueCount: valueCount)
  }

  @inline(__always)
  private func begin(_ kind: UInt8, _ family: StoreFamily, keyCount: Int, valueCount: Int) -> UnsafeMutableRawPointer {
    let needed = size + WriteBatch.headSize + keyCount + valueCount
    if needed > capacity {
      capacity = max(2 * capacity, needed)
      block = reallocateBytes(block, capacity)
    }
    if count & (WriteBatch.markedEvery - 1) == 0 { marks.append(size) }
    isSorted = false
    let head = block + size
    head.storeBytes(of: kind, as: UInt8.self)
    head.storeBytes(of: family.index, toByteOffset: 1, as: UInt8.self)
    head.storeBytes(of: UInt32(keyCount), toByteOffset: 2, as: UInt32.self)
    head.storeBytes(of: UInt32(valueCount), toByteOffset: 6, as: UInt32.self)
    size = needed
    count += 1
    familyBound = max(familyBound, Int(family.index) + 1)
    return head + WriteBatch.headSize
  }

  /// To be called where the order of the changes is known: nobody needs to look for it then. Holds until another one is added.
  func declareSorted() { isSorted = true }

  private func tooLong(_ what: String, _ length: Int, _ limit: Int) -> EngineError {
    EngineError(
      .valueRange, "a \(what) of \(length) bytes is longer than a store can hold (\(limit)); split it over several keys"
    )
  }

  private func withBytes(
    _ a: [UInt8], _ b: [UInt8], _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(EngineError) -> Void
  ) throws(EngineError) {
    var failure: EngineError?
    a.withUnsafeBytes { a in
      b.withUnsafeBytes { b in
        do throws(EngineError) { try body(a, b) } catch { failure = error }
      }
    }
    if let failure { throw failure }
  }

  /// The changes in their order; valid until some are added or removed.
  package var operations: Operations { operations(from: 0) }

  /// The same from a change on whose number is a multiple of `markedEvery`.
  package func operations(from number: Int) -> Operations {
    Operations(self, offset: number < count ? marks[number / WriteBatch.markedEvery] : size)
  }

  package struct Operations: Sequence, IteratorProtocol {
    private let batch: WriteBatch
    private var offset: Int

    fileprivate init(_ batch: WriteBatch, offset: Int) { (self.batch, self.offset) = (batch, offset) }

    package mutating func next() -> Operation? {
      guard offset < batch.size else { return nil }
      let head = batch.block + offset
      let family = StoreFamily(head.load(fromByteOffset: 1, as: UInt8.self))
      let keyCount = Int(head.loadUnaligned(fromByteOffset: 2, as: UInt32.self))
      let valueCount = Int(head.loadUnaligned(fromByteOffset: 6, as: UInt32.self))
      let key = UnsafeRawBufferPointer(start: head + WriteBatch.headSize, count: keyCount)
      let value = UnsafeRawBufferPointer(start: head + WriteBatch.headSize + keyCount, count: valueCount)
      offset += WriteBatch.headSize + keyCount + valueCount
      switch head.load(as: UInt8.self) {
      case 0: return .put(family, key: key, value: value)
      case 1: return .remove(family, key: key)
      default: return .removeRange(family, lower: key, upper: value)
      }
    }
  }
}

extension UnsafeRawBufferPointer {
  /// Whether these bytes stand before the others in the order of a store.
  package func isBefore(_ other: UnsafeRawBufferPointer) -> Bool {
    let common = Swift.min(count, other.count)
    if common > 0, let mine = baseAddress, let others = other.baseAddress {
      let order = compareBytes(mine, others, common)
      if order != 0 { return order < 0 }
    }
    return count < other.count
  }
}
