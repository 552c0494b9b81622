import CMartlet

/// Key → dense slot for keys that are bytes: strings, binary, decimals and composite keys.
///
/// A bucket holds the hash, 32 bits of it, and the slot; the bytes themselves live once, in the slot allocator, and
/// are only compared when the hash agrees. Otherwise as `IntegerKeyTable`.
struct BytesKeyTable: ~Copyable {
  struct Bucket: BitwiseCopyable {
    var hash: UInt32
    var slotPlusOne: UInt32
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

  /// As `IntegerKeyTable.intern`, in three passes: hash, fetch the key bytes of the probable slot, compare.
  mutating func intern(
    _ keys: UnsafePointer<KeyRef>, _ slots: UnsafeMutablePointer<UInt32>, count rows: Int,
    _ allocator: SlotAllocator, mayBeNull: Bool = true
  ) {
    if mayBeNull {
      intern(keys, slots, rows, allocator, true)
    } else {
      intern(keys, slots, rows, allocator, false)
    }
  }

  @inline(__always)
  private mutating func intern(
    _ keys: UnsafePointer<KeyRef>, _ slots: UnsafeMutablePointer<UInt32>, _ rows: Int,
    _ allocator: SlotAllocator, _ mayBeNull: Bool
  ) {
    withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 64) { hashes in
      let hashes = hashes.baseAddress.unsafelyUnwrapped
      var start = 0
      while start < rows {
        let end = min(start &+ 64, rows)
        reserve(end &- start)
        let mask = UInt32(bucketCount &- 1)
        for row in start..<end where !mayBeNull || slots[row] != Slot.none {
          let hash = hash32(keys[row].bytes, keys[row].count)
          hashes[row &- start] = hash
          martlet_prefetch(buckets + Int(hash & mask))
        }
        // A table that is in the cache needs no pass to fetch from it.
        for row in start..<(bucketCount > BytesKeyTable.cachedBuckets ? end : start)
        where !mayBeNull || slots[row] != Slot.none {
          let bucket = buckets[Int(hashes[row &- start] & mask)]
          if bucket.slotPlusOne != 0 { martlet_prefetch(allocator.byteKeys + Int(bucket.slotPlusOne &- 1)) }
        }
        for row in start..<end where !mayBeNull || slots[row] != Slot.none {
          slots[row] = findOrInsert(keys[row], hashes[row &- start], mask, allocator)
        }
        start = end
      }
    }
  }

  /// Of so many buckets at most, and their keys, all are in the second-level cache.
  private static let cachedBuckets = 1 << 13

  @inline(__always)
  private mutating func findOrInsert(
    _ key: KeyRef, _ hash: UInt32, _ mask: UInt32, _ allocator: SlotAllocator
  ) -> UInt32 {
    var index = hash & mask
    while true {
      let bucket = buckets + Int(index)
      if bucket.pointee.slotPlusOne == 0 {
        let slot = allocator.allocate()
        allocator.byteKeys[Int(slot)] = InlineBytes(copying: key.bytes, key.count)
        bucket.pointee = Bucket(hash: hash, slotPlusOne: slot &+ 1)
        count &+= 1
        return slot
      }
      if bucket.pointee.hash == hash {
        let slot = bucket.pointee.slotPlusOne &- 1
        let stored = (allocator.byteKeys + Int(slot)).bytes
        if stored.count == key.count,
          equalBytes(stored.baseAddress.unsafelyUnwrapped, key.bytes, key.count)
        {
          return slot
        }
      }
      index = (index &+ 1) & mask
    }
  }

  /// The slot of the key with these bytes, if it has one.
  func find(_ bytes: UnsafeRawBufferPointer, _ allocator: SlotAllocator) -> UInt32? {
    guard let index = position(bytes, allocator) else { return nil }
    return buckets[index].slotPlusOne - 1
  }

  private func position(_ bytes: UnsafeRawBufferPointer, _ allocator: SlotAllocator) -> Int? {
    let mask = UInt32(bucketCount &- 1)
    let start = bytes.baseAddress ?? UnsafeRawPointer(buckets)
    let hash = hash32(start, bytes.count)
    var index = hash & mask
    while buckets[Int(index)].slotPlusOne != 0 {
      if buckets[Int(index)].hash == hash {
        let stored = (allocator.byteKeys + Int(buckets[Int(index)].slotPlusOne - 1)).bytes
        if stored.count == bytes.count,
          equalBytes(stored.baseAddress.unsafelyUnwrapped, start, bytes.count)
        {
          return Int(index)
        }
      }
      index = (index &+ 1) & mask
    }
    return nil
  }

  /// Removes the key of `slot`; its bytes still belong to the allocator.
  mutating func remove(slot: UInt32, _ allocator: SlotAllocator) {
    guard let found = position((allocator.byteKeys + Int(slot)).bytes, allocator) else { return }
    let mask = UInt32(bucketCount &- 1)
    var hole = UInt32(found)
    var next = (hole &+ 1) & mask
    while buckets[Int(next)].slotPlusOne != 0 {
      let home = buckets[Int(next)].hash & mask
      if (next &- home) & mask >= (next &- hole) & mask {
        buckets[Int(hole)] = buckets[Int(next)]
        hole = next
      }
      next = (next &+ 1) & mask
    }
    buckets[Int(hole)].slotPlusOne = 0
    count &-= 1
  }

  private mutating func reserve(_ more: Int) {
    let needed = count &+ more
    guard TableLoad.isFull(needed, of: bucketCount) else { return }
    let old = buckets
    let oldCount = bucketCount
    while TableLoad.isFull(needed, of: bucketCount) { bucketCount &*= 2 }
    buckets = .zeroedBlocks(bucketCount)
    let mask = UInt32(bucketCount &- 1)
    for position in 0..<oldCount where old[position].slotPlusOne != 0 {
      var index = old[position].hash & mask
      while buckets[Int(index)].slotPlusOne != 0 { index = (index &+ 1) & mask }
      buckets[Int(index)] = old[position]
    }
    old.freeBlocks()
  }

  @inline(__always)
  private func hash32(_ bytes: UnsafeRawPointer, _ count: Int) -> UInt32 {
    UInt32(truncatingIfNeeded: mixHash(bytes, count))
  }
}
