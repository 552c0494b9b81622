/// The states of one operator instance.
@usableFromInline
final class StateTable {
  let columns: [StateColumn]
  let undo = StateUndo()
  private let slots: SlotAllocator
  private var liveAddress: UnsafeMutablePointer<UInt32>

  init(_ descriptors: [StateDescriptor], _ slots: SlotAllocator) {
    self.slots = slots
    liveAddress = slots.live
    columns = descriptors.map { StateColumn.make($0, slots) }
  }

  /// Makes room for every slot handed out so far, between chunks only; true if an address that handles hold changed.
  func reserve() -> Bool {
    var moved = slots.live != liveAddress
    liveAddress = slots.live
    for column in columns where column.reserve() { moved = true }
    return moved
  }

  /// How to fetch the first state's values ahead; nil while they fit the cache anyway.
  var prefetch: StatePrefetch? {
    guard slots.slotCount > StatePrefetch.smallestTable, let first = columns.first else { return nil }
    return first.prefetch
  }

  /// The values set now, of all states and keys.
  var entryCount: Int { columns.reduce(0) { $0 + $1.entryCount } }

  var memoryBytes: Int { columns.reduce(0) { $0 + $1.memoryBytes } }

  /// Throws `.invalidArgument` if two states have one name.
  static func checkNames(_ descriptors: [StateDescriptor]) throws(EngineError) {
    var seen: Set<String> = []
    for descriptor in descriptors where !seen.insert(descriptor.name).inserted {
      throw EngineError(
        .invalidArgument,
        "two states are named '\(descriptor.name)'; every state of a function needs a name of its own")
    }
  }
}
