/// An ordered map in plain memory: one sorted leaf while it is small, a B+ tree beyond.
///
/// ```
/// node:    count (2) | capacity (2) | level (2) | unused (2)
/// leaf:    node | keys | values | stamps (with a TTL only)       level 0, capacity 4 … 64
/// branch:  node | keys | children                                level 1 …, capacity 64
/// ```
///
/// Keys are 64-bit integers or byte strings in memory order. A branch with `count` children has `count - 1` keys: child i holds
/// what lies from key i-1 up to, but not including, key i. Leaves merge when they are small enough, a branch goes when its last
/// child does (as in PostgreSQL: merging branches too gains nothing measurable).
///
/// The table is a plain value that the column moves with `realloc`; `TableLayout` holds what all tables of a column share, and
/// the operations.
struct OrderedTable: BitwiseCopyable {
  var root: UnsafeMutableRawPointer?
  var count = 0
  /// No entry's stamp is before this.
  var oldest = Int64.max
}

/// One entry, until the table is next changed.
struct TablePosition {
  let node: UnsafeMutableRawPointer
  let index: Int
}

struct TableLayout {
  let keys: CellForm
  let values: CellForm
  let isTimed: Bool

  static let firstCapacity = 4
  static let nodeCapacity = 64
  private static let header = 8

  // MARK: - Nodes

  @inline(__always) func count(_ node: UnsafeMutableRawPointer) -> Int { Int(node.load(as: UInt16.self)) }
  @inline(__always) func capacity(_ node: UnsafeMutableRawPointer) -> Int {
    Int(node.load(fromByteOffset: 2, as: UInt16.self))
  }
  @inline(__always) func level(_ node: UnsafeMutableRawPointer) -> Int {
    Int(node.load(fromByteOffset: 4, as: UInt16.self))
  }
  @inline(__always) func setCount(_ node: UnsafeMutableRawPointer, _ count: Int) {
    node.storeBytes(of: UInt16(truncatingIfNeeded: count), as: UInt16.self)
  }

  @inline(__always) func key(_ node: UnsafeMutableRawPointer, _ index: Int) -> UnsafeMutableRawPointer {
    node + (TableLayout.header &+ index &* keys.stride)
  }
  @inline(__always) func value(_ node: UnsafeMutableRawPointer, _ index: Int) -> UnsafeMutableRawPointer {
    node + (TableLayout.header &+ capacity(node) &* keys.stride &+ index &* values.stride)
  }
  @inline(__always) func stamp(_ node: UnsafeMutableRawPointer, _ index: Int) -> UnsafeMutableRawPointer {
    node + (TableLayout.header &+ capacity(node) &* (keys.stride &+ values.stride) &+ index &* 8)
  }
  @inline(__always) func child(_ node: UnsafeMutableRawPointer, _ index: Int) -> UnsafeMutableRawPointer {
    childAddress(node, index).load(as: UnsafeMutableRawPointer.self)
  }
  @inline(__always) func childAddress(_ node: UnsafeMutableRawPointer, _ index: Int) -> UnsafeMutableRawPointer {
    node + (TableLayout.header &+ TableLayout.nodeCapacity &* keys.stride &+ index &* 8)
  }

  func size(capacity: Int, level: Int) -> Int {
    TableLayout.header + capacity * (keys.stride + (level > 0 ? 8 : values.stride + (isTimed ? 8 : 0)))
  }

  func newNode(capacity: Int, level: Int) -> UnsafeMutableRawPointer {
    let node = allocateBytes(size(capacity: capacity, level: level))
    node.storeBytes(of: 0, as: UInt16.self)
    node.storeBytes(of: UInt16(capacity), toByteOffset: 2, as: UInt16.self)
    node.storeBytes(of: UInt16(level), toByteOffset: 4, as: UInt16.self)
    return node
  }

  // MARK: - Search

  /// How many keys of the node come before `key`.
  @inline(__always)
  func lowerBound(_ node: UnsafeMutableRawPointer, _ count: Int, _ key: StateCell) -> Int {
    var low = 0
    var rest = count
    if keys.isBytes {
      while rest > 0 {
        let half = rest >> 1
        if order(self.key(node, low &+ half), key.bytes) < 0 {
          low &+= half &+ 1
          rest &-= half &+ 1
        } else {
          rest = half
        }
      }
      return low
    }
    let words = (node + TableLayout.header).assumingMemoryBound(to: Int64.self)
    while rest > 0 {
      let half = rest >> 1
      if words[low &+ half] < key.word {
        low &+= half &+ 1
        rest &-= half &+ 1
      } else {
        rest = half
      }
    }
    return low
  }

  @inline(__always)
  func equals(_ address: UnsafeMutableRawPointer, _ key: StateCell) -> Bool {
    keys.isBytes ? order(address, key.bytes) == 0 : address.load(as: Int64.self) == key.word
  }

  private func order(_ address: UnsafeMutableRawPointer, _ key: UnsafeRawBufferPointer) -> Int {
    let stored = address.assumingMemoryBound(to: InlineBytes.self).bytes
    let common = min(stored.count, key.count)
    if common > 0 {
      let order = compareBytes(stored.baseAddress.unsafelyUnwrapped, key.baseAddress.unsafelyUnwrapped, common)
      if order != 0 { return Int(order) }
    }
    return stored.count &- key.count
  }

  /// The child that holds `key`.
  @inline(__always)
  func childIndex(_ node: UnsafeMutableRawPointer, _ key: StateCell) -> Int {
    let separators = count(node) &- 1
    let index = lowerBound(node, separators, key)
    return index < separators && equals(self.key(node, index), key) ? index &+ 1 : index
  }

  @inline(__always)
  private func leaf(_ root: UnsafeMutableRawPointer, _ key: StateCell) -> UnsafeMutableRawPointer {
    var node = root
    while level(node) > 0 { node = child(node, childIndex(node, key)) }
    return node
  }

  @inline(__always)
  func find(_ table: OrderedTable, _ key: StateCell) -> TablePosition? {
    guard let root = table.root else { return nil }
    let node = leaf(root, key)
    let count = count(node)
    let index = lowerBound(node, count, key)
    return index < count && equals(self.key(node, index), key) ? TablePosition(node: node, index: index) : nil
  }

  /// Calls `body` with the entries from `low` (included) to `high` (not included), in order, until it returns false.
  /// The table must not be changed meanwhile.
  @discardableResult
  func scan<Failure: Error>(
    _ table: OrderedTable, from low: StateCell? = nil, to high: StateCell? = nil,
    _ body: (TablePosition) throws(Failure) -> Bool
  ) throws(Failure) -> Bool {
    guard let root = table.root else { return true }
    return try scan(root, low, high, body)
  }

  private func scan<Failure: Error>(
    _ node: UnsafeMutableRawPointer, _ low: StateCell?, _ high: StateCell?,
    _ body: (TablePosition) throws(Failure) -> Bool
  ) throws(Failure) -> Bool {
    let count = count(node)
    if level(node) == 0 {
      let first = low.map { lowerBound(node, count, $0) } ?? 0
      let end = high.map { lowerBound(node, count, $0) } ?? count
      guard first < end else { return end == count }
      for index in first..<end where try !body(TablePosition(node: node, index: index)) { return false }
      return end == count
    }
    let first = low.map { childIndex(node, $0) } ?? 0
    for index in first..<count {
      guard try scan(child(node, index), index == first ? low : nil, high, body) else { return false }
    }
    return true
  }
}
