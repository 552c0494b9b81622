/// Which of several sorted runs of keys has the least key next: for reading them as one. A binary heap of their next keys.
struct KeyHeap {
  private struct Entry {
    let prefix: Prefix
    let key: [UInt8]
    let run: Int

    init(_ key: [UInt8], _ run: Int) {
      (prefix, self.key, self.run) = (Prefix(key), key, run)
    }
  }

  /// The first 16 bytes as numbers, in which most keys differ: comparing them touches neither the bytes nor their reference count.
  private struct Prefix {
    private var high: UInt64 = 0
    private var low: UInt64 = 0

    init(_ key: [UInt8]) {
      withUnsafeMutableBytes(of: &self) { bytes in
        key.withUnsafeBytes { bytes.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0.prefix(bytes.count))) }
      }
      (high, low) = (UInt64(bigEndian: high), UInt64(bigEndian: low))
    }

    func precedes(_ other: Prefix) -> Bool? {
      if high != other.high { return high < other.high }
      return low == other.low ? nil : low < other.low
    }
  }

  private var entries: [Entry] = []

  /// The least of all next keys.
  var firstKey: [UInt8]? { entries.first?.key }
  /// The number of the run that has it.
  var firstRun: Int? { entries.first?.run }

  /// A run that begins with this key.
  mutating func add(_ key: [UInt8], run: Int) {
    entries.append(Entry(key, run))
    var position = entries.count - 1
    while position > 0, precedes(position, (position - 1) / 2) {
      entries.swapAt(position, (position - 1) / 2)
      position = (position - 1) / 2
    }
  }

  /// The first key was taken; its run goes on with `next`, which is not less, or has ended.
  mutating func replaceFirst(by next: [UInt8]?) {
    if let next {
      entries[0] = Entry(next, entries[0].run)
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
    if let isFirst = entries[a].prefix.precedes(entries[b].prefix) { return isFirst }
    return entries[a].key.withUnsafeBytes { a in entries[b].key.withUnsafeBytes { a.isBefore($0) } }
  }
}
