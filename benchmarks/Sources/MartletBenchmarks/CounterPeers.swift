import BenchSupport
import CBenchPeers

/// The C loop over integer keys, with the output buffers it writes to.
final class IntegerLoop {
  let keys: IntegerKeys
  private(set) var outKeys: [Int64]
  private(set) var counts: [Int64]
  private(set) var distinct: Int64 = 0

  init(_ keys: IntegerKeys) {
    self.keys = keys
    outKeys = Array(repeating: 0, count: keys.values.count)
    counts = outKeys
  }

  func run() {
    distinct = counter_loop_int64(keys.values, Int64(keys.values.count), &outKeys, &counts)
    precondition(distinct >= 0, "the C loop has no memory")
  }
}

/// The C loop over string keys, with the output buffers it writes to.
final class StringLoop {
  let keys: StringKeys
  private(set) var outOffsets: [Int32]
  private(set) var outBytes: [UInt8]
  private(set) var counts: [Int64]
  private(set) var distinct: Int64 = 0

  init(_ keys: StringKeys) {
    self.keys = keys
    outOffsets = Array(repeating: 0, count: keys.offsets.count)
    outBytes = Array(repeating: 0, count: keys.bytes.count)
    counts = Array(repeating: 0, count: keys.offsets.count - 1)
  }

  func run() {
    distinct = counter_loop_utf8(
      keys.offsets, keys.bytes, Int64(counts.count), &outOffsets, &outBytes, &counts)
    precondition(distinct >= 0, "the C loop has no memory")
  }
}

extension IntegerLoop {
  /// Compares the loop with Swift's own dictionary, which is slow and right.
  func check() {
    var naive: [Int64: Int64] = [:]
    for (row, key) in keys.values.enumerated() {
      naive[key, default: 0] += 1
      precondition(outKeys[row] == key && counts[row] == naive[key], "the C loop is wrong at row \(row)")
    }
    precondition(distinct == Int64(naive.count))
  }
}

extension StringLoop {
  func check() {
    precondition(outOffsets == keys.offsets && outBytes == keys.bytes, "the C loop copied the wrong keys")
    var naive: [ArraySlice<UInt8>: Int64] = [:]
    for row in counts.indices {
      let key = keys.bytes[Int(keys.offsets[row])..<Int(keys.offsets[row + 1])]
      naive[key, default: 0] += 1
      precondition(counts[row] == naive[key], "the C loop is wrong at row \(row)")
    }
    precondition(distinct == Int64(naive.count))
  }
}
