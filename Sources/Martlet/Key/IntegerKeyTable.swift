import CMartlet

/// The keys of rows, wherever they are.
protocol IntegerKeys {
  subscript(row: Int) -> Int64 { get }
}

/// A column of 64-bit integers.
struct PlainIntegers: IntegerKeys {
  private let keys: UnsafePointer<Int64>

  init(_ keys: UnsafePointer<Int64>) { self.keys = keys }

  subscript(row: Int) -> Int64 {
    @inline(__always) get { keys[row] }
  }
}

struct ReferredIntegers: IntegerKeys {
  private let keys: UnsafePointer<KeyRef>

  init(_ keys: UnsafePointer<KeyRef>) { self.keys = keys }

  subscript(row: Int) -> Int64 {
    @inline(__always) get { keys[row].integer }
  }
}

/// Key → dense slot for keys that are one integer: open addressing, linear probing, power-of-two size.
///
/// A bucket holds the key beside the slot, so that a lookup costs one cache miss. Removal shifts the following
/// entries back instead of leaving a tombstone: the table is the same whatever was in it before, and tables
/// with many short-lived keys do not degrade.
///
/// Memory per key: 16 bytes a bucket at a load of at most 3/4, and 8 for the way back from slot to key.
struct IntegerKeyTable: ~Copyable {
  struct Bucket: BitwiseCopyable {
    var key: Int64
    /// The slot plus one; 0 marks an empty bucket, so that a zeroed block is an empty table.
    var slotPlusOne: UInt64
  }

  private var buckets: UnsafeMutablePointer<Bucket>
  private var bucketCount: Int
  private(set) var count = 0

  init() {
    bucketCount = 1024
    buckets = .zeroedBlocks(bucketCount)
  }

  deinit { buckets.freeBlocks() }

  var memoryBytes: Int { bucketCount * MemoryLayout<Bucket>.stride }

  /// Slots of `keys[i]` for which `slots[i]` is not `noSlot`; new keys get theirs from `allocator`.
  ///
  /// Places are fetched some rows ahead, so that misses overlap instead of being waited for one by one; until a row's turn comes, its slot
  /// has the place to look at. Without `mayBeNull` the slots come in undefined and no key is null.
  mutating func intern<Keys: IntegerKeys>(
    _ keys: Keys, _ slots: UnsafeMutablePointer<UInt32>, count rows: Int,
    _ allocator: SlotAllocator, mayBeNull: Bool = true
  ) {
    if mayBeNull {
      intern(keys, slots, rows, allocator, true)
    } else {
      intern(keys, slots, rows, allocator, false)
    }
  }

  mutating func intern(
    _ keys: UnsafePointer<KeyRef>, _ slots: UnsafeMutablePointer<UInt32>, count rows: Int,
    _ allocator: SlotAllocator, mayBeNull: Bool = true
  ) {
    intern(ReferredIntegers(keys), slots, count: rows, allocator, mayBeNull: mayBeNull)
  }

  @inline(__always)
  private mutating func intern<Keys: IntegerKeys>(
    _ keys: Keys, _ slots: UnsafeMutablePointer<UInt32>, _ rows: Int,
    _ allocator: SlotAllocator, _ mayBeNull: Bool
  ) {
    var start = 0
    // The rows before it that are still to come have their places in `slots`.
    var placed = 0
    while start < rows {
      let end = min(start &+ 64, rows)
      if reserve(end &- start) { placed = start }
      let mask = bucketCount &- 1
      if bucketCount <= IntegerKeyTable.cachedBuckets {
        for row in start..<end where !mayBeNull || slots[row] != Slot.none {
          let key = keys[row]
          slots[row] = findOrInsert(key, at: IntegerKeyTable.hash(key) & mask, allocator)
        }
      } else {
        for row in start..<end {
          while placed < min(row &+ IntegerKeyTable.ahead, rows) {
            let place = IntegerKeyTable.hash(keys[placed]) & mask
            martlet_prefetch(buckets + place)
            if !mayBeNull || slots[placed] != Slot.none { slots[placed] = UInt32(truncatingIfNeeded: place) }
            placed &+= 1
          }
          if !mayBeNull || slots[row] != Slot.none {
            slots[row] = findOrInsert(keys[row], at: Int(slots[row]), allocator)
          }
        }
      }
      start = end
    }
  }

  /// A table of so many buckets stays in the second-level cache: nothing is fetched ahead.
  private static let cachedBuckets = 1 << 14

  /// How many rows ahead. A counter's record at 1 M keys took 33.2 ns with blocks of 64 rows that were fetched together, 31.0 so; at 100,000
  /// keys 13.6 and 13.4. 12 and 24 rows are as good, 48 are not.
  private static let ahead = 16

  @inline(__always)
  private mutating func findOrInsert(_ key: Int64, at place: Int, _ allocator: SlotAllocator) -> UInt32 {
    let mask = bucketCount &- 1
    let buckets = buckets
    var position = place
    while true {
      let bucket = buckets[position]
      if _slowPath(bucket.slotPlusOne == 0) { return insert(key, at: position, allocator) }
      if _fastPath(bucket.key == key) { return UInt32(truncatingIfNeeded: bucket.slotPlusOne &- 1) }
      position = (position &+ 1) & mask
    }
  }

  @inline(never)
  private mutating func insert(_ key: Int64, at position: Int, _ allocator: SlotAllocator) -> UInt32 {
    let slot = allocator.allocate()
    allocator.integerKeys[Int(slot)] = key
    buckets[position] = Bucket(key: key, slotPlusOne: UInt64(slot) &+ 1)
    count &+= 1
    return slot
  }

  /// One multiplication; the high half of the product, which depends on every bit of the key, folded into the low one.
  @inline(__always)
  private static func hash(_ key: Int64) -> Int {
    let product = UInt64(bitPattern: key) &* 0x9E37_79B9_7F4A_7C15
    return Int(truncatingIfNeeded: product ^ (product >> 32))
  }

  /// The slot of `key`, if it has one.
  func find(_ key: Int64) -> UInt32? {
    let mask = bucketCount &- 1
    var index = IntegerKeyTable.hash(key) & mask
    while buckets[index].slotPlusOne != 0 {
      if buckets[index].key == key { return UInt32(buckets[index].slotPlusOne - 1) }
      index = (index &+ 1) & mask
    }
    return nil
  }

  /// Fetches the key's place.
  @inline(__always)
  func prefetch(_ key: Int64) { martlet_prefetch(buckets + (IntegerKeyTable.hash(key) & (bucketCount &- 1))) }

  mutating func remove(_ key: Int64) {
    let mask = bucketCount &- 1
    var hole = IntegerKeyTable.hash(key) & mask
    while buckets[hole].slotPlusOne != 0, buckets[hole].key != key { hole = (hole &+ 1) & mask }
    guard buckets[hole].slotPlusOne != 0 else { return }
    var next = (hole &+ 1) & mask
    while buckets[next].slotPlusOne != 0 {
      let home = IntegerKeyTable.hash(buckets[next].key) & mask
      // The entry may move into the hole unless its home lies after the hole, going round.
      if (next &- home) & mask >= (next &- hole) & mask {
        buckets[hole] = buckets[next]
        hole = next
      }
      next = (next &+ 1) & mask
    }
    buckets[hole].slotPlusOne = 0
    count &-= 1
  }

  /// Makes room for so many keys more; true if places are others now.
  private mutating func reserve(_ more: Int) -> Bool {
    let needed = count &+ more
    guard TableLoad.isFull(needed, of: bucketCount) else { return false }
    let old = buckets
    let oldCount = bucketCount
    while TableLoad.isFull(needed, of: bucketCount) { bucketCount &*= 2 }
    buckets = .zeroedBlocks(bucketCount)
    let mask = bucketCount &- 1
    for position in 0..<oldCount where old[position].slotPlusOne != 0 {
      var index = IntegerKeyTable.hash(old[position].key) & mask
      while buckets[index].slotPlusOne != 0 { index = (index &+ 1) & mask }
      buckets[index] = old[position]
    }
    old.freeBlocks()
    return true
  }
}
