import CMartlet

// What happens to records that are late, lack a key or a timestamp, or make their function throw.

extension ProcessOperator {
  /// The schemas of the outputs that the engine fills; later, where only the key of the input is known.
  func declareEngineOutputs(_ input: Schema?) throws(EngineError) {
    if input?.isKeysOnly ?? false { return }
    for tag in policies.reservedTags where sides.lane(tag).builder.schema == nil {
      let schema = tag == SideOutputs.errorTag ? DeadLetters.schema(input) : input
      if let schema { try sides.lane(tag).builder.declare(schema) }
    }
  }

  /// The first batch of an input of which only the key was known: its schema is that of the input from here on.
  func settleInput(_ schema: Schema, _ parts: Parts) throws(EngineError) {
    try located { () throws(EngineError) in
      let keys = try KeySchema(keyColumns, in: schema)
      try keys.checkContinues(parts.keys.schema)
      parts.keys.reader = KeyReader(keys)
      parts.schema = schema
      try declareEngineOutputs(schema)
    }
  }

  /// Sets the context to row `index` of the chunk; false if a policy keeps the record from the function.
  @usableFromInline
  func admit(_ loop: RecordLoop, _ index: Int) throws -> Bool {
    let raw = context.raw
    let row = loop.selection[index]
    raw.pointee.row = Int64(row)
    raw.pointee.record = loop.firstRecord &+ Int64(row)
    raw.pointee.batch = OpaquePointer(loop.batch.toOpaque())
    raw.pointee.slot = Slot.none
    if let positions = loop.positions { orders?.begin(record: Int(positions[index])) }
    let timestamp = loop.timestamps.map { $0[index] } ?? EventTime.none
    raw.pointee.timestamp = timestamp
    raw.pointee.is_late = 0
    let slot = loop.slots[index]
    if rejectsNullTimestamps, timestamp == EventTime.none, loop.timestamps != nil {
      // A null timestamp comes before a null key: it is found first when the policy is to raise, too.
      if slot != Slot.none { show(loop, index, slot) }
      try rejectNullTimestamp()
      return false
    }
    if slot == Slot.none {
      try skipNullKey()
      if policies.nullKeys == .deadLetter { try rejectNullKey() }
      return false
    }
    show(loop, index, slot)
    guard timestamp <= raw.pointee.watermark, timestamp != EventTime.none else { return true }
    raw.pointee.is_late = 1
    return try admitLate(loop.batch.takeUnretainedValue(), row, timestamp)
  }

  /// The current record is late: whether the policy lets it through.
  func admitLate(_ batch: RecordBatch, _ row: Int, _ timestamp: Int64) throws(EngineError) -> Bool {
    countLate()
    switch policies.late {
    case .process: return true
    case .drop: count.lateDropped += 1
    case .sideOutput:
      let lane = sides.lane(SideOutputs.lateTag)
      if !lane.isKept, !lane.forwards {
        lane.dropped += 1
      } else if let second {
        try second.appendLate(
          batch, row, isRight: context.raw.pointee.side == Context.rightSide, timestamp, to: lane.builder)
      } else {
        try lane.builder.emitRow(batch, row, timestamp: timestamp)
      }
    }
    return false
  }

  private func show(_ loop: RecordLoop, _ index: Int, _ slot: UInt32) {
    context.raw.pointee.slot = slot
    loop.showKey(index)
  }

  func rejectNullTimestamp() throws(EngineError) {
    try deadLetter(
      rows: 1,
      FailureDetails(type: "NullTimestampError", message: "the timestamp is null"))
  }

  func rejectNullKey() throws(EngineError) {
    try deadLetter(rows: 1, FailureDetails(type: "NullKeyError", message: "the key (\(namedKey)) is null"))
  }

  // MARK: - Calls that may fail

  @usableFromInline
  func beginCall() {
    guard policies.onError != .raise, let parts else { return }
    outputMarks.removeAll(keepingCapacity: true)
    outputMarks.append(output.beginCall())
    for lane in sides.lanes { outputMarks.append(lane.builder.beginCall()) }
    parts.states.beginCall()
    parts.timers.beginCall()
  }

  @usableFromInline
  func commitCall() {
    guard policies.onError != .raise, let parts else { return }
    parts.states.commitCall()
    parts.timers.commitCall()
  }

  /// A call for `rows` records (0: a timer) has thrown: takes back what it did, and says so. Throws what no policy may swallow.
  @usableFromInline
  func swallow(_ failure: any Error, rows: Int) throws {
    if policies.onError == .raise { throw failure }
    if let error = failure as? EngineError, [.callbackFatal, .internalError].contains(error.kind) { throw failure }
    rollbackCall()
    count.errors += Int64(max(rows, 1))
    let details = calls.describe(failure, context)
    if policies.onError == .deadLetter { try deadLetter(rows: rows, details) }
  }

  private func rollbackCall() {
    guard let parts else { return }
    parts.states.rollbackCall()
    parts.timers.rollbackCall()
    output.rollbackCall(to: outputMarks[0])
    for (position, lane) in sides.lanes.enumerated() {
      // An output that the call was the first to use has no mark.
      let known = position + 1 < outputMarks.count
      lane.builder.rollbackCall(
        to: known ? outputMarks[position + 1] : OutputBuilder.CallMark(rows: 0, hasSchema: false))
    }
  }

  /// Calls `onTimer` under the error policy.
  func guardTimer(_ key: Key, _ time: Int64) throws {
    beginCall()
    do {
      try calls.onTimer(key, time, context)
    } catch {
      return try swallow(error, rows: 0)
    }
    commitCall()
  }

  /// Calls `onEnd` under the error policy.
  func guardEnd(_ onEnd: () throws -> Void) throws {
    beginCall()
    do {
      try onEnd()
    } catch {
      return try swallow(error, rows: 0)
    }
    commitCall()
  }

  /// One row to the side output "errors" for each record of the current call, or for its timer.
  private func deadLetter(rows: Int, _ details: FailureDetails) throws(EngineError) {
    let lane = sides.lane(SideOutputs.errorTag)
    guard lane.isKept || lane.forwards else {
      lane.dropped += Int64(max(rows, 1))
      return
    }
    let raw = context.raw
    var letter = DeadLetters.Letter(
      operatorName: name, key: context.key?.description, timestamp: raw.pointee.timestamp, details: details)
    do {
      guard rows > 0, let handle = raw.pointee.batch else {
        try second?.declareLetters(in: lane.builder)
        // A timer of state that was there before the first record.
        if lane.builder.schema == nil { try lane.builder.declare(DeadLetters.schema(nil)) }
        return try DeadLetters.append(
          letter, fireTime: raw.pointee.fire_time, domain: raw.pointee.timer_domain, to: lane.builder)
      }
      let batch = Unmanaged<RecordBatch>.fromOpaque(UnsafeRawPointer(handle)).takeUnretainedValue()
      try second?.declareLetters(in: lane.builder)
      for position in 0..<rows {
        if let times = context.sliceTimes { letter.timestamp = times[position] }
        try DeadLetters.append(
          letter, record: raw.pointee.record + Int64(position), batch, row: Int(raw.pointee.row) + position,
          side: context.side, to: lane.builder)
      }
    } catch {
      lane.builder.cancelBuiltRow()
      throw error
    }
  }
}

extension RecordLoop {
  /// The loop for everything but the plain policies.
  @inlinable
  func runGuarded<Function: ProcessFunction>(_ function: UnsafeMutablePointer<Function>) throws {
    let key = Key(raw.pointee.key, Int(raw.pointee.key_parts))
    for index in 0..<selection.count {
      if index >= nextMark.pointee { try passMarks(at: index) }
      guard try owner.admit(self, index) else { continue }
      owner.beginCall()
      do {
        try function.pointee.onEvent(key: key, batch: Record(batch, selection[index]), row: 0, context: context)
      } catch {
        try owner.swallow(error, rows: 1)
        continue
      }
      owner.commitCall()
    }
    if nextMark.pointee != Int.max { try passMarks(at: selection.count) }
  }
}
