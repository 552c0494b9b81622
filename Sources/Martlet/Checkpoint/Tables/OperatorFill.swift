import CMartlet

/// Collects what tables say of one operator, and writes it as a snapshot of the operator.
final class OperatorFill {
  /// What an operator is known by, before it runs.
  struct Template {
    let name: String
    let kind: OperatorKind
    let keyColumns: [String]
    let rightKeyColumns: [String]
    let states: [StateDescriptor]
  }

  let template: Template
  private let call: UnsafeMutablePointer<martlet_context>
  /// At the beginning of time, so that nothing expires while it is written.
  private let clock = ManualClock(.min)
  private let now: Int64
  /// From the first table with a key on.
  private var keys: KeySpace?
  private var keyFields: [Field] = []
  private var timers: TimerService?
  private var timerRows: Int64 = 0
  private var fills: [Int: StateFill] = [:]
  private var scratch = ChunkScratch()
  private let broadcastSlots = BroadcastSlot.allocator()

  init(_ template: Template, now: Int64) {
    self.template = template
    call = .allocate(capacity: 1)
    call.initialize(to: martlet_context())
    call.pointee.watermark = EventTime.min
    call.pointee.timestamp = EventTime.none
    self.now = now
  }

  deinit { call.deallocate() }

  /// The name by which timers are asked for: "timers", or, where a state has that name, "timers_".
  var timersName: String {
    var name = "timers"
    while template.states.contains(where: { $0.name == name }) { name += "_" }
    return name
  }

  /// Adds a batch of the table of a state, or of the timers. Throws, naming operator, table, column and row, for what does not fit.
  func add(_ table: String, _ batch: RecordBatch) throws(EngineError) {
    do throws(EngineError) {
      if let number = template.states.firstIndex(where: { $0.name == table }) {
        try add(number, batch)
      } else if table == timersName {
        try addTimers(batch)
      } else {
        throw unknown(table)
      }
    } catch {
      var located = error
      if error.kind != .invalidArgument || !error.message.hasPrefix("there is no state") {
        located = EngineError(
          error.kind, "the table of \(table == timersName ? "the timers" : "state '\(table)'"), \(error.message)")
      }
      located.operatorName = template.name
      throw located
    }
  }

  private func unknown(_ name: String) -> EngineError {
    let names = template.states.map(\.name)
    let hint = closeMatch(name, among: names + [timersName]).map { " (did you mean '\($0)'?)" } ?? ""
    let known = names.isEmpty ? "no states" : "the states " + names.map { "'\($0)'" }.joined(separator: ", ")
    return EngineError(
      .invalidArgument, "there is no state '\(name)'\(hint); the function has \(known), and '\(timersName)'")
  }

  private func add(_ number: Int, _ batch: RecordBatch) throws(EngineError) {
    let state = template.states[number]
    guard !state.kind.isBroadcast else {
      let fill = fill(number, broadcastSlots)
      return try fill.add(batch, StateTableLayout([], state), slots: nil)
    }
    let space = try intern(batch, rowsBefore: 0)
    let fill = fill(number, space.slots)
    try fill.add(batch, StateTableLayout(keyFields, state), slots: scratch.slots)
  }

  private func fill(_ number: Int, _ slots: SlotAllocator) -> StateFill {
    if let known = fills[number] { return known }
    let fill = StateFill(number, template.states[number], slots, StateTime(clock, call))
    fills[number] = fill
    return fill
  }

  /// Leaves the slots of the rows in `scratch`.
  private func intern(_ batch: RecordBatch, rowsBefore: Int64) throws(EngineError) -> KeySpace {
    guard !template.keyColumns.isEmpty else {
      throw EngineError(.invalidArgument, "the function's main stream has no key, so it has broadcast states only")
    }
    let schema = try KeySchema(template.keyColumns, in: batch.schema)
    let space: KeySpace
    if let keys {
      space = keys
      for (mine, theirs) in zip(keys.schema.parts, schema.parts) where mine.keyClass != theirs.keyClass {
        throw EngineError(
          .keyType,
          "the key column '\(theirs.name)' is \(batch.schema.fields[theirs.column].type), and "
            + "\(keyFields[mine.column].type) in another table of the operator; a key has one type")
      }
    } else {
      keyFields = schema.parts.map { Field($0.name, batch.schema.fields[$0.column].type.valueType) }
      space = KeySpace(try KeySchema(template.keyColumns, in: Schema.keysOnly(keyFields)))
      keys = space
      timers = TimerService(keys: space, clock: clock)
    }
    scratch.reserve(batch.numRows)
    scratch.slots.update(repeating: 0, count: batch.numRows)
    var reader = KeyReader(schema)
    space.intern(batch, RowSelection(start: 0, count: batch.numRows), &reader, scratch.keys, scratch.slots)
    if let row = (0..<batch.numRows).first(where: { scratch.slots[$0] == Slot.none }) {
      let names = template.keyColumns.map { "'\($0)'" }.joined(separator: ", ")
      throw EngineError(.nullKey, "row \(rowsBefore + Int64(row)): the key (\(names)) is null; leave the row out")
    }
    return space
  }

  // MARK: - Timers

  private func addTimers(_ batch: RecordBatch) throws(EngineError) {
    let space = try intern(batch, rowsBefore: timerRows)
    let layout = TimerTableLayout(keyFields)
    let columns = try TableColumns(batch.schema, layout.schema, optional: [layout.name])
    func column(_ index: Int) -> Int? { columns.schema.index(of: layout.schema.fields[index].name) }
    guard let timers, let domain = column(layout.domain), let time = column(layout.time) else { return }
    let fields = batch.schema.fields
    let times = try TimeReader(fields[time])
    for text in [domain, column(layout.name)].compactMap({ $0 }) where !isText(fields[text].type) {
      throw EngineError(.schemaMismatch, "column '\(fields[text].name)' is \(fields[text].type); it must be utf8")
    }
    for row in 0..<batch.numRows {
      do throws(EngineError) {
        let slot = scratch.slots[row]
        guard let moment = try times.time(batch.columns[time], row) else {
          throw EngineError(.schemaMismatch, "column '\(fields[time].name)' is null")
        }
        let name = column(layout.name).flatMap { text(batch.columns[$0], row) }
        let entry = TimerService.Entry(
          domain: try self.domain(text(batch.columns[domain], row), fields[domain].name), slot: slot, time: moment,
          name: name.flatMap { $0.isEmpty ? nil : $0 })
        try register(entry, timers)
      } catch {
        throw EngineError(error.kind, "row \(timerRows + Int64(row)): \(error.message)")
      }
    }
    timerRows += Int64(batch.numRows)
    withExtendedLifetime(space) {}
  }

  private func register(_ entry: TimerService.Entry, _ timers: TimerService) throws(EngineError) {
    let count = timers.count
    if let name = entry.name, timers.pending(slot: entry.slot, name: try timers.names.intern(name)) != nil {
      throw EngineError(.invalidArgument, "the timer '\(name)' comes twice for this key; a name has one pending time")
    }
    try timers.restore(entry)
    guard timers.count > count else {
      throw EngineError(.invalidArgument, "the timer at \(entry.time) comes twice for this key")
    }
  }

  private func domain(_ text: String?, _ column: String) throws(EngineError) -> TimerDomain {
    switch text {
    case "event": return .event
    case "processing": return .processing
    default:
      throw EngineError(
        .valueRange, "column '\(column)' is \(text.map { "'\($0)'" } ?? "null"); it is 'event' or 'processing'")
    }
  }

  private func isText(_ type: DataType) -> Bool {
    [.utf8, .largeUtf8, .utf8View, .null].contains(type.valueType)
  }

  private func text(_ column: martlet_column, _ row: Int) -> String? {
    column.isNull(row) ? nil : String(decoding: column.bytes(row), as: UTF8.self)
  }

  // MARK: - Writing

  /// Whether there is anything to write.
  var isFilled: Bool { keys != nil || !fills.isEmpty }

  /// Writes the snapshot of the operator before its first record.
  func snapshot(to target: SnapshotTarget) throws(EngineError) -> SnapshotHandle {
    var second: SecondSnapshot?
    if template.kind != .process {
      second = SecondSnapshot(
        kind: template.kind, keyColumns: template.rightKeyColumns, schema: nil, records: 0, WatermarkValve(channels: 2))
    }
    let header = SnapshotHeader(
      operatorName: template.name, keyColumns: template.keyColumns,
      schema: keys == nil ? nil : Schema.keysOnly(keyFields), states: template.states, watermark: EventTime.min,
      processingTime: now, records: 0, second: second)
    return try target.write(header, forEachKey)
  }

  private func forEachKey(_ add: (SnapshotKey) throws(EngineError) -> Void) throws(EngineError) {
    let fills = self.fills.values.sorted { $0.number < $1.number }
    var broadcast = SnapshotKey(key: [])
    for fill in fills where fill.descriptor.kind.isBroadcast {
      append(fill, BroadcastSlot.slot, to: &broadcast)
    }
    if !broadcast.entries.isEmpty { try add(broadcast) }
    guard let keys, let timers else { return }
    // Keys that came with a later table than a state's.
    for fill in fills { _ = fill.table.reserve() }
    for slot in keys.liveSlotsInKeyOrder() {
      var key = SnapshotKey(key: keys.canonicalBytes(of: slot))
      for fill in fills where !fill.descriptor.kind.isBroadcast { append(fill, slot, to: &key) }
      key.timers = timers.pending(slot: slot).map {
        PendingTimer($0.domain, $0.timer.time, name: timers.names.text($0.timer.name))
      }
      try add(key)
    }
  }

  private func append(_ fill: StateFill, _ slot: UInt32, to key: inout SnapshotKey) {
    var bytes: [UInt8] = []
    fill.column.encodeEntries(of: slot, into: &bytes)
    if !bytes.isEmpty { key.entries.append((fill.number, bytes)) }
  }
}
