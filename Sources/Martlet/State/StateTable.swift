/// The states of one operator instance.
@usableFromInline
final class StateTable {
  let columns: [StateColumn]
  let time: StateTime
  private let slots: SlotAllocator
  private let journal: UndoJournal?
  private let hasTTL: Bool
  private var liveAddress: UnsafeMutablePointer<UInt32>

  /// `undoable`: whether calls are enclosed in `beginCall` and `commitCall` or `rollbackCall`. Without, the three do nothing and
  /// writes pay nothing for them.
  ///
  /// `flags`: with a store, those of keys and those of broadcast states.
  init(
    _ descriptors: [StateDescriptor], _ slots: SlotAllocator, _ time: StateTime, undoable: Bool = false,
    flags: (keys: SlotFlags, broadcast: SlotFlags)? = nil
  ) {
    self.slots = slots
    self.time = time
    let journal = undoable ? UndoJournal() : nil
    self.journal = journal
    liveAddress = slots.live
    hasTTL = descriptors.contains { $0.ttl != nil }
    let environment = StateEnvironment(slots: slots, time: time, journal: journal, flags: flags?.keys)
    let broadcast = StateEnvironment(
      slots: BroadcastSlot.allocator(), time: time, journal: journal, flags: flags?.broadcast)
    columns = descriptors.enumerated().map {
      StateColumn.make($1, $1.kind.isBroadcast ? broadcast : environment, index: $0)
    }
  }

  deinit { commitCall() }

  /// Makes room for every slot handed out so far, between chunks only; true if an address that handles hold changed.
  func reserve() -> Bool {
    var moved = slots.live != liveAddress
    liveAddress = slots.live
    for column in columns where column.reserve() { moved = true }
    return moved
  }

  /// How to fetch the first state's values ahead; nil while they fit the cache anyway.
  var prefetch: StatePrefetch? {
    guard slots.slotCount > StatePrefetch.smallestTable, let first = columns.first, first.slots === slots else {
      return nil
    }
    return first.prefetch
  }

  // MARK: - Failing calls

  /// From here on changes can be taken back.
  @inline(__always)
  func beginCall() { journal?.begin() }

  /// Takes back what the call changed, newest first. (That a read refreshed a TTL is no change.)
  func rollbackCall() {
    guard let journal else { return }
    for record in journal.end().reversed() { columns[Int(record.column)].undo(record) }
  }

  /// Keeps what the call changed.
  @inline(__always)
  func commitCall() {
    guard let journal, journal.isActive else { return }
    for record in journal.end() { columns[Int(record.column)].discard(record) }
  }

  /// Runs `body`, whose changes no failing call takes back.
  func unrecorded<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
    guard let journal else { return try body() }
    return try journal.suspended(body)
  }

  // MARK: - Expiry

  /// The most steps of one sweep of a column.
  private static let longestSweep = 16_384

  /// Between chunks: cleans up some of what has expired, so that values nobody touches go too. The work follows the chunk's
  /// size, within limits, so that neither a stream of single records nor a large state makes it felt.
  func sweep(afterRows rows: Int) { sweep(budget: min(max(2 * rows, 64), StateTable.longestSweep)) }

  /// While the input is idle, each time the job wakes: as much as after a large chunk.
  func sweepWhileIdle() { sweep(budget: StateTable.longestSweep) }

  private func sweep(budget: Int) {
    guard hasTTL else { return }
    for column in columns { column.sweep(budget: budget) }
  }

  /// Forgets what has expired of one key, and says whether it has state or timers left.
  func sweep(slot: UInt32) -> Bool {
    guard hasTTL else { return true }
    unrecorded { for column in columns where !column.descriptor.kind.isBroadcast { column.sweep(slot: slot) } }
    return slots.live[Int(slot)] != 0
  }

  /// How many values, list elements and map entries the states of all keys hold: what has expired counts until it is cleaned away.
  /// No walk over the elements: it is asked for while a job runs.
  var entryCount: Int { columns.reduce(0) { $0 + $1.entryCount } }

  /// What is outside of the arrays, as `memoryBytes` has it.
  var heapBytes: Int {
    columns.reduce(0) { sum, column in
      column.descriptor.kind.isBroadcast ? sum : sum + column.memoryBytes - column.slotBytes * slots.slotCount
    }
  }

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
