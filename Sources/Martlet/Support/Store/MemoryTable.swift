/// The sorted entries of one family of a `MemoryStore`. A value: who has one has it for good.
struct MemoryTable {
  private typealias Entry = (key: MemoryBytes, value: MemoryBytes)
  private typealias Change = (key: MemoryBytes, value: MemoryBytes?, number: Int)
  private var entries: [Entry] = []

  var count: Int { entries.count }
  /// Of keys and values, and of the array.
  var bytes: Int {
    entries.reduce(entries.capacity * MemoryLayout<Entry>.stride) { $0 + $1.key.count + $1.value.count + 64 }
  }

  /// The bytes stay where they are as long as the table is there.
  func keyBytes(_ index: Int) -> UnsafeRawBufferPointer { entries[index].key.bytes }
  func valueBytes(_ index: Int) -> UnsafeRawBufferPointer { entries[index].value.bytes }

  func value(_ key: UnsafeRawBufferPointer) -> MemoryBytes? {
    let index = position(key)
    return index < count && !key.isBefore(keyBytes(index)) ? entries[index].value : nil
  }

  /// The first entry whose key is not before this one.
  func position(_ key: UnsafeRawBufferPointer) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if keyBytes(middle).isBefore(key) { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// Adds an entry whose key is after all others; for reading a sorted file. False if it is not.
  mutating func append(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool {
    if count > 0, !keyBytes(count - 1).isBefore(key) { return false }
    entries.append((MemoryBytes(key), MemoryBytes(value)))
    return true
  }

  /// Carries out what the batch has for one family: single keys as one merge, each range by itself.
  mutating func apply(_ batch: WriteBatch, _ family: StoreFamily) {
    var changes: [Change] = []
    for operation in batch.operations {
      switch operation {
      case .put(family, let key, let value): changes.append((MemoryBytes(key), MemoryBytes(value), changes.count))
      case .remove(family, let key): changes.append((MemoryBytes(key), nil, changes.count))
      case .removeRange(family, let lower, let upper):
        merge(&changes)
        entries.removeSubrange(position(lower)..<position(upper))
      case .put, .remove, .removeRange: continue
      }
    }
    merge(&changes)
  }

  private mutating func merge(_ changes: inout [Change]) {
    if changes.isEmpty { return }
    // Of one key's changes the last is the one that counts.
    changes.sort { a, b in
      if a.key.bytes.isBefore(b.key.bytes) { return true }
      return !b.key.bytes.isBefore(a.key.bytes) && a.number < b.number
    }
    var merged: [Entry] = []
    merged.reserveCapacity(entries.count + changes.count)
    var old = 0
    for (index, change) in changes.enumerated() {
      if index + 1 < changes.count, !change.key.bytes.isBefore(changes[index + 1].key.bytes) { continue }
      while old < entries.count, entries[old].key.bytes.isBefore(change.key.bytes) {
        merged.append(entries[old])
        old += 1
      }
      if old < entries.count, !change.key.bytes.isBefore(entries[old].key.bytes) { old += 1 }
      if let value = change.value { merged.append((change.key, value)) }
    }
    merged.append(contentsOf: entries[old...])
    entries = merged
    changes.removeAll()
  }
}

/// Bytes that never change nor move.
final class MemoryBytes: @unchecked Sendable {
  // Written by the initialiser only.
  private let start: UnsafeMutableRawPointer
  let count: Int

  init(_ bytes: UnsafeRawBufferPointer) {
    start = allocateBytes(bytes.count)
    count = bytes.count
    if let source = bytes.baseAddress { start.copyMemory(from: source, byteCount: count) }
  }

  deinit { freeBytes(start) }

  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start, count: count) }

  func withUnsafeBytes(_ body: (UnsafeRawBufferPointer) -> Void) {
    body(bytes)
    withExtendedLifetime(self) {}
  }
}
