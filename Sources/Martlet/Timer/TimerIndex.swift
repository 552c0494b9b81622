/// (slot, time) → timer: what makes a second registration one timer and a delete O(1).
///
/// Open addressing over node numbers with backward-shift removal, as the key tables.
struct TimerIndex: ~Copyable {
  /// A node's number plus one; 0 marks an empty bucket.
  private var buckets: UnsafeMutablePointer<UInt32>
  private var bucketCount = 1024
  private var count = 0

  init() { buckets = .zeroedBlocks(bucketCount) }

  deinit { buckets.freeBlocks() }

  var memoryBytes: Int { bucketCount * MemoryLayout<UInt32>.stride }

  func find(slot: UInt32, time: Int64, _ store: borrowing TimerStore) -> UInt32? {
    let mask = bucketCount &- 1
    var position = TimerIndex.home(slot, time) & mask
    while buckets[position] != 0 {
      let node = buckets[position] &- 1
      if store[node].slot == slot, store[node].time == time { return node }
      position = (position &+ 1) & mask
    }
    return nil
  }

  mutating func insert(_ node: UInt32, _ store: borrowing TimerStore) {
    if (count + 1) * 2 > bucketCount { grow(store) }
    place(node, store)
    count &+= 1
  }

  mutating func remove(_ node: UInt32, _ store: borrowing TimerStore) {
    let mask = bucketCount &- 1
    var hole = TimerIndex.home(store[node].slot, store[node].time) & mask
    while buckets[hole] != node &+ 1 { hole = (hole &+ 1) & mask }
    var next = (hole &+ 1) & mask
    while buckets[next] != 0 {
      let other = buckets[next] &- 1
      let home = TimerIndex.home(store[other].slot, store[other].time) & mask
      if (next &- home) & mask >= (next &- hole) & mask {
        buckets[hole] = buckets[next]
        hole = next
      }
      next = (next &+ 1) & mask
    }
    buckets[hole] = 0
    count &-= 1
  }

  private mutating func place(_ node: UInt32, _ store: borrowing TimerStore) {
    let mask = bucketCount &- 1
    var position = TimerIndex.home(store[node].slot, store[node].time) & mask
    while buckets[position] != 0 { position = (position &+ 1) & mask }
    buckets[position] = node &+ 1
  }

  private mutating func grow(_ store: borrowing TimerStore) {
    let old = buckets
    let oldCount = bucketCount
    bucketCount *= 2
    buckets = .zeroedBlocks(bucketCount)
    for position in 0..<oldCount where old[position] != 0 { place(old[position] - 1, store) }
    old.freeBlocks()
  }

  @inline(__always)
  private static func home(_ slot: UInt32, _ time: Int64) -> Int {
    Int(truncatingIfNeeded: mixHash(UInt64(bitPattern: time) ^ (UInt64(slot) << 32)))
  }
}
