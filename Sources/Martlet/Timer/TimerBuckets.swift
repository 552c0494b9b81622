/// The 64 buckets of the radix heap: timers after the frontier, by the highest bit in which they differ from it.
struct TimerBuckets: ~Copyable {
  private struct Bucket: BitwiseCopyable {
    var nodes: UnsafeMutablePointer<UInt32>
    var count = 0
    var capacity = 0
  }

  private var buckets: UnsafeMutablePointer<Bucket>
  /// Bit b is set while bucket b is not empty.
  private var occupied: UInt64 = 0

  init() {
    buckets = .allocate(capacity: 64)
    for bucket in 0..<64 { (buckets + bucket).initialize(to: Bucket(nodes: .blocks(0))) }
  }

  deinit {
    for bucket in 0..<64 { buckets[bucket].nodes.freeBlocks() }
    buckets.deallocate()
  }

  var memoryBytes: Int { (0..<64).reduce(0) { $0 + buckets[$1].capacity * MemoryLayout<UInt32>.stride } }

  /// Times as unsigned numbers in the same order.
  @inline(__always)
  static func order(_ time: Int64) -> UInt64 { UInt64(bitPattern: time ^ Int64.min) }

  /// Whether a bucket holds timers that may be at or before `target`.
  @inline(__always)
  func mayHoldDue(_ target: UInt64, _ frontier: UInt64) -> Bool {
    guard target > frontier else { return false }
    let highest = UInt64(63 &- (target ^ frontier).leadingZeroBitCount)
    return occupied & (UInt64.max >> (63 &- highest)) != 0
  }

  /// A time, as an ordered number, before which no timer of the buckets lies; nil if there are none. A bucket is not searched
  /// for its first timer: when the frontier reaches this time the bucket is dealt out anyway, and the bound becomes closer.
  func lowerBound(_ frontier: UInt64) -> UInt64? {
    guard occupied != 0 else { return nil }
    let lowest = UInt64(occupied.trailingZeroBitCount)
    return ((frontier >> lowest) | 1) << lowest
  }

  /// Adds a timer whose time is after the frontier.
  mutating func add(_ node: UInt32, _ frontier: UInt64, _ store: borrowing TimerStore) {
    let number = 63 &- (TimerBuckets.order(store[node].time) ^ frontier).leadingZeroBitCount
    let bucket = buckets + number
    if bucket.pointee.count == bucket.pointee.capacity {
      bucket.pointee.capacity = max(16, bucket.pointee.capacity * 2)
      bucket.pointee.nodes.growBlocks(to: bucket.pointee.capacity)
    }
    bucket.pointee.nodes[bucket.pointee.count] = node
    store[node].put(inBucket: number, at: bucket.pointee.count)
    bucket.pointee.count &+= 1
    occupied |= 1 << UInt64(number)
  }

  /// Takes a timer out of its bucket; the last one takes its place.
  mutating func remove(_ node: UInt32, _ number: Int, _ store: borrowing TimerStore) {
    let bucket = buckets + number
    bucket.pointee.count &-= 1
    let position = store[node].position
    let last = bucket.pointee.nodes[bucket.pointee.count]
    bucket.pointee.nodes[position] = last
    store[last].moved(to: position)
    if bucket.pointee.count == 0 { occupied &= ~(1 << UInt64(number)) }
  }

  /// Moves the frontier; `due` is called with every timer at or before `target`, in no order.
  mutating func advance(
    from frontier: UInt64, to target: UInt64, _ store: borrowing TimerStore, due: (UInt32) -> Void
  ) {
    let highest = 63 &- (target ^ frontier).leadingZeroBitCount
    // Below the highest changed bit a timer shares that bit with the old frontier, so it is before the target.
    for number in 0..<highest where occupied & (1 << UInt64(number)) != 0 {
      let bucket = buckets + number
      for position in 0..<bucket.pointee.count { due(bucket.pointee.nodes[position]) }
      empty(number)
    }
    guard occupied & (1 << UInt64(highest)) != 0 else { return }
    // Timers of this bucket have the bit set, as the target has: they are before it or go to a lower bucket, never to this one.
    let bucket = buckets[highest]
    empty(highest)
    for position in 0..<bucket.count {
      let node = bucket.nodes[position]
      if TimerBuckets.order(store[node].time) <= target { due(node) } else { add(node, target, store) }
    }
    // A large block is given back; a small one is kept, since time that goes on in small steps deals a bucket out at each.
    if bucket.capacity > TimerBuckets.keptCapacity {
      bucket.nodes.freeBlocks()
      buckets[highest] = Bucket(nodes: .blocks(0))
    }
  }

  private static let keptCapacity = 1 << 12

  private mutating func empty(_ number: Int) {
    buckets[number].count = 0
    occupied &= ~(1 << UInt64(number))
  }
}
