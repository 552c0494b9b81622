/// Makes the keys, states and timers of one operator instance a write-back cache of a store.
///
/// The columns stay what they are; this knows which slots are loaded and which changed (`SlotFlags`). After the keys of a chunk are
/// interned, those that are not loaded are looked up together; before timers fire, theirs. Everything that was used counts as
/// changed. `flush` turns what changed into a write batch, and between chunks keys that are as the store has them go from memory
/// when there is too much of it. Nothing here is on the way of a record.
///
/// A call that reads or writes the store may throw; the instance is of no use then, and refuses to flush.
final class WriteBack {
  let binding: StoreBinding
  let rows: StoreKeys
  let flags: SlotFlags
  let broadcastFlags: SlotFlags
  let keys: KeySpace
  let states: StateTable
  let timers: TimerService
  /// The columns with their numbers in the store, those of keys and those of broadcast states.
  let keyed: [(column: StateColumn, number: UInt16)]
  /// Whether all states of keys are numbers: then rows are written and read without anything in between (`WriteBack+Plain.swift`).
  let isPlain: Bool
  let broadcast: [(column: StateColumn, number: UInt16)]

  @exclusivity(unchecked) var missing: [UInt32] = []
  let list = KeyList()
  /// To write many rows in, and to look them up in.
  let order: SlotOrder
  var key: [UInt8] = []
  var row: [UInt8] = []
  /// The store has no row of a key here: nothing needs to be looked up before the first flush.
  var isStoreEmpty = false
  var hasFailed = false
  /// What went wrong where nothing can be thrown.
  var idleFailure: EngineError?
  /// To be called when the columns have moved in memory other than at the beginning of a chunk.
  var columnsMoved: () -> Void = {}
  // MARK: Eviction
  // Used for every key that leaves, by this alone.
  @exclusivity(unchecked) var hand: UInt32 = 0
  /// What values take outside of the arrays, as last measured and adjusted since.
  @exclusivity(unchecked) var heapBytes = 0
  var untilMeasured = 0
  /// The fewest keys since then.
  var measuredKeys = 0
  let bytesPerKey: Int
  // MARK: Expiry
  /// Where the next sweep of the store goes on: a key group, and a row of it unless it is the first.
  var sweepGroup: Int32 = 0
  var sweepFrom: [UInt8]?
  /// A whole round found nothing that could go: only what comes clean from here on can.
  var isAllDirty = false

  /// Over the limit, and only a flush helps.
  var wantsFlush: Bool { isAllDirty && flags.flushingSlots.isEmpty && memoryInUse > binding.memoryLimit }

  /// Whether keys that are met are mostly not in memory: then it pays to look many up at once.
  var isShort: Bool { !isStoreEmpty && memoryInUse > binding.memoryLimit - binding.memoryLimit / 8 }

  /// `states` was made with the flags of `attachment`.
  init(
    _ attachment: StoreAttachment, _ keys: KeySpace, _ states: StateTable, _ timers: TimerService
  ) throws(EngineError) {
    let binding = attachment.binding
    guard binding.stateNumbers.count == states.columns.count else {
      throw EngineError(
        .invalidArgument,
        "the store's binding numbers \(binding.stateNumbers.count) states, and the function has \(states.columns.count)"
      )
    }
    self.binding = binding
    flags = attachment.flags
    broadcastFlags = attachment.broadcastFlags
    self.keys = keys
    keys.flags = flags
    self.states = states
    self.timers = timers
    rows = StoreKeys(binding)
    order = SlotOrder(keys, maxParallelism: binding.groups.maxParallelism)
    let numbered = Array(zip(states.columns, binding.stateNumbers)).map { (column: $0, number: $1) }
    keyed = numbered.filter { !$0.column.descriptor.kind.isBroadcast }
    broadcast = numbered.filter { $0.column.descriptor.kind.isBroadcast }
    isPlain = keyed.allSatisfy { column, number in (column as? ValueStateColumn)?.words(number) != nil }
    // A bucket and the way back of the key table, the count of what keeps the slot alive, its flags.
    bytesPerKey = keyed.reduce(48) { $0 + $1.column.slotBytes }
  }

  var store: any KeyValueStore { binding.store }

  /// The batch of this operator is refused after a failure: what was changed since is not known.
  func checkUsable() throws(EngineError) {
    if let idleFailure { throw idleFailure }
    if hasFailed {
      throw EngineError(
        .closed,
        "reading or writing the store at '\(store.path)' failed before; open the job again from its last checkpoint")
    }
  }

  func guarded<Result>(_ body: () throws(EngineError) -> Result) throws(EngineError) -> Result {
    do throws(EngineError) { return try body() } catch {
      hasFailed = true
      throw error
    }
  }

  func damaged(_ what: String) -> EngineError { store.damaged(what) }

  /// The key of a row, for messages.
  func text(_ slot: UInt32) -> String {
    keys.show(slot: slot)
    return Key(keys.parts, keys.partCount).description
  }
}

/// What an operator keeps of its store from before `open` on.
struct StoreAttachment {
  let binding: StoreBinding
  let flags = SlotFlags()
  let broadcastFlags = SlotFlags()
}
