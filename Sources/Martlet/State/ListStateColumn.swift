/// A list per slot: one growing block each.
///
/// ```
/// block:    count (8) | capacity (8) | oldest stamp (8) | element | element | …
/// element:  cell (8 or 16) | stamp (8, with a TTL only)
/// ```
///
/// A slot is set while its list has elements. Elements expire one by one; the oldest stamp says without looking at them whether
/// any can have.
final class ListStateColumn: StateColumn {
  let form: CellForm
  @exclusivity(unchecked) private var lists: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  private let stride: Int
  /// Of all lists in slots, not of those that the journal has.
  @exclusivity(unchecked) private var elementCount = 0
  private static let headerSize = 24
  /// Only with a store, and of lists with rows of their own: how many elements these have, and how many from the first on are the
  /// same as here. What is appended changes nothing of it.
  @exclusivity(unchecked) var inRows: [UInt32: (stored: Int, intact: Int)] = [:]

  override init(_ descriptor: StateDescriptor, _ environment: StateEnvironment, index: Int) {
    form = CellForm(descriptor.type)
    stride = form.stride + (descriptor.ttl == nil ? 0 : 8)
    lists = .zeroedBlocks(256)
    super.init(descriptor, environment, index: index)
  }

  deinit {
    for slot in 0..<usedSlots { if let block = lists[slot] { free(block) } }
    lists.freeBlocks()
  }

  override func grow(from old: Int) {
    lists.growBlocks(to: capacity)
    (lists + old).update(repeating: nil, count: capacity - old)
  }

  override var entryCount: Int { elementCount }

  override var prefetch: StatePrefetch? { StatePrefetch(present: present, values: lists, stride: 8) }

  // MARK: - Operations

  func count(_ slot: UInt32) -> Int {
    if expiry != nil { expire(slot) }
    return lists[Int(slot)].map(storedCount) ?? 0
  }

  override func exists(_ slot: UInt32) -> Bool { count(slot) > 0 }

  /// Calls `body` with every element, in order. A read as far as the TTL is concerned.
  func forEach<Failure: Error>(_ slot: UInt32, _ body: (StateCell) throws(Failure) -> Void) throws(Failure) {
    if expiry != nil { expire(slot) }
    guard let block = lists[Int(slot)] else { return }
    if let expiry, expiry.refreshesOnRead {
      refresh(block, expiry.stamp())
      if flags != nil { changed(slot, from: 0) }
    }
    for position in 0..<storedCount(block) { try body(form.load(element(block, position))) }
  }

  func append(_ slot: UInt32, _ cell: StateCell) {
    let block = room(slot, for: 1)
    let count = storedCount(block)
    form.initialize(element(block, count), cell)
    if let expiry { setStamp(block, count, expiry.stamp()) }
    setCount(block, count &+ 1)
    elementCount &+= 1
    markSet(slot)
    if let journal, journal.isActive { journal.append(.init(column: index, slot: slot, action: .shorter, count: 1)) }
  }

  override func clear(_ slot: UInt32) {
    guard let block = lists[Int(slot)] else { return }
    detach(slot, block)
    markEmpty(slot)
  }

  // MARK: - Expiry

  /// Removes the elements that have expired, unless they may be seen until they are swept.
  private func expire(_ slot: UInt32) {
    guard let expiry, let block = lists[Int(slot)] else { return }
    let now = expiry.now()
    guard !expiry.ttl.showsExpired, expiry.hasExpired(oldest(block), at: now) else { return }
    removeExpired(slot, block, expiry, now)
  }

  /// The elements from number `count` on are not those in the store any more.
  private func changed(_ slot: UInt32, from count: Int) {
    if let known = inRows[slot], known.intact > count { inRows[slot] = (known.stored, count) }
  }

  private func removeExpired(_ slot: UInt32, _ block: UnsafeMutableRawPointer, _ expiry: Expiry, _ now: Int64) {
    if isJournaling {
      // The records of this call count elements from the end, so the list they were made of has to come back as it was.
      replace(slot, block, keeping: { !expiry.hasExpired(self.stamp(block, $0), at: now) })
      return
    }
    var kept = 0
    var oldest = Int64.max
    if flags != nil { changed(slot, from: 0) }
    for position in 0..<storedCount(block) {
      let stamp = stamp(block, position)
      if expiry.hasExpired(stamp, at: now) {
        form.release(element(block, position))
        continue
      }
      if kept != position { element(block, kept).copyMemory(from: element(block, position), byteCount: stride) }
      oldest = min(oldest, stamp)
      kept += 1
    }
    elementCount &-= storedCount(block) - kept
    setCount(block, kept)
    setOldest(block, oldest)
    if kept == 0 {
      lists[Int(slot)] = nil
      freeBytes(block)
      markEmpty(slot)
    }
  }

  /// Puts a list with copies of some elements in the place of the list, which goes to the journal.
  private func replace(_ slot: UInt32, _ block: UnsafeMutableRawPointer, keeping: (Int) -> Bool) {
    lists[Int(slot)] = nil
    for position in 0..<storedCount(block) where keeping(position) {
      let copy = grown(slot, for: 1)
      let count = storedCount(copy)
      form.initialize(element(copy, count), form.load(element(block, position)))
      setStamp(copy, count, stamp(block, position))
      setCount(copy, count + 1)
      elementCount &+= 1
    }
    detach(slot, block)
    if lists[Int(slot)] == nil { markEmpty(slot) }
  }

  override func sweep(budget: Int) {
    guard let expiry else { return }
    let now = expiry.now()
    var rest = min(budget, usedSlots)
    while rest > 0 {
      if sweepSlot >= usedSlots { sweepSlot = 0 }
      if let block = lists[sweepSlot], expiry.hasExpired(oldest(block), at: now) {
        rest -= storedCount(block)
        removeExpired(UInt32(sweepSlot), block, expiry, now)
        flags?.markDirty(UInt32(sweepSlot))
      }
      sweepSlot &+= 1
      rest -= 1
    }
  }

  private func refresh(_ block: UnsafeMutableRawPointer, _ stamp: Int64) {
    // The read of a late record makes nothing older.
    setOldest(block, .max)
    for position in 0..<storedCount(block) { setStamp(block, position, max(self.stamp(block, position), stamp)) }
  }

  // MARK: - Undo

  /// Takes the block out of the slot: into the journal, or away.
  private func detach(_ slot: UInt32, _ block: UnsafeMutableRawPointer) {
    if lists[Int(slot)] == block { lists[Int(slot)] = nil }
    if flags != nil { changed(slot, from: 0) }
    elementCount &-= storedCount(block)
    guard let journal, journal.isActive else {
      free(block)
      return
    }
    journal.append(.init(column: index, slot: slot, action: .list, old: (UInt64(UInt(bitPattern: block)), 0)))
  }

  override func undo(_ record: UndoJournal.Record) {
    let slot = record.slot
    switch record.action {
    case .shorter:
      guard let block = lists[Int(slot)] else { return }
      let count = storedCount(block) - record.count
      if flags != nil { changed(slot, from: count) }
      for position in count..<storedCount(block) { form.release(element(block, position)) }
      setCount(block, count)
      elementCount &-= record.count
      if count == 0 {
        lists[Int(slot)] = nil
        freeBytes(block)
        markEmpty(slot)
      }
    case .list:
      if let block = lists[Int(slot)] {
        elementCount &-= storedCount(block)
        free(block)
      }
      lists[Int(slot)] = UnsafeMutableRawPointer(bitPattern: UInt(record.old.0))
      elementCount &+= storedCount(of: slot)
      markSet(slot)
    case .absent, .value, .noEntry, .entry, .map: preconditionFailure("a list records lists")
    }
  }

  override func discard(_ record: UndoJournal.Record) {
    if record.action == .list, let block = UnsafeMutableRawPointer(bitPattern: UInt(record.old.0)) { free(block) }
  }

  // MARK: - Blocks

  private func room(_ slot: UInt32, for more: Int) -> UnsafeMutableRawPointer {
    if let block = lists[Int(slot)], storedCount(block) &+ more <= storedCapacity(block) { return block }
    return grown(slot, for: more)
  }

  private func grown(_ slot: UInt32, for more: Int) -> UnsafeMutableRawPointer {
    let old = lists[Int(slot)]
    let count = old.map(storedCount) ?? 0
    if let old, count + more <= storedCapacity(old) { return old }
    let capacity = max(2 * count, count + more, 4)
    let block = reallocateBytes(old, ListStateColumn.headerSize + capacity * stride)
    if old == nil {
      setCount(block, 0)
      setOldest(block, .max)
    }
    block.storeBytes(of: capacity, toByteOffset: 8, as: Int.self)
    lists[Int(slot)] = block
    return block
  }

  private func free(_ block: UnsafeMutableRawPointer) {
    if form.isBytes { for position in 0..<storedCount(block) { form.release(element(block, position)) } }
    freeBytes(block)
  }

  @inline(__always)
  private func element(_ block: UnsafeMutableRawPointer, _ position: Int) -> UnsafeMutableRawPointer {
    block + (ListStateColumn.headerSize &+ position &* stride)
  }

  private func storedCount(_ block: UnsafeMutableRawPointer) -> Int { block.load(as: Int.self) }
  private func setCount(_ block: UnsafeMutableRawPointer, _ count: Int) { block.storeBytes(of: count, as: Int.self) }
  private func storedCapacity(_ block: UnsafeMutableRawPointer) -> Int { block.load(fromByteOffset: 8, as: Int.self) }
  private func oldest(_ block: UnsafeMutableRawPointer) -> Int64 { block.load(fromByteOffset: 16, as: Int64.self) }
  private func setOldest(_ block: UnsafeMutableRawPointer, _ stamp: Int64) {
    block.storeBytes(of: stamp, toByteOffset: 16, as: Int64.self)
  }

  private func stamp(_ block: UnsafeMutableRawPointer, _ position: Int) -> Int64 {
    element(block, position).load(fromByteOffset: form.stride, as: Int64.self)
  }
  private func putStamp(_ block: UnsafeMutableRawPointer, _ position: Int, _ stamp: Int64) {
    element(block, position).storeBytes(of: stamp, toByteOffset: form.stride, as: Int64.self)
  }
  private func setStamp(_ block: UnsafeMutableRawPointer, _ position: Int, _ stamp: Int64) {
    putStamp(block, position, stamp)
    setOldest(block, min(oldest(block), stamp))
  }

  // MARK: - For snapshots

  /// Every element as it is stored, expired or not, with its stamp.
  func forEachStored(_ slot: UInt32, _ body: (StateCell, Int64) -> Void) {
    guard let block = lists[Int(slot)] else { return }
    for position in 0..<storedCount(block) {
      body(form.load(element(block, position)), expiry == nil ? 0 : stamp(block, position))
    }
  }

  /// The elements from number `first` on, `count` of them.
  func forEachStored(_ slot: UInt32, from first: Int, count: Int, _ body: (StateCell, Int64) -> Void) {
    guard let block = lists[Int(slot)] else { return }
    for position in first..<(first + count) {
      body(form.load(element(block, position)), expiry == nil ? 0 : stamp(block, position))
    }
  }

  func storedCount(of slot: UInt32) -> Int { lists[Int(slot)].map(storedCount) ?? 0 }

  /// Appends an element with the stamp it had.
  func restore(_ slot: UInt32, _ cell: StateCell, stamp: Int64?) {
    append(slot, cell)
    if let stamp, expiry != nil, let block = lists[Int(slot)] { setStamp(block, storedCount(block) - 1, stamp) }
  }

  override var memoryBytes: Int {
    super.memoryBytes + slots.slotCount * 8
      + blockBytes.total(slots: usedSlots) { heapBytes(of: UInt32($0)) }
  }

  override var slotBytes: Int { super.slotBytes + 8 }
  override func heapBytes(of slot: UInt32) -> Int {
    guard let block = lists[Int(slot)] else { return 0 }
    var bytes = ListStateColumn.headerSize + storedCapacity(block) * stride
    if form.isBytes {
      for position in 0..<storedCount(block) { bytes += form.blockBytes(element(block, position)) }
    }
    return bytes
  }
}
