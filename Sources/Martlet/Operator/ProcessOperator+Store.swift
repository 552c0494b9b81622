// An operator whose state lives in a store: see `WriteBack`. Without one, none of this is there.

extension ProcessOperator {
  /// Makes this operator keep its state in a store; before `open`. What the store has of it is what it begins with: pending timers at once,
  /// the values of a key when it is met.
  func attach(_ binding: StoreBinding) {
    precondition(parts == nil, "a store is attached before the operator opens")
    attachment = StoreAttachment(binding: binding)
  }

  /// Adds to the batch what changed since the last flush; between two calls of the operator. Follow it with `didCommit` once the batch is in
  /// the store, which may be later: until then nothing of it leaves memory. If it does not get there, open the operator again.
  func flush(into batch: WriteBatch) throws(EngineError) {
    guard let writeBack else { return }
    try located { () throws(EngineError) in try writeBack.flush(into: batch) }
  }

  func didCommit() {
    writeBack?.didCommit()
    writeBack?.evict()
  }

  /// The same for some of what changed: half of what is in memory, so that tables are large and few. (10 M keys that come once, a quarter of them
  /// in memory: 0.50 us each, by quarters 0.57, by two thirds 0.49 and with 13 MB more for the batch.)
  func spill(into batch: WriteBatch) throws(EngineError) {
    guard let writeBack else { return }
    let most = max(writeBack.keys.slots.keyCount / 2, ProcessOperator.leastSpilled)
    try located { () throws(EngineError) in try writeBack.flush(into: batch, atMost: most) }
  }

  /// So many keys are worth a file of their own.
  private static let leastSpilled = 65_536

  /// Of keys, states and timers in memory, about.
  var memoryInUse: Int { writeBack?.memoryInUse ?? 0 }

  /// There is more in memory than the limit, and nothing that could leave it before a flush.
  var wantsFlush: Bool { writeBack?.wantsFlush ?? false }

  /// Calls `body` with the slot of every key that has state or timers, in key order, in memory or not; its states can be read while the call
  /// lasts.
  func forEachKey(_ body: (UInt32) throws -> Void) throws {
    guard let parts else { return }
    try forEachKey(parts, body)
  }

  // MARK: - Called by the operator

  func openStore() throws(EngineError) {
    guard let attachment, let parts else { return }
    let writeBack = try makeWriteBack(attachment, parts)
    try writeBack.begin()
    _ = parts.states.reserve()
  }

  /// After the key's type became known.
  func reopenStore() throws(EngineError) {
    guard let attachment, let parts else { return }
    try makeWriteBack(attachment, parts).beginKeys()
  }

  private func makeWriteBack(_ attachment: StoreAttachment, _ parts: Parts) throws(EngineError) -> WriteBack {
    let writeBack = try WriteBack(attachment, parts.keys, parts.states, parts.timers)
    writeBack.columnsMoved = { [unowned self] in rebindStates() }
    self.writeBack = writeBack
    context.writeBack = writeBack
    return writeBack
  }

  /// How many timers are loaded for together.
  static let timersAtOnce = 4096

  /// Loads the keys of the next timers that are due at `time`; gives how many may fire before the next are loaded.
  func loadDue(_ queue: TimerQueue, at time: Int64) throws(EngineError) -> Int {
    guard let writeBack else { return .max }
    if !isInChunk { try relieveStore() }
    try writeBack.touchDue(queue, at: time, limit: ProcessOperator.timersAtOnce)
    return ProcessOperator.timersAtOnce
  }

  func dropProcessingTimers(_ parts: Parts) {
    if let writeBack { parts.timers.processing.forEachSlot { writeBack.flags.markDirty($0) } }
    parts.timers.processing.removeAll()
  }

  func forEachKey(_ parts: Parts, _ body: (UInt32) throws -> Void) throws {
    if let writeBack {
      return try writeBack.forEachKey(body) { () throws(EngineError) in if !isInChunk { try relieveStore() } }
    }
    let slots = parts.keys.slots
    for slot in parts.keys.liveSlotsInKeyOrder() where slots.live[Int(slot)] != 0 { try body(slot) }
  }
}

extension Context {
  /// Every key with state or timers, in key order.
  func forEachKey(_ keys: KeySpace, _ body: (UInt32) throws -> Void) throws {
    if let writeBack { return try writeBack.forEachKey(body) }
    for slot in keys.liveSlotsInKeyOrder() { try body(slot) }
  }
}

extension WriteBack {
  /// The same for a chunk of two inputs; what its broadcast side writes is looked for at the next flush.
  func touch(_ interned: (left: InternedRows, right: InternedRows), _ merged: MergedChunk) throws(EngineError) {
    if !broadcast.isEmpty, merged.right != nil { broadcastFlags.markDirty(BroadcastSlot.slot) }
    try touch(interned.left.slots, interned.left.count)
    try touch(interned.right.slots, interned.right.count)
  }
}
