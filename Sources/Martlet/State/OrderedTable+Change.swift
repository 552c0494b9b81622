/// Insertion and removal.
extension TableLayout {
  /// The entry of `key`; a new one has its key, and no value or stamp yet.
  @inline(__always)
  func findOrInsert(
    _ table: UnsafeMutablePointer<OrderedTable>, _ key: StateCell
  ) -> (position: TablePosition, isNew: Bool) {
    while true {
      if var node = table.pointee.root {
        while level(node) > 0 { node = child(node, childIndex(node, key)) }
        let count = count(node)
        let index = lowerBound(node, count, key)
        if index < count, equals(self.key(node, index), key) { return (TablePosition(node: node, index: index), false) }
        if count < capacity(node) {
          openGap(node, index, count)
          keys.initialize(self.key(node, index), key)
          table.pointee.count &+= 1
          return (TablePosition(node: node, index: index), true)
        }
      }
      makeRoom(table, key)
    }
  }

  @inline(__always)
  private func openGap(_ node: UnsafeMutableRawPointer, _ index: Int, _ count: Int) {
    if index < count {
      let moved = count &- index
      key(node, index &+ 1).copyMemory(from: key(node, index), byteCount: moved &* keys.stride)
      value(node, index &+ 1).copyMemory(from: value(node, index), byteCount: moved &* values.stride)
      if isTimed { stamp(node, index &+ 1).copyMemory(from: stamp(node, index), byteCount: moved &* 8) }
    }
    setCount(node, count &+ 1)
  }

  private func closeGap(_ node: UnsafeMutableRawPointer, _ index: Int) {
    let count = count(node) - 1
    if index < count {
      let moved = count - index
      key(node, index).copyMemory(from: key(node, index + 1), byteCount: moved * keys.stride)
      value(node, index).copyMemory(from: value(node, index + 1), byteCount: moved * values.stride)
      if isTimed { stamp(node, index).copyMemory(from: stamp(node, index + 1), byteCount: moved * 8) }
    }
    setCount(node, count)
  }

  // MARK: - Growing

  private struct Split {
    let separator: (UInt64, UInt64)
    let right: UnsafeMutableRawPointer
  }

  /// Makes the leaf that `key` belongs in have room.
  @inline(never)
  private func makeRoom(_ table: UnsafeMutablePointer<OrderedTable>, _ key: StateCell) {
    guard let root = table.pointee.root else {
      table.pointee.root = newNode(capacity: TableLayout.firstCapacity, level: 0)
      return
    }
    if level(root) == 0, capacity(root) < TableLayout.nodeCapacity {
      table.pointee.root = resized(root, capacity: 2 * capacity(root))
      return
    }
    guard let split = split(root, for: key) else { return }
    let top = newNode(capacity: TableLayout.nodeCapacity, level: level(root) + 1)
    setCount(top, 2)
    keys.put(self.key(top, 0), split.separator)
    childAddress(top, 0).storeBytes(of: root, as: UnsafeMutableRawPointer.self)
    childAddress(top, 1).storeBytes(of: split.right, as: UnsafeMutableRawPointer.self)
    table.pointee.root = top
  }

  /// The leaf with another capacity, which its entries fit in.
  private func resized(_ node: UnsafeMutableRawPointer, capacity: Int) -> UnsafeMutableRawPointer {
    let copy = newNode(capacity: capacity, level: 0)
    move(from: node, 0, to: copy, 0, count(node))
    setCount(copy, count(node))
    freeBytes(node)
    return copy
  }

  private func move(
    from source: UnsafeMutableRawPointer, _ first: Int, to target: UnsafeMutableRawPointer, _ start: Int, _ count: Int
  ) {
    key(target, start).copyMemory(from: key(source, first), byteCount: count * keys.stride)
    value(target, start).copyMemory(from: value(source, first), byteCount: count * values.stride)
    if isTimed { stamp(target, start).copyMemory(from: stamp(source, first), byteCount: count * 8) }
  }

  /// Splits the full leaf that `key` belongs in, and the branches above that are full; gives what the node's parent has to
  /// take in.
  private func split(_ node: UnsafeMutableRawPointer, for key: StateCell) -> Split? {
    let count = count(node)
    if level(node) == 0 {
      guard count == capacity(node) else { return nil }
      // Keys that come in order fill their leaves: what follows the last key starts a leaf of its own.
      let isAppend = lowerBound(node, count, key) == count
      let kept = isAppend ? count : count / 2
      let right = newNode(capacity: TableLayout.nodeCapacity, level: 0)
      move(from: node, kept, to: right, 0, count - kept)
      setCount(right, count - kept)
      setCount(node, kept)
      let separator = isAppend ? copy(key) : copy(keys.load(self.key(right, 0)))
      return Split(separator: separator, right: right)
    }
    let index = childIndex(node, key)
    guard let below = split(child(node, index), for: key) else { return nil }
    guard count == TableLayout.nodeCapacity else {
      insert(below, into: node, at: index)
      return nil
    }
    let kept = index == count - 1 ? count - 1 : count / 2
    let right = newNode(capacity: TableLayout.nodeCapacity, level: level(node))
    let separator = keys.take(self.key(node, kept - 1))
    self.key(right, 0).copyMemory(from: self.key(node, kept), byteCount: (count - 1 - kept) * keys.stride)
    childAddress(right, 0).copyMemory(from: childAddress(node, kept), byteCount: (count - kept) * 8)
    setCount(right, count - kept)
    setCount(node, kept)
    if index < kept { insert(below, into: node, at: index) } else { insert(below, into: right, at: index - kept) }
    return Split(separator: separator, right: right)
  }

  /// Takes in what came out of the split of child `index`.
  private func insert(_ split: Split, into node: UnsafeMutableRawPointer, at index: Int) {
    let count = count(node)
    key(node, index + 1).copyMemory(from: key(node, index), byteCount: (count - 1 - index) * keys.stride)
    childAddress(node, index + 2).copyMemory(from: childAddress(node, index + 1), byteCount: (count - 1 - index) * 8)
    keys.put(key(node, index), split.separator)
    childAddress(node, index + 1).storeBytes(of: split.right, as: UnsafeMutableRawPointer.self)
    setCount(node, count + 1)
  }

  /// The key as memory of its own, for a separator or for later.
  func copy(_ key: StateCell) -> (UInt64, UInt64) {
    guard keys.isBytes else { return (UInt64(bitPattern: key.word), 0) }
    let bytes = CellForm.owned(key.bytes)
    return (bytes.word0, bytes.word1)
  }

  // MARK: - Removing

  /// Removes the entry of `key` if there is one. `keepsValue`: the value was moved out and is not the table's any more.
  @discardableResult
  func remove(_ table: UnsafeMutablePointer<OrderedTable>, _ key: StateCell, keepsValue: Bool = false) -> Bool {
    guard let root = table.pointee.root, remove(from: root, key, keepsValue) else { return false }
    table.pointee.count -= 1
    while let root = table.pointee.root {
      if count(root) == 0 {
        table.pointee.root = nil
        freeBytes(root)
      } else if level(root) > 0, count(root) == 1 {
        table.pointee.root = child(root, 0)
        freeBytes(root)
      } else {
        if level(root) == 0, capacity(root) > 8, count(root) * 4 <= capacity(root) {
          table.pointee.root = resized(root, capacity: capacity(root) / 2)
        }
        break
      }
    }
    if table.pointee.root == nil { table.pointee.oldest = .max }
    return true
  }

  private func remove(from node: UnsafeMutableRawPointer, _ key: StateCell, _ keepsValue: Bool) -> Bool {
    if level(node) == 0 {
      let index = lowerBound(node, count(node), key)
      guard index < count(node), equals(self.key(node, index), key) else { return false }
      if !keepsValue { values.release(value(node, index)) }
      keys.release(self.key(node, index))
      closeGap(node, index)
      return true
    }
    let index = childIndex(node, key)
    let child = child(node, index)
    guard remove(from: child, key, keepsValue) else { return false }
    if count(child) == 0 {
      freeBytes(child)
      removeChild(node, index)
    } else if level(child) == 0, count(child) < TableLayout.nodeCapacity / 4 {
      if index + 1 < count(node) {
        merge(node, index)
      } else if index > 0 {
        merge(node, index - 1)
      }
    }
    return true
  }

  /// Moves the leaf right of child `index` into it, if both fit with room to spare.
  private func merge(_ node: UnsafeMutableRawPointer, _ index: Int) {
    let left = child(node, index)
    let right = child(node, index + 1)
    guard count(left) + count(right) <= TableLayout.nodeCapacity * 3 / 4 else { return }
    if capacity(left) < TableLayout.nodeCapacity { return }
    move(from: right, 0, to: left, count(left), count(right))
    setCount(left, count(left) + count(right))
    freeBytes(right)
    removeChild(node, index + 1)
  }

  private func removeChild(_ node: UnsafeMutableRawPointer, _ index: Int) {
    let count = count(node)
    if count > 1 {
      let separator = max(index - 1, 0)
      keys.release(key(node, separator))
      key(node, separator).copyMemory(from: key(node, separator + 1), byteCount: (count - 2 - separator) * keys.stride)
    }
    childAddress(node, index).copyMemory(from: childAddress(node, index + 1), byteCount: (count - 1 - index) * 8)
    setCount(node, count - 1)
  }

  /// Frees the table with all it holds; it is empty afterwards.
  func removeAll(_ table: inout OrderedTable) {
    if let root = table.root { free(root) }
    table = OrderedTable()
  }

  private func free(_ node: UnsafeMutableRawPointer) {
    let count = count(node)
    if level(node) > 0 {
      for index in 0..<count { free(child(node, index)) }
      if keys.isBytes { for index in 0..<max(count - 1, 0) { keys.release(key(node, index)) } }
    } else if keys.isBytes || values.isBytes {
      for index in 0..<count {
        keys.release(key(node, index))
        values.release(value(node, index))
      }
    }
    freeBytes(node)
  }

  func memoryBytes(_ table: OrderedTable) -> Int { table.root.map(memoryBytes) ?? 0 }

  private func memoryBytes(_ node: UnsafeMutableRawPointer) -> Int {
    var bytes = size(capacity: capacity(node), level: level(node))
    if level(node) > 0 {
      for index in 0..<count(node) { bytes += memoryBytes(child(node, index)) }
    } else {
      for index in 0..<count(node) {
        bytes += keys.blockBytes(key(node, index)) + values.blockBytes(value(node, index))
      }
    }
    return bytes
  }
}
