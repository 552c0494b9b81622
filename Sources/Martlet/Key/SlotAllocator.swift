/// The dense number of a key that holds state or timers: the index into every state column.
public enum Slot {
  /// No key: outside of a callback, or a record without a key.
  public static let none = UInt32.max
}

/// A key of one row, before it has a slot: an integer, or bytes that are borrowed from the input batch.
@usableFromInline
struct KeyRef: BitwiseCopyable {
  /// The integer, or the address of the bytes.
  @usableFromInline var integer: Int64
  @usableFromInline var count: Int

  @usableFromInline
  init(integer: Int64) {
    self.integer = integer
    count = 0
  }

  @usableFromInline
  init(bytes: UnsafeRawPointer, count: Int) {
    integer = Int64(Int(bitPattern: bytes))
    self.count = count
  }

  @inlinable @inline(__always)
  var bytes: UnsafeRawPointer { UnsafeRawPointer(bitPattern: Int(integer)).unsafelyUnwrapped }
}

/// Hands out slots and keeps, per slot, the key and the number of things that keep it alive.
///
/// A slot is alive while one of its states is set or a timer is pending; the owners of state and timers count
/// themselves in and out. A slot whose count is 0 is given back at the end of the chunk (not earlier: rows
/// further down the chunk may already refer to it), together with its key.
@usableFromInline
final class SlotAllocator {
  /// Marks a slot on the free list.
  static let freeMark = UInt32.max

  /// The slots handed out so far, free ones included: the size every column needs.
  @exclusivity(unchecked) @usableFromInline private(set) var slotCount = 0
  /// Per slot: how many states and timers it has, or `freeMark`.
  @exclusivity(unchecked) @usableFromInline private(set) var live: UnsafeMutablePointer<UInt32>
  /// Per slot, the key; which of the two is used is the key table's affair. The other stays unallocated.
  @exclusivity(unchecked) private(set) var integerKeys: UnsafeMutablePointer<Int64>
  @exclusivity(unchecked) private(set) var byteKeys: UnsafeMutablePointer<InlineBytes>
  private var holdsBytes: Bool
  /// Of the long keys.
  @exclusivity(unchecked) private var blockBytes = BlockSums()

  @exclusivity(unchecked) private(set) var capacity = 256
  @exclusivity(unchecked) private var freeSlots: [UInt32] = []
  /// Slots to look at when the chunk ends: new ones, and those whose count fell to 0.
  @exclusivity(unchecked) private var candidates: [UInt32] = []

  init(holdsBytes: Bool) {
    self.holdsBytes = holdsBytes
    live = .zeroedBlocks(capacity)
    integerKeys = .blocks(holdsBytes ? 0 : capacity)
    byteKeys = .zeroedBlocks(holdsBytes ? capacity : 0)
  }

  deinit {
    if holdsBytes {
      for slot in 0..<slotCount where live[slot] != SlotAllocator.freeMark { byteKeys[slot].release() }
    }
    live.freeBlocks()
    integerKeys.freeBlocks()
    byteKeys.freeBlocks()
  }

  /// Before the first slot: what keys turn out to be made of.
  func willHold(bytes: Bool) {
    precondition(slotCount == 0, "the slots are of other keys")
    guard bytes != holdsBytes else { return }
    holdsBytes = bytes
    integerKeys.freeBlocks()
    byteKeys.freeBlocks()
    integerKeys = .blocks(holdsBytes ? 0 : capacity)
    byteKeys = .zeroedBlocks(holdsBytes ? capacity : 0)
  }

  /// Keys that have a slot now.
  var keyCount: Int { slotCount - freeSlots.count }

  var memoryBytes: Int {
    let bytes = slotCount * (MemoryLayout<UInt32>.stride + (holdsBytes ? 16 : 8))
    guard holdsBytes else { return bytes }
    return bytes
      + blockBytes.total(slots: slotCount) { live[$0] == SlotAllocator.freeMark ? 0 : byteKeys[$0].blockBytes }
  }

  @inline(__always)
  func allocate() -> UInt32 {
    let slot: UInt32
    if let free = freeSlots.popLast() {
      slot = free
    } else {
      if slotCount == capacity { grow() }
      slot = UInt32(slotCount)
      slotCount &+= 1
    }
    live[Int(slot)] = 0
    candidates.append(slot)
    return slot
  }

  /// Called when the count of a slot fell to 0.
  @usableFromInline
  func noteEmpty(_ slot: UInt32) { candidates.append(slot) }

  /// Gives back the candidate slots that nothing keeps alive, after `forget` took each out of the key table.
  func reclaim(_ forget: (UInt32) -> Void) {
    for slot in candidates where live[Int(slot)] == 0 { release(slot, forget) }
    candidates.removeAll(keepingCapacity: candidates.count <= 1 << 16)
  }

  /// Gives back one slot that nothing keeps alive.
  func release(_ slot: UInt32, _ forget: (UInt32) -> Void) {
    forget(slot)
    if holdsBytes { byteKeys[Int(slot)].release() }
    live[Int(slot)] = SlotAllocator.freeMark
    freeSlots.append(slot)
  }

  /// As `reclaim`, but for slots of which a store has something that has to go first.
  func reclaim(_ flags: SlotFlags, _ forget: (UInt32) -> Void) {
    for slot in candidates where live[Int(slot)] == 0 && !flags.holds(slot) {
      release(slot, forget)
      flags.forget(slot)
    }
    candidates.removeAll(keepingCapacity: candidates.count <= 1 << 16)
  }

  private func grow() {
    guard capacity < Int(UInt32.max) / 2 else { fatalError("martlet: more than 2^31 keys in one operator instance") }
    let old = capacity
    capacity *= 2
    live.growBlocks(to: capacity)
    if holdsBytes {
      byteKeys.growBlocks(to: capacity)
      (byteKeys + old).update(repeating: .empty, count: capacity - old)
    } else {
      integerKeys.growBlocks(to: capacity)
    }
  }
}
