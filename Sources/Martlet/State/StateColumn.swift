/// The values of one state for all keys of an operator instance, in memory, indexed by slot.
///
/// A subclass per storage; this class knows which slots are set. Setting the first value of a slot and clearing it
/// count the slot in and out of `SlotAllocator.live`.
///
/// Public only so that `StateValue` can name it; nothing of it can be used from outside.
public class StateColumn {
  let descriptor: StateDescriptor
  final let slots: SlotAllocator
  /// Per slot: 1 while the state is set.
  @exclusivity(unchecked) fileprivate(set) final var present: UnsafeMutablePointer<UInt8>
  @exclusivity(unchecked) fileprivate(set) final var capacity = 256

  fileprivate init(_ descriptor: StateDescriptor, _ slots: SlotAllocator) {
    self.descriptor = descriptor
    self.slots = slots
    present = .zeroedBlocks(capacity)
  }

  deinit { present.freeBlocks() }

  static func make(_ descriptor: StateDescriptor, _ slots: SlotAllocator) -> StateColumn {
    switch StateStorage(descriptor.type) {
    case .integer, .unsigned: FixedStateColumn<Int64>(descriptor, slots)
    case .double, .float: FixedStateColumn<Double>(descriptor, slots)
    case .utf8, .bytes, .fixedBytes, nil: BytesStateColumn(descriptor, slots)
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

  fileprivate func grow(from old: Int) {}

  /// Where the values lie, if they lie side by side.
  var prefetch: StatePrefetch? { nil }

  /// Forgets the value of `slot`, if there is one.
  func clear(_ slot: UInt32) {
    guard present[Int(slot)] != 0 else { return }
    present[Int(slot)] = 0
    let live = slots.live + Int(slot)
    live.pointee &-= 1
    if live.pointee == 0 { slots.noteEmpty(slot) }
  }

  @inline(__always)
  final func isSet(_ slot: UInt32) -> Bool { present[Int(slot)] != 0 }

  @inline(__always)
  final func markSet(_ slot: UInt32) {
    if present[Int(slot)] == 0 {
      present[Int(slot)] = 1
      slots.live[Int(slot)] &+= 1
    }
  }

  /// The value of `slot` as bytes, nil if it is not set; for `restore`.
  func snapshot(_ slot: UInt32) -> [UInt8]? { nil }
  func restore(_ slot: UInt32, _ value: [UInt8]) {}

  /// The slots that are set.
  var entryCount: Int {
    var count = 0
    for slot in 0..<min(slots.slotCount, capacity) { count &+= Int(present[slot]) }
    return count
  }

  var memoryBytes: Int { slots.slotCount }
}

/// Values of a fixed width, side by side.
final class FixedStateColumn<Value: BitwiseCopyable>: StateColumn {
  @exclusivity(unchecked) private(set) var values: UnsafeMutablePointer<Value>

  override init(_ descriptor: StateDescriptor, _ slots: SlotAllocator) {
    values = .blocks(256)
    super.init(descriptor, slots)
  }

  deinit { values.freeBlocks() }

  fileprivate override func grow(from old: Int) { values.growBlocks(to: capacity) }

  override var prefetch: StatePrefetch? {
    StatePrefetch(present: present, values: values, stride: MemoryLayout<Value>.stride)
  }

  @inline(__always)
  func get(_ slot: UInt32) -> Value? { isSet(slot) ? values[Int(slot)] : nil }

  @inline(__always)
  func set(_ slot: UInt32, _ value: Value) {
    markSet(slot)
    values[Int(slot)] = value
  }

  override func snapshot(_ slot: UInt32) -> [UInt8]? {
    get(slot).map { value in withUnsafeBytes(of: value) { [UInt8]($0) } }
  }

  override func restore(_ slot: UInt32, _ value: [UInt8]) {
    value.withUnsafeBytes { set(slot, $0.loadUnaligned(as: Value.self)) }
  }

  override var memoryBytes: Int { super.memoryBytes + slots.slotCount * MemoryLayout<Value>.stride }
}

/// Byte strings: short ones inline, long ones in a block each.
final class BytesStateColumn: StateColumn {
  @exclusivity(unchecked) private var values: UnsafeMutablePointer<InlineBytes>

  override init(_ descriptor: StateDescriptor, _ slots: SlotAllocator) {
    values = .zeroedBlocks(256)
    super.init(descriptor, slots)
  }

  deinit {
    for slot in 0..<min(slots.slotCount, capacity) { values[slot].release() }
    values.freeBlocks()
  }

  fileprivate override func grow(from old: Int) {
    values.growBlocks(to: capacity)
    (values + old).update(repeating: .empty, count: capacity - old)
  }

  override var prefetch: StatePrefetch? {
    StatePrefetch(present: present, values: values, stride: MemoryLayout<InlineBytes>.stride)
  }

  /// The bytes, valid until the next write to this slot.
  func get(_ slot: UInt32) -> UnsafeRawBufferPointer? { isSet(slot) ? (values + Int(slot)).bytes : nil }

  func set(_ slot: UInt32, _ bytes: UnsafeRawBufferPointer) {
    markSet(slot)
    values[Int(slot)].assign(bytes.baseAddress ?? UnsafeRawPointer(values), bytes.count)
  }

  override func snapshot(_ slot: UInt32) -> [UInt8]? { get(slot).map { [UInt8]($0) } }

  override func restore(_ slot: UInt32, _ value: [UInt8]) { value.withUnsafeBytes { set(slot, $0) } }

  override func clear(_ slot: UInt32) {
    values[Int(slot)].release()
    super.clear(slot)
  }

  override var memoryBytes: Int {
    var bytes = super.memoryBytes + slots.slotCount * MemoryLayout<InlineBytes>.stride
    for slot in 0..<min(slots.slotCount, capacity) { bytes += values[slot].blockBytes }
    return bytes
  }
}
