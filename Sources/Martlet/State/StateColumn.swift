/// What one state holds for all keys of an operator instance, in memory, indexed by slot.
///
/// A subclass per storage; this class knows which slots hold something. A slot's first value and the end of its last count the
/// slot in and out of `SlotAllocator.live`.
///
/// Public only so that `StateValue` can name it; nothing of it can be used from outside.
public class StateColumn {
  let descriptor: StateDescriptor
  final let slots: SlotAllocator
  /// The column's number in its table.
  final let index: UInt32
  final let expiry: Expiry?
  final let journal: UndoJournal?
  /// Whether a read or write does no more than read or write: no TTL, no journal.
  final let isPlain: Bool
  /// Per slot: 1 while the state holds something.
  @exclusivity(unchecked) private(set) final var present: UnsafeMutablePointer<UInt8>
  @exclusivity(unchecked) private(set) final var capacity = 256
  /// Where the next sweep goes on.
  @exclusivity(unchecked) final var sweepSlot = 0
  /// Of what is not in the arrays of the column.
  @exclusivity(unchecked) final var blockBytes = BlockSums()
  /// Only with a store.
  final let flags: SlotFlags?

  init(_ descriptor: StateDescriptor, _ environment: StateEnvironment, index: Int) {
    self.descriptor = descriptor
    self.index = UInt32(index)
    slots = environment.slots
    expiry = descriptor.ttl.map { Expiry(ttl: $0, time: environment.time) }
    journal = environment.journal
    flags = environment.flags
    // Of a map, a store has to know which entries changed.
    isPlain = expiry == nil && journal == nil && (flags == nil || descriptor.kind.mapKey == nil)
    present = .zeroedBlocks(capacity)
  }

  deinit { present.freeBlocks() }

  static func make(_ descriptor: StateDescriptor, _ environment: StateEnvironment, index: Int) -> StateColumn {
    switch descriptor.kind {
    case .list: return ListStateColumn(descriptor, environment, index: index)
    case .map, .broadcast: return MapStateColumn(descriptor, environment, index: index)
    case .value, .reducing, .aggregating: break
    }
    switch StateStorage(descriptor.type) {
    case .integer, .unsigned: return FixedStateColumn<Int64>(descriptor, environment, index: index)
    case .double, .float: return FixedStateColumn<Double>(descriptor, environment, index: index)
    case .utf8, .bytes, .fixedBytes, nil: return BytesStateColumn(descriptor, environment, index: index)
    }
  }

  /// Makes room for every slot handed out, between chunks only; true if the addresses changed.
  final func reserve() -> Bool {
    guard slots.slotCount > capacity else { return false }
    let old = capacity
    while capacity < slots.slotCount { capacity *= 2 }
    present.growBlocks(to: capacity)
    (present + old).update(repeating: 0, count: capacity - old)
    grow(from: old)
    return true
  }

  func grow(from old: Int) {}

  /// Where the values lie, if they lie side by side.
  var prefetch: StatePrefetch? { nil }

  /// Slots that can hold something.
  final var usedSlots: Int { min(slots.slotCount, capacity) }

  /// Forgets what `slot` holds, if anything.
  func clear(_ slot: UInt32) {}

  /// Whether `slot` holds something that has not expired.
  func exists(_ slot: UInt32) -> Bool { isSet(slot) }

  /// Forgets what has expired, in at most about `budget` steps, going on where the last sweep stopped.
  func sweep(budget: Int) {}

  /// Forgets what has expired of one slot.
  func sweep(slot: UInt32) {
    let next = sweepSlot
    sweepSlot = Int(slot)
    sweep(budget: 1)
    sweepSlot = next
  }

  /// Takes back one change; called newest first.
  func undo(_ record: UndoJournal.Record) {}

  /// Frees what a kept change replaced.
  func discard(_ record: UndoJournal.Record) {}

  @inline(__always)
  final func isSet(_ slot: UInt32) -> Bool { present[Int(slot)] != 0 }

  @inline(__always)
  final func markSet(_ slot: UInt32) {
    if present[Int(slot)] == 0 {
      present[Int(slot)] = 1
      slots.live[Int(slot)] &+= 1
    }
  }

  @inline(__always)
  final func markEmpty(_ slot: UInt32) {
    guard present[Int(slot)] != 0 else { return }
    present[Int(slot)] = 0
    let live = slots.live + Int(slot)
    live.pointee &-= 1
    if live.pointee == 0 { slots.noteEmpty(slot) }
  }

  /// Whether changes are recorded now.
  @inline(__always)
  final var isJournaling: Bool { journal?.isActive ?? false }

  /// The values, elements or entries that all slots hold.
  var entryCount: Int {
    // One byte a slot, and the compiler adds many at a time.
    var count = 0
    for slot in 0..<usedSlots { count &+= Int(present[slot]) }
    return count
  }

  var memoryBytes: Int { slots.slotCount }

  /// What the arrays of the column take for one slot, and what the slot has outside of them.
  var slotBytes: Int { 1 }
  func heapBytes(of slot: UInt32) -> Int { 0 }
}

/// What the columns of one table share.
struct StateEnvironment {
  let slots: SlotAllocator
  let time: StateTime
  let journal: UndoJournal?
  var flags: SlotFlags?
}
