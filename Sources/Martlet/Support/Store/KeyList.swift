/// Keys to be looked up together, in one block of memory that is used again and again.
package final class KeyList {
  private var bytes: UnsafeMutableRawPointer = reallocateBytes(nil, 4096)
  private var capacity = 4096
  /// Key `i` is the bytes from `ends[i - 1]` to `ends[i]`.
  private var ends: UnsafeMutablePointer<Int> = .blocks(256)
  private var endCapacity = 256
  package private(set) var count = 0
  private var size = 0

  package init() {}

  deinit {
    freeBytes(bytes)
    ends.freeBlocks()
  }

  /// Forgets the keys, and keeps the memory.
  package func removeAll() {
    count = 0
    size = 0
  }

  /// Adds a key that is the two parts one after the other.
  package func append(_ prefix: UnsafeRawBufferPointer, _ rest: UnsafeRawBufferPointer) {
    appendBytes(prefix)
    appendBytes(rest)
    endKey()
  }

  package func append(_ key: UnsafeRawBufferPointer) {
    appendBytes(key)
    endKey()
  }

  package func append(_ key: [UInt8]) { key.withUnsafeBytes { append($0) } }

  /// Adds a key of so many bytes, to be written at once where the result points to.
  package func appendKey(count: Int) -> UnsafeMutableRawPointer {
    let start = size
    reserve(count)
    size += count
    endKey()
    return bytes + start
  }

  /// A key; valid until keys are added or removed.
  package subscript(index: Int) -> UnsafeRawBufferPointer {
    precondition(index >= 0 && index < count, "there are \(count) keys")
    let start = index == 0 ? 0 : ends[index - 1]
    return UnsafeRawBufferPointer(start: bytes + start, count: ends[index] - start)
  }

  /// All keys in one piece, and where each ends in it; valid until keys are added or removed.
  package var layout: (bytes: UnsafeRawPointer, ends: UnsafePointer<Int>) {
    (UnsafeRawPointer(bytes), UnsafePointer(ends))
  }

  private func appendBytes(_ part: UnsafeRawBufferPointer) {
    guard let start = part.baseAddress else { return }
    reserve(part.count)
    (bytes + size).copyMemory(from: start, byteCount: part.count)
    size += part.count
  }

  private func reserve(_ more: Int) {
    guard size + more > capacity else { return }
    capacity = max(2 * capacity, size + more)
    bytes = reallocateBytes(bytes, capacity)
  }

  private func endKey() {
    if count == endCapacity {
      endCapacity *= 2
      ends.growBlocks(to: endCapacity)
    }
    ends[count] = size
    count += 1
  }
}
