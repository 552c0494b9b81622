import CMartlet

/// The pending timers of one operator instance in one time domain.
///
/// Registering, deleting and firing are O(1) amortised for the usual timer (a time still to come), because time
/// only moves forward. The queue is a radix heap (Ahuja, Mehlhorn, Orlin, Tarjan 1990): a timer lies in the bucket
/// named by the highest bit in which its time differs from the *frontier*, the time reached so far. When the frontier
/// moves to `w`, every bucket below the highest changed bit is due as a whole, the bucket of that bit is dealt out
/// again, and no other bucket is looked at; a timer moves down at most 64 times in its life.
///
/// What has become due is sorted once, by time, then key bytes, then registration, and fired from the sorted run. A
/// timer registered at or before the frontier (in the past, or by a firing timer) goes to a small binary heap with
/// the same order; the next timer is the smaller of the two tops.
///
/// The firing rule is that of Flink's `InternalTimerServiceImpl`, with its order made total by the key bytes.
final class TimerQueue {
  struct Due {
    var time: Int64
    var slot: UInt32
    var depth: UInt32
    var name: TimerName
  }

  let keys: KeySpace
  /// Not counted: `keys` owns it.
  private let slots: Unmanaged<SlotAllocator>
  @exclusivity(unchecked) var store = TimerStore()
  @exclusivity(unchecked) private var index = TimerIndex()
  @exclusivity(unchecked) private var buckets = TimerBuckets()
  @exclusivity(unchecked) private(set) var run: [UInt32] = []
  @exclusivity(unchecked) private(set) var late: [UInt32] = []
  /// Used by `advance` only; kept for its memory.
  @exclusivity(unchecked) private var due: [UInt32] = []
  @exclusivity(unchecked) private var frontier: UInt64 = 0
  @exclusivity(unchecked) var sequence: UInt64 = 0
  @exclusivity(unchecked) private(set) var count = 0
  /// What the running callback changed, while somebody may want it undone.
  @exclusivity(unchecked) var undo = TimerUndo()
  /// The first pending timer of each slot, plus one; its timers are a doubly linked list. With `indexedMark` they are in the index
  /// too: a key with a few timers is searched faster along its list, which saves a table that is out of the cache (at 100 k
  /// keys of one timer each, most of the time of a delete and a register).
  @exclusivity(unchecked) private var heads: UnsafeMutablePointer<UInt32>
  @exclusivity(unchecked) private var headCapacity = 256

  private static let indexedMark: UInt32 = 1 << 31
  /// The longest list that is not indexed.
  private static let shortList = 8

  init(keys: KeySpace) {
    self.keys = keys
    slots = .passUnretained(keys.slots)
    heads = .zeroedBlocks(headCapacity)
  }

  deinit { heads.freeBlocks() }

  var memoryBytes: Int {
    store.memoryBytes + index.memoryBytes + buckets.memoryBytes + headCapacity * 4 + (run.capacity + late.capacity) * 4
  }

  /// Adds a timer for the key of `slot`; false if it already has one at that time. A named timer moves to `time` if it is
  /// pending already. `depth` counts how many timers in one pass led to this one, each registered by the one before.
  @discardableResult
  func register(slot: UInt32, time: Int64, name: TimerName = .none, depth: UInt32) -> Bool {
    if let known = find(slot, time, name) {
      if name == .none || store[known].time == time { return false }
      remove(known)
    }
    sequence &+= 1
    let node = TimerNode(time: time, sequence: sequence, slot: slot, depth: depth, name: name)
    if undo.isRecording { undo.note(added: node) }
    insert(node)
    return true
  }

  /// Takes back the key's unnamed timer at that time, or the timer of that name; false if there is none.
  @discardableResult
  func delete(slot: UInt32, time: Int64 = 0, name: TimerName = .none) -> Bool {
    guard let node = find(slot, time, name) else { return false }
    remove(node)
    return true
  }

  /// Makes a timer pending; its name or time is new to its key.
  func insert(_ timer: TimerNode) {
    if Int(timer.slot) >= headCapacity { growHeads(for: timer.slot) }
    let node = store.add(timer)
    link(node, timer.slot)
    slots._withUnsafeGuaranteedRef { $0.live[Int(timer.slot)] &+= 1 }
    count &+= 1
    if TimerBuckets.order(timer.time) > frontier {
      buckets.add(node, frontier, store)
    } else {
      pushLate(node)
    }
  }

  func remove(_ node: UInt32) {
    if undo.isRecording { undo.note(removed: store[node]) }
    switch store[node].place {
    case .bucket(let bucket): buckets.remove(node, bucket, store)
    case .late(let position): removeLate(at: position)
    case .run(let position): run[position] = TimerStore.gone
    }
    drop(node)
  }

  /// Whether anything may be due at `time`. Cheap: a mask, no memory.
  @inline(__always)
  func mayBeDue(at time: Int64) -> Bool {
    count > 0 && (!late.isEmpty || !run.isEmpty || buckets.mayHoldDue(TimerBuckets.order(time), frontier))
  }

  /// Moves the frontier and gathers what falls due. Follow with `popDue` until it has no more.
  func advance(to time: Int64) {
    let target = TimerBuckets.order(time)
    guard target > frontier else { return }
    due.removeAll(keepingCapacity: due.count <= 1 << 16)
    buckets.advance(from: frontier, to: target, store) { due.append($0) }
    frontier = target
    guard !due.isEmpty else { return }
    if run.last == nil {
      if due.count == 1 {
        run.append(due[0])
      } else {
        run = sortedLatestFirst(due)
      }
      for (position, node) in run.enumerated() { store[node].place = .run(position) }
    } else {
      // The clock moved while an earlier run is still firing: the heap keeps the order across both.
      for node in due { pushLate(node) }
    }
  }

  /// Whether `popDue` has a timer to give.
  func isDue(at time: Int64) -> Bool {
    while run.last == TimerStore.gone { run.removeLast() }
    return run.last != nil || late.first.map { store[$0].time <= time } ?? false
  }

  /// Forgets every pending timer.
  func removeAll() { for node in inOrderOfRegistration() { remove(node) } }

  /// Takes the next timer that is due at `time`, in firing order; it is no longer pending.
  func popDue(at time: Int64) -> Due? {
    while run.last == TimerStore.gone { run.removeLast() }
    let node: UInt32
    if let top = late.first, run.last.map({ precedes(top, $0) }) ?? true {
      guard store[top].time <= time else { return nil }
      node = top
      removeLate(at: 0)
    } else if let last = run.last {
      node = last
      run.removeLast()
    } else {
      return nil
    }
    let due = Due(
      time: store[node].time, slot: store[node].slot, depth: store[node].depth, name: store[node].name)
    drop(node)
    return due
  }

  /// A time at or after the frontier before which nothing falls due; nil if nothing is pending. It may be too early, never
  /// too late: ask again once it has come.
  var nextWake: Int64? {
    guard count > 0 else { return nil }
    if let top = late.first { return run.isEmpty ? store[top].time : Int64.min }
    if !run.isEmpty { return Int64.min }
    return buckets.lowerBound(frontier).map { Int64(bitPattern: $0) ^ Int64.min }
  }

  /// The pending timers of a key: by time, then in order of registration.
  func pending(slot: UInt32) -> [TimerNode] {
    guard Int(slot) < headCapacity else { return [] }
    var timers: [TimerNode] = []
    forEachTimer(of: slot) { timers.append(store[$0]) }
    return timers.sorted { ($0.time, $0.sequence) < ($1.time, $1.sequence) }
  }

  /// When the key's timer of that name fires; nil if it is not pending.
  func time(slot: UInt32, name: TimerName) -> Int64? { find(slot, 0, name).map { store[$0].time } }

  // MARK: - Order

  private func precedes(_ a: UInt32, _ b: UInt32) -> Bool {
    let left = store[a]
    let right = store[b]
    if left.time != right.time { return left.time < right.time }
    if left.slot != right.slot { return keys.precedes(left.slot, right.slot) }
    return left.sequence < right.sequence
  }

  /// Sorts on time and key prefix, which lie beside each other, and asks the key table only where both agree.
  private func sortedLatestFirst(_ nodes: [UInt32]) -> [UInt32] {
    struct Entry {
      var time: Int64
      var prefix: UInt64
      var node: UInt32
    }
    var entries = nodes.map { Entry(time: store[$0].time, prefix: keys.sortPrefix(store[$0].slot), node: $0) }
    entries.sort { a, b in
      if a.time != b.time { return a.time > b.time }
      if a.prefix != b.prefix { return a.prefix > b.prefix }
      return precedes(b.node, a.node)
    }
    return entries.map(\.node)
  }

  // MARK: - The heap of late registrations

  private func pushLate(_ node: UInt32) {
    late.append(node)
    siftUp(late.count - 1)
  }

  private func removeLate(at position: Int) {
    let last = late.removeLast()
    guard position < late.count else { return }
    late[position] = last
    siftUp(position)
    siftDown(store[last].position)
  }

  private func siftUp(_ start: Int) {
    var position = start
    let node = late[position]
    while position > 0 {
      let parent = (position - 1) / 2
      guard precedes(node, late[parent]) else { break }
      place(late[parent], at: position)
      position = parent
    }
    place(node, at: position)
  }

  private func siftDown(_ start: Int) {
    var position = start
    let node = late[position]
    while true {
      var child = 2 * position + 1
      guard child < late.count else { break }
      if child + 1 < late.count, precedes(late[child + 1], late[child]) { child += 1 }
      guard precedes(late[child], node) else { break }
      place(late[child], at: position)
      position = child
    }
    place(node, at: position)
  }

  private func place(_ node: UInt32, at position: Int) {
    late[position] = node
    store[node].place = .late(position)
  }

  // MARK: - Bookkeeping

  /// Forgets a node that no container holds any more.
  private func drop(_ node: UInt32) {
    let slot = store[node].slot
    unlink(node, slot)
    store.free(node)
    count &-= 1
    slots._withUnsafeGuaranteedRef { slots in
      let live = slots.live + Int(slot)
      live.pointee &-= 1
      if live.pointee == 0 { slots.noteEmpty(slot) }
    }
  }

  private func link(_ node: UInt32, _ slot: UInt32) {
    let mark = heads[Int(slot)] & TimerQueue.indexedMark
    let first = heads[Int(slot)] & ~TimerQueue.indexedMark
    store[node].next = first
    store[node].previous = 0
    if first != 0 { store[first &- 1].previous = node &+ 1 }
    heads[Int(slot)] = (node &+ 1) | mark
    if mark != 0 {
      index.insert(node, store)
    } else if first != 0, isLong(slot) {
      heads[Int(slot)] |= TimerQueue.indexedMark
      forEachTimer(of: slot) { index.insert($0, store) }
    }
  }

  private func isLong(_ slot: UInt32) -> Bool {
    var length = 0
    var node = heads[Int(slot)] & ~TimerQueue.indexedMark
    while node != 0, length <= TimerQueue.shortList {
      length &+= 1
      node = store[node &- 1].next
    }
    return length > TimerQueue.shortList
  }

  /// The key's timer of that name, whatever its time; without a name, the one at that time.
  @inline(__always)
  private func find(_ slot: UInt32, _ time: Int64, _ name: TimerName) -> UInt32? {
    guard Int(slot) < headCapacity else { return nil }
    var node = heads[Int(slot)]
    if node & TimerQueue.indexedMark != 0 { return index.find(slot: slot, time: time, name: name, store) }
    while node != 0 {
      let number = node &- 1
      if store[number].name == name, name != .none || store[number].time == time { return number }
      node = store[number].next
    }
    return nil
  }

  private func forEachTimer(of slot: UInt32, _ body: (UInt32) -> Void) {
    var node = heads[Int(slot)] & ~TimerQueue.indexedMark
    while node != 0 {
      body(node &- 1)
      node = store[node &- 1].next
    }
  }

  func inOrderOfRegistration() -> [UInt32] {
    var nodes: [UInt32] = []
    nodes.reserveCapacity(count)
    for slot in 0..<headCapacity where heads[slot] != 0 { forEachTimer(of: UInt32(slot)) { nodes.append($0) } }
    nodes.sort { store[$0].sequence < store[$1].sequence }
    return nodes
  }

  private func unlink(_ node: UInt32, _ slot: UInt32) {
    let next = store[node].next
    let previous = store[node].previous
    let mark = heads[Int(slot)] & TimerQueue.indexedMark
    if mark != 0 { index.remove(node, store) }
    if previous == 0 {
      heads[Int(slot)] = next == 0 ? 0 : next | mark
    } else {
      store[previous &- 1].next = next
    }
    if next != 0 { store[next &- 1].previous = previous }
  }

  private func growHeads(for slot: UInt32) {
    let old = headCapacity
    while headCapacity <= Int(slot) { headCapacity *= 2 }
    heads.growBlocks(to: headCapacity)
    (heads + old).update(repeating: 0, count: headCapacity - old)
  }
}
