import CMartlet

// Looking at a function from outside: output, states, timers, snapshots.

extension Harness {
  /// What was emitted since the last call to the main output, or to the side output of that tag, with the timestamp of every row
  /// (`EventTime.none` for none); nil if nothing was.
  public func takeOutput(_ tag: String? = nil) throws(EngineError) -> (batch: RecordBatch, timestamps: RowTimestamps)? {
    guard let lane = tag.map({ tag in process.sides.lanes.first { $0.tag == tag } }) ?? process.lane else { return nil }
    guard let (batch, timestamps) = try lane.builder.takeBatch(), let timestamps else { return nil }
    return (batch, timestamps)
  }

  /// Makes the key current whose columns are in row 0 of `key`, until `deselect`: the function's states can be read, and
  /// `context.timers()` lists its timers. False, with no key current, if it has neither state nor timers.
  @discardableResult
  package func select(_ key: RecordBatch) throws(EngineError) -> Bool {
    deselect()
    guard let parts = process.parts, parts.keys.partCount > 0 else { return false }
    do {
      guard let slot = try parts.keys.find(parts.keys.schema.parts.map(\.name), of: key) else { return false }
      process.context.raw.pointee.slot = slot
      parts.states.time.isLookedAt = true
      parts.keys.show(slot: slot)
      return true
    } catch {
      throw process.context.located(error)
    }
  }

  package func deselect() {
    process.context.clearCall()
    process.parts?.states.time.isLookedAt = false
    // Reading may have removed what had expired.
    process.parts?.keys.reclaim()
  }

  /// What a binding hands to functions of `martlet.h` while a key is selected.
  package var callbackContext: UnsafeMutablePointer<martlet_context> { process.context.raw }

  /// Fields of the key columns; nil while the input's schema is not known.
  package var keySchema: Schema? {
    guard let parts = process.parts, parts.keys.partCount > 0 else { return nil }
    return Schema(parts.keys.schema.parts.map { parts.keys.schema.schema.fields[$0.column] })
  }

  /// The schema of the input, once it is known.
  public var inputSchema: Schema? { process.parts?.schema }

  // MARK: - Snapshots

  /// All state, timers and times as bytes (`docs/design/snapshot.md`), to be restored by another harness, also with another version of
  /// the function. Throws `.closed` after an error, which leaves a record half done, and after `close`.
  public func snapshot() throws(EngineError) -> [UInt8] {
    switch phase {
    case .open, .ended:
      var writer = SnapshotWriter(process.snapshotHeader(records: input.records, kept, secondSnapshot))
      try process.forEachKey(kept) { key throws(EngineError) in writer.add(key) }
      return writer.finish()
    case .waiting:
      var header = process.snapshotHeader(records: 0, kept, secondSnapshot)
      header.watermark = watermark
      var writer = SnapshotWriter(header)
      return writer.finish()
    case .failed, .closed:
      try requireInput()
      return []
    }
  }

  /// Continues from a snapshot: call it before anything was pushed. The clock is set to the snapshot's time if it is behind,
  /// and timers that are overdue by the clock fire at once.
  ///
  /// A state that was added to the function starts empty. One that was taken out is kept and written to the next snapshot,
  /// unless it is named in `forgetting`. With `groups` only the keys of those key groups are restored. Throws `.snapshotInvalid`
  /// for bytes that are no sound snapshot, `.snapshotMismatch`, naming the state or key column, if one changed its type or kind.
  public func restore(
    _ snapshot: UnsafeRawBufferPointer, groups: KeyGroupRange? = nil, forgetting: [String] = []
  ) throws {
    guard input.records == 0, second?.input.records ?? 0 == 0, watermark == EventTime.min,
      phase == .waiting || phase == .open
    else {
      throw EngineError(.invalidArgument, "a snapshot is restored into a harness that nothing was pushed to yet")
    }
    try running {
      let reader = try SnapshotReader(snapshot)
      if let second = reader.header.second {
        try process.checkKind(reader.header)
        if phase == .waiting, reader.header.schema != nil || second.schema != nil {
          self.second?.schemas = (reader.header.schema, second.schema)
          try beginTwo()
        }
      } else if phase == .waiting, self.second == nil, let schema = reader.header.schema {
        try begin(schema)
      }
      kept = try process.restore(reader, RestoreOptions(groups: groups, forgetting: Set(forgetting)))
      resume(reader.header)
      if let clock = process.context.clock as? ManualClock, clock.now() < reader.header.processingTime {
        try clock.advance(to: reader.header.processingTime)
      }
      _ = try process.tick()
    }
  }
}
