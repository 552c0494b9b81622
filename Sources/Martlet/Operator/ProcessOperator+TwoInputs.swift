import CMartlet

// The way of two inputs into an operator. State, timers, policies, watermarks and the end are those of one input.

extension ProcessOperator {
  func process(_ merged: MergedChunk) throws {
    guard let second, let run = calls.runMerged else { preconditionFailure("process before open") }
    guard let some = merged.left ?? merged.right else { return }
    try located { () throws(EngineError) in try second.check(merged) }
    guard let parts = try partsWithKey(second) else { preconditionFailure("process before open") }
    isInChunk = true
    defer { isInChunk = false }
    let interned = second.intern(merged, parts.keys)
    if parts.states.reserve() { rebindStates() }
    if let writeBack { try located { () throws(EngineError) in try writeBack.touch(interned, merged) } }
    try located { () throws(EngineError) in
      try handles.bindInputs(left: merged.left, right: merged.right, known: (second.leftSchema, second.rightSchema))
    }
    orderedChunk = merged.ordered
    setMarks(merged.marks)
    let loop = MergedLoop(
      self, merged, (merged.left ?? some, merged.right ?? some), parts.keys, interned, isKeyed: second.isKeyed)
    try enclosed(some) { try run(loop) }
    parts.states.sweep(afterRows: merged.rows.count)
    if let writeBack {
      try located { () throws(EngineError) in try writeBack.sweepStore(afterRows: merged.rows.count) }
    }
    parts.keys.reclaim()
    writeBack?.evict()
  }

  /// The parts, with the key of the left side if that became known just now: until then only the broadcast side had records, which have
  /// none.
  private func partsWithKey(_ second: SecondInput) throws(EngineError) -> Parts? {
    guard let parts else { return nil }
    if parts.schema?.isKeysOnly ?? true { parts.schema = second.leftSchema ?? parts.schema }
    guard parts.keys.partCount == 0, !second.keys.parts.isEmpty else { return parts }
    let keys = KeySpace(second.keys, slots: parts.keys.slots)
    let keyed = Parts(
      keys: keys, states: parts.states, timers: TimerService(keys: keys, clock: context.clock), schema: parts.schema)
    use(keyed)
    try located { () throws(EngineError) in try reopenStore() }
    return keyed
  }
}

extension MergedLoop {
  /// The loop for everything but the plain policies.
  @inlinable
  func runGuarded<Function: TwoInputFunction>(_ function: UnsafeMutablePointer<Function>) throws {
    let key = Key(raw.pointee.key, Int(raw.pointee.key_parts))
    var next = (left: 0, right: 0)
    for index in 0..<rows.count {
      if index >= nextMark.pointee { try passMarks(at: index) }
      if let positions, let orders { orders.begin(mergedRecord: positions[index]) }
      let row = Int(rows[index] & ~MergedChunk.rightBit)
      let isRight = rows[index] & MergedChunk.rightBit != 0
      let place = isRight ? next.right : next.left
      if isRight { next.right &+= 1 } else { next.left &+= 1 }
      guard try owner.admit(self, index, isRight ? right : left, place, isRight: isRight) else { continue }
      owner.beginCall()
      do {
        if !isRight {
          try function.pointee.onLeft(key: key, batch: Record(left.batch, row), row: 0, context: context)
        } else {
          let key = isRightKeyed ? key : Key(raw.pointee.key, 0)
          try function.pointee.onRight(key: key, batch: Record(right.batch, row), row: 0, context: context)
        }
      } catch {
        try owner.swallow(error, rows: 1)
        continue
      }
      owner.commitCall()
    }
  }
}

extension ProcessOperator {
  /// Sets the context to record `index` of the merged chunk, number `place` of its side; false if a policy keeps it from the function.
  ///
  /// A broadcast record that is late is delivered whatever the policy: without it the instances' tables would lack an entry.
  @usableFromInline
  func admit(
    _ loop: MergedLoop, _ index: Int, _ input: MergedLoop.Input, _ place: Int, isRight: Bool
  ) throws -> Bool {
    let raw = context.raw
    let row = Int(loop.rows[index] & ~MergedChunk.rightBit)
    let isKeyed = isRight ? loop.isRightKeyed : loop.isLeftKeyed
    raw.pointee.side = isRight ? Context.rightSide : Context.leftSide
    raw.pointee.row = Int64(row)
    raw.pointee.record = input.firstRecord &+ Int64(row)
    raw.pointee.batch = OpaquePointer(input.batch.toOpaque())
    raw.pointee.slot = Slot.none
    let timestamp = loop.timestamps.map { $0[index] } ?? EventTime.none
    raw.pointee.timestamp = timestamp
    raw.pointee.is_late = 0
    let slot = isKeyed ? input.interned.slots[place] : Slot.none
    func show() {
      guard slot != Slot.none else { return }
      raw.pointee.slot = slot
      loop.keys.show(input.interned.keys[place])
    }
    if isRight ? rejectsNullRight : rejectsNullTimestamps, timestamp == EventTime.none {
      if isRight, repeatsBroadcast { return false }
      show()
      try rejectNullTimestamp()
      return false
    }
    if isKeyed, slot == Slot.none {
      try skipNullKey()
      if policies.nullKeys == .deadLetter { try rejectNullKey() }
      return false
    }
    show()
    guard timestamp <= raw.pointee.watermark, timestamp != EventTime.none else { return true }
    raw.pointee.is_late = 1
    if isRight, kind == .broadcast {
      if !repeatsBroadcast { countLate() }
      return true
    }
    return try admitLate(input.batch.takeUnretainedValue(), row, timestamp)
  }
}
