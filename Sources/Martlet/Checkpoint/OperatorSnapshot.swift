import CMartlet

/// What to restore of a snapshot, and how.
struct RestoreOptions {
  /// Only keys of these groups; nil: all.
  var groups: KeyGroupRange?
  /// Names of states that the function no longer declares and that need not be kept.
  var forgetting: Set<String> = []
}

extension ProcessOperator {
  /// What a snapshot says before its keys. Of an operator that is not open yet there are none, since nothing is known of them.
  func snapshotHeader(records: Int64, _ kept: KeptStates, _ second: SecondSnapshot? = nil) -> SnapshotHeader {
    SnapshotHeader(
      operatorName: name, keyColumns: keyColumns, schema: parts?.schema, states: descriptors + kept.descriptors,
      watermark: context.watermark, processingTime: context.clock.now(), records: parts == nil ? 0 : records,
      second: second)
  }

  /// Gives all state and timers, between two records, in the order of a snapshot; of an operator without a store. `kept` is what `restore` gave.
  func forEachKey(
    _ kept: KeptStates, _ add: (SnapshotKey) throws(EngineError) -> Void
  ) throws(EngineError) {
    guard let parts else { return }
    if let entry = broadcastEntry(parts, keptEntries(kept, [])) { try add(entry) }
    var orphans = kept.keys.drop { $0.isEmpty }
    func addOrphans(before key: [UInt8]?) throws(EngineError) {
      while let orphan = orphans.first, key.map({ orphan.lexicographicallyPrecedes($0) }) ?? true {
        try add(SnapshotKey(key: orphan, entries: keptEntries(kept, orphan)))
        orphans.removeFirst()
      }
    }
    for slot in parts.keys.liveSlotsInKeyOrder() {
      var key = SnapshotKey(key: parts.keys.canonicalBytes(of: slot))
      try addOrphans(before: key.key)
      if orphans.first == key.key { orphans.removeFirst() }
      for (number, column) in parts.states.columns.enumerated() where !column.descriptor.kind.isBroadcast {
        var bytes: [UInt8] = []
        column.encodeEntries(of: slot, into: &bytes)
        if !bytes.isEmpty { key.entries.append((number, bytes)) }
      }
      key.entries += keptEntries(kept, key.key)
      key.timers = parts.timers.pending(slot: slot).map {
        PendingTimer($0.domain, $0.timer.time, name: parts.timers.names.text($0.timer.name))
      }
      try add(key)
    }
    try addOrphans(before: nil)
  }

  private func keptEntries(_ kept: KeptStates, _ key: [UInt8]) -> [(state: Int, bytes: [UInt8])] {
    kept.entries(of: key).map { (descriptors.count + $0.state, $0.bytes) }
  }

  /// Fills the operator, just opened (or not, if the snapshot has no keys), from a snapshot. A state that the snapshot does not have stays empty; one that the function no
  /// longer has is kept, and returned. Throws `.snapshotMismatch` where the two do not fit, `.snapshotInvalid` for a
  /// broken snapshot; the operator is of no use then.
  func restore(_ keys: any SnapshotKeySource, _ options: RestoreOptions) throws(EngineError) -> KeptStates {
    let header = keys.header
    do throws(EngineError) {
      var kept = KeptStates()
      try checkKind(header)
      let places = try self.places(header.states, options, &kept)
      if let parts {
        if parts.keys.partCount > 0 { try checkKey(header, parts.keys.schema) }
        try restoreKeys(keys, options.groups, places, &kept, parts)
      }
      context.raw.pointee.watermark = header.watermark
      return kept
    } catch {
      throw context.located(error)
    }
  }

  /// Where a state of the snapshot goes.
  private enum Place {
    case column(Int)
    case kept(Int)
    case nowhere
  }

  private func places(
    _ states: [StateDescriptor], _ options: RestoreOptions, _ kept: inout KeptStates
  ) throws(EngineError) -> [Place] {
    for name in options.forgetting.sorted() {
      if descriptors.contains(where: { $0.name == name }) {
        throw EngineError(
          .invalidArgument,
          "state '\(name)' is to be forgotten, and the function declares it; only states it has no more can be")
      }
      guard states.contains(where: { $0.name == name }) else {
        throw EngineError(
          .invalidArgument, "state '\(name)' is to be forgotten, and the snapshot has none of that name")
      }
    }
    var places: [Place] = []
    for state in states {
      if let column = descriptors.firstIndex(where: { $0.name == state.name }) {
        try state.checkContinues(as: descriptors[column])
        places.append(.column(column))
      } else if options.forgetting.contains(state.name) {
        places.append(.nowhere)
      } else {
        places.append(.kept(kept.add(state)))
      }
    }
    return places
  }

  private func restoreKeys(
    _ source: any SnapshotKeySource, _ groups: KeyGroupRange?, _ places: [Place], _ kept: inout KeptStates,
    _ parts: Parts
  ) throws(EngineError) {
    var source = source
    var moved = false
    var sinceRelief = (keys: 0, bytes: 0)
    while let key = try source.next() {
      guard groups?.owns(key.key) ?? true || key.key.isEmpty else { continue }
      if key.key.isEmpty {
        for (state, bytes) in key.entries {
          switch places[state] {
          case .column(let number): try restore(bytes, BroadcastSlot.slot, parts.states.columns[number])
          case .kept(let number): try keep(bytes, number, nil, key.key, &kept)
          case .nowhere: break
          }
        }
        writeBack?.adoptBroadcast()
        continue
      }
      guard let slot = parts.keys.intern(canonical: key.key) else {
        throw EngineError(
          .snapshotInvalid, "the snapshot holds a key that is not one of its own key types; restore from another one")
      }
      if parts.states.reserve() { moved = true }
      for (state, bytes) in key.entries {
        switch places[state] {
        case .column(let number): try restore(bytes, slot, parts.states.columns[number])
        case .kept(let number): try keep(bytes, number, slot, key.key, &kept)
        case .nowhere: break
        }
      }
      for timer in key.timers {
        try parts.timers.restore(
          TimerService.Entry(domain: timer.domain, slot: slot, time: timer.time, name: timer.name))
      }
      if let writeBack { try adopt(slot, key, writeBack, &sinceRelief) }
    }
    if moved { rebindStates() }
    parts.keys.reclaim()
  }

  /// The key goes to the store with the next flush, and now where memory is short.
  private func adopt(
    _ slot: UInt32, _ key: SnapshotKey, _ writeBack: WriteBack, _ sinceRelief: inout (keys: Int, bytes: Int)
  ) throws(EngineError) {
    let bytes = key.entries.reduce(0) { $0 + $1.bytes.count }
    writeBack.adopt(slot, bytes: bytes)
    sinceRelief = (sinceRelief.keys + 1, sinceRelief.bytes + bytes)
    guard sinceRelief.keys >= 1024 || sinceRelief.bytes >= 1 << 20 else { return }
    sinceRelief = (0, 0)
    writeBack.evict()
    try relieveStore()
  }

  /// Of a state that the function has no more: in memory, or with the rest of its key in the store.
  private func keep(
    _ entries: [UInt8], _ number: Int, _ slot: UInt32?, _ key: [UInt8], _ kept: inout KeptStates
  ) throws(EngineError) {
    guard let writeBack else { return kept.add(entries, state: number, of: key) }
    let name = kept.descriptors[number].name
    guard let stored = writeBack.binding.kept[name] else {
      throw EngineError(.internalError, "state '\(name)' has no number in the store; please report this")
    }
    try writeBack.keep(entries, stored, slot)
  }

  private func restore(_ bytes: [UInt8], _ slot: UInt32, _ column: StateColumn) throws(EngineError) {
    let result: Result<Void, EngineError> = bytes.withUnsafeBytes { bytes in
      do throws(EngineError) { return .success(try column.restoreEntries(slot, bytes)) } catch {
        return .failure(error)
      }
    }
    do { try result.get() } catch { throw EngineError(.snapshotInvalid, error.message) }
  }

  /// Throws `.snapshotMismatch` unless the operator, to be opened with these schemas, can go on from what was stored with the header. To be
  /// called before a store is opened, whose rows would make no sense.
  func checkContinues(_ header: SnapshotHeader, left: Schema?, right: Schema?) throws(EngineError) {
    do throws(EngineError) {
      try checkKind(header)
      for state in header.states {
        if let now = descriptors.first(where: { $0.name == state.name }) { try state.checkContinues(as: now) }
      }
      let keys =
        kind == .process
        ? try KeySchema(left == nil ? [] : keyColumns, in: left ?? Schema([]))
        : try SecondInput(kind, keyColumns, rightKeyColumns, left: left, right: right).keys
      if !keys.parts.isEmpty { try checkKey(header, keys) }
    } catch {
      throw context.located(error)
    }
  }

  private func checkKey(_ header: SnapshotHeader, _ schema: KeySchema) throws(EngineError) {
    guard let (old, keyColumns) = header.keySource else { return }
    guard keyColumns.count == schema.parts.count else {
      throw EngineError(
        .snapshotMismatch,
        "the snapshot has a key of \(keyColumns.count) columns (\(keyColumns.joined(separator: ", "))), the function is "
          + "keyed by \(schema.parts.count) (\(self.keyColumns.joined(separator: ", "))); key it as it was")
    }
    for (name, part) in zip(keyColumns, schema.parts) {
      let type = schema.schema.fields[part.column].type
      guard let column = old.index(of: name) else { throw SnapshotFormat.malformed(at: 0) }
      let oldType = old.fields[column].type
      guard KeyClass(oldType.valueType) == part.keyClass else {
        throw EngineError(
          .snapshotMismatch,
          "the key column '\(part.name)' is \(type), and was \(oldType) ('\(name)') in the snapshot; a key keeps its type, so cast the "
            + "column")
      }
    }
  }
}

extension StateDescriptor {
  /// Throws `.snapshotMismatch` unless what was stored as this state can be read as `now`.
  fileprivate func checkContinues(as now: StateDescriptor) throws(EngineError) {
    guard kind == now.kind, type == now.type else {
      throw EngineError(
        .snapshotMismatch,
        "state '\(name)' is a \(now.fullType) and was a \(fullType) in the snapshot; declare it as it was, or give the new one another "
          + "name")
    }
    if let old = ttl, let new = now.ttl, old.domain != new.domain {
      throw EngineError(
        .snapshotMismatch,
        "the TTL of state '\(name)' counts \(new.domain.words) and counted \(old.domain.words) in the snapshot; keep its time, or give "
          + "the new one another name")
    }
  }

  private var fullType: String {
    switch kind {
    case .map(let key), .broadcast(let key): "\(kind.noun) of \(key) to \(type)"
    case .reducing(.custom): "\(kind.noun) of \(type)"
    case .reducing(let reducer): "\(kind.noun) (\(reducer)) of \(type)"
    case .value, .list, .aggregating: "\(kind.noun) of \(type)"
    }
  }
}

extension StateTTL.Domain {
  fileprivate var words: String { self == .event ? "event time" : "processing time" }
}
