/// Which of several sorted runs of keys has the least key next: for reading them as one. A binary heap of their next keys.
struct KeyHeap {
  private var entries: [(key: [UInt8], run: Int)] = []

  /// The least of all next keys, and the number of the run that has it.
  var first: (key: [UInt8], run: Int)? { entries.first }

  /// A run that begins with this key.
  mutating func add(_ key: [UInt8], run: Int) {
    entries.append((key, run))
    var position = entries.count - 1
    while position > 0, precedes(position, (position - 1) / 2) {
      entries.swapAt(position, (position - 1) / 2)
      position = (position - 1) / 2
    }
  }

  /// The first key was taken; its run goes on with `next`, which is not less, or has ended.
  mutating func replaceFirst(by next: [UInt8]?) {
    if let next {
      entries[0].key = next
    } else {
      let last = entries.removeLast()
      if entries.isEmpty { return }
      entries[0] = last
    }
    var position = 0
    while true {
      var least = position
      for child in [2 * position + 1, 2 * position + 2] where child < entries.count && precedes(child, least) {
        least = child
      }
      if least == position { return }
      entries.swapAt(position, least)
      position = least
    }
  }

  private func precedes(_ a: Int, _ b: Int) -> Bool {
    entries[a].key.withUnsafeBytes { a in entries[b].key.withUnsafeBytes { a.isBefore($0) } }
  }
}
