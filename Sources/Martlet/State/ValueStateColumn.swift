/// One value per slot: what value, reducing and aggregating states keep.
///
/// With a TTL every slot has a stamp, the time its value counts from.
public class ValueStateColumn: StateColumn {
  @exclusivity(unchecked) private(set) final var stamps: UnsafeMutablePointer<Int64>?

  override init(_ descriptor: StateDescriptor, _ environment: StateEnvironment, index: Int) {
    super.init(descriptor, environment, index: index)
    if expiry != nil { stamps = .blocks(capacity) }
  }

  deinit { stamps?.freeBlocks() }

  override func grow(from old: Int) { stamps?.growBlocks(to: capacity) }

  /// Whether a read finds a value: it is there and, with a TTL, still valid. An expired one is removed, unless it may be seen
  /// until it is swept.
  @inline(__always)
  final func hasReadable(_ slot: UInt32) -> Bool { isSet(slot) && (isPlain || passesExpiry(slot, isRead: true)) }

  final override func exists(_ slot: UInt32) -> Bool { isSet(slot) && (isPlain || passesExpiry(slot, isRead: false)) }

  private final func passesExpiry(_ slot: UInt32, isRead: Bool) -> Bool {
    guard let expiry, let stamps else { return true }
    if expiry.hasExpired(stamps[Int(slot)]) {
      if expiry.ttl.showsExpired { return true }
      remove(slot)
      return false
    }
    if isRead && expiry.refreshesOnRead { stamps[Int(slot)] = max(stamps[Int(slot)], expiry.stamp()) }
    return true
  }

  /// Called before every write.
  @inline(__always)
  final func willWrite(_ slot: UInt32) {
    if !isPlain { noteWrite(slot) }
  }

  /// Makes the value as new as a write does, without one.
  final func touch(_ slot: UInt32) {
    if let expiry, let stamps { stamps[Int(slot)] = expiry.stamp() }
  }

  private final func noteWrite(_ slot: UInt32) {
    record(slot)
    if let expiry, let stamps { stamps[Int(slot)] = expiry.stamp() }
  }

  private final func record(_ slot: UInt32) {
    guard let journal, journal.isActive else { return }
    guard isSet(slot) else {
      journal.append(.init(column: index, slot: slot, action: .absent))
      return
    }
    journal.append(
      .init(column: index, slot: slot, action: .value, old: take(slot), stamp: stamps?[Int(slot)] ?? 0))
  }

  final override func clear(_ slot: UInt32) {
    guard isSet(slot) else { return }
    if !isPlain { record(slot) }
    remove(slot)
  }

  final override func undo(_ record: UndoJournal.Record) {
    switch record.action {
    case .absent: remove(record.slot)
    case .value:
      put(record.slot, record.old)
      markSet(record.slot)
      stamps?[Int(record.slot)] = record.stamp
    case .shorter, .list, .noEntry, .entry, .map: preconditionFailure("a value state records values")
    }
  }

  final override func sweep(budget: Int) {
    guard let expiry, let stamps else { return }
    let now = expiry.now()
    for _ in 0..<min(budget, usedSlots) {
      if sweepSlot >= usedSlots { sweepSlot = 0 }
      if present[sweepSlot] != 0, expiry.hasExpired(stamps[sweepSlot], at: now) {
        remove(UInt32(sweepSlot))
        flags?.markDirty(UInt32(sweepSlot))
      }
      sweepSlot &+= 1
    }
  }

  final func stamp(of slot: UInt32) -> Int64? { stamps?[Int(slot)] }
  final func setStamp(of slot: UInt32, _ stamp: Int64) { stamps?[Int(slot)] = stamp }

  /// Forgets the value, without a record of it.
  private final func remove(_ slot: UInt32) {
    drop(slot)
    markEmpty(slot)
  }

  /// Frees what the value owns.
  func drop(_ slot: UInt32) {}
  /// The value, moved out.
  func take(_ slot: UInt32) -> (UInt64, UInt64) { (0, 0) }
  /// The value moved back in, in place of what is there.
  func put(_ slot: UInt32, _ value: (UInt64, UInt64)) {}

  override var memoryBytes: Int { super.memoryBytes + (stamps == nil ? 0 : slots.slotCount * 8) }
  override var slotBytes: Int { super.slotBytes + (stamps == nil ? 0 : 8) }
}

/// Values of a fixed width, side by side.
final class FixedStateColumn<Value: BitwiseCopyable>: ValueStateColumn {
  @exclusivity(unchecked) private(set) var values: UnsafeMutablePointer<Value>

  override init(_ descriptor: StateDescriptor, _ environment: StateEnvironment, index: Int) {
    values = .blocks(256)
    super.init(descriptor, environment, index: index)
  }

  deinit { values.freeBlocks() }

  override func grow(from old: Int) {
    super.grow(from: old)
    values.growBlocks(to: capacity)
  }

  override var prefetch: StatePrefetch? {
    StatePrefetch(present: present, values: values, stride: MemoryLayout<Value>.stride)
  }

  @inline(__always)
  func get(_ slot: UInt32) -> Value? { hasReadable(slot) ? values[Int(slot)] : nil }

  @inline(__always)
  func set(_ slot: UInt32, _ value: Value) {
    willWrite(slot)
    markSet(slot)
    values[Int(slot)] = value
  }

  override func take(_ slot: UInt32) -> (UInt64, UInt64) {
    (UnsafeRawPointer(values + Int(slot)).loadUnaligned(as: UInt64.self), 0)
  }

  override func put(_ slot: UInt32, _ value: (UInt64, UInt64)) {
    UnsafeMutableRawPointer(values + Int(slot)).storeBytes(of: value.0, as: UInt64.self)
  }

  override var memoryBytes: Int { super.memoryBytes + slots.slotCount * MemoryLayout<Value>.stride }
  override var slotBytes: Int { super.slotBytes + MemoryLayout<Value>.stride }
}

/// Byte strings: short ones inline, long ones in a block each.
final class BytesStateColumn: ValueStateColumn {
  @exclusivity(unchecked) private var values: UnsafeMutablePointer<InlineBytes>

  override init(_ descriptor: StateDescriptor, _ environment: StateEnvironment, index: Int) {
    values = .zeroedBlocks(256)
    super.init(descriptor, environment, index: index)
  }

  deinit {
    for slot in 0..<usedSlots { values[slot].release() }
    values.freeBlocks()
  }

  override func grow(from old: Int) {
    super.grow(from: old)
    values.growBlocks(to: capacity)
    (values + old).update(repeating: .empty, count: capacity - old)
  }

  override var prefetch: StatePrefetch? {
    StatePrefetch(present: present, values: values, stride: MemoryLayout<InlineBytes>.stride)
  }

  /// The bytes, valid until the next write to this slot.
  func get(_ slot: UInt32) -> UnsafeRawBufferPointer? { hasReadable(slot) ? (values + Int(slot)).bytes : nil }

  /// `bytes` must not be what `get` gave: the old value goes first.
  func set(_ slot: UInt32, _ bytes: UnsafeRawBufferPointer) {
    willWrite(slot)
    markSet(slot)
    values[Int(slot)].assign(bytes.baseAddress ?? UnsafeRawPointer(values), bytes.count)
  }

  /// The bytes whether they have expired or not.
  func stored(_ slot: UInt32) -> UnsafeRawBufferPointer { (values + Int(slot)).bytes }

  override func drop(_ slot: UInt32) { values[Int(slot)].release() }

  override func take(_ slot: UInt32) -> (UInt64, UInt64) {
    let value = values[Int(slot)]
    values[Int(slot)] = .empty
    return (value.word0, value.word1)
  }

  override func put(_ slot: UInt32, _ value: (UInt64, UInt64)) {
    values[Int(slot)].release()
    values[Int(slot)] = InlineBytes(word0: value.0, word1: value.1)
  }

  override func discard(_ record: UndoJournal.Record) {
    guard record.action == .value else { return }
    var old = InlineBytes(word0: record.old.0, word1: record.old.1)
    old.release()
  }

  override var slotBytes: Int { super.slotBytes + MemoryLayout<InlineBytes>.stride }
  override func heapBytes(of slot: UInt32) -> Int { values[Int(slot)].blockBytes }

  override var memoryBytes: Int {
    super.memoryBytes + slots.slotCount * MemoryLayout<InlineBytes>.stride
      + blockBytes.total(slots: usedSlots) { values[$0].blockBytes }
  }
}
