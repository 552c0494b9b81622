import CMartlet

/// Reads what stores have of one operator as `SnapshotReader` reads a snapshot: the broadcast states, then every key in the order of
/// canonical bytes, so that a checkpoint of stores and a portable one are read alike.
///
/// The stores must not be written meanwhile: they are the copies of a checkpoint, or at rest. Memory holds a bounded number of rows and
/// the key that is read, whose large lists and maps are put together from their rows.
struct StoredSnapshotReader {
  /// As it was given: entries of keys name states by their place in it.
  let header: SnapshotHeader
  /// By number in the store, the place of the state in the header.
  private let places: [UInt16: Int]
  private let largeStates: LargeStates
  private let broadcast: (part: StoredPart, head: [UInt8])?
  private var broadcastIsRead = false
  private let keySchema: KeySchema?
  private var groups: [StoredGroup] = []
  private var heap = KeyHeap()

  /// Rows read ahead, of all groups together.
  private static let rowsAhead = 8192
  private static let bytesAhead = 16 << 20

  /// The parts have every key group once, and the same broadcast states. `header` is that of the operator's snapshot: state `i` of it is kept under
  /// `stateNumbers[i]`; what is kept under other numbers is passed over. Its watermark and processing time are those
  /// from which something without a stamp counts, where a state has a TTL. Throws `.storageCorrupt` for rows that make no sense, here and in `next`.
  init(_ parts: [StoredPart], _ header: SnapshotHeader, operatorNumber: UInt16, stateNumbers: [UInt16])
    throws(EngineError)
  {
    guard stateNumbers.count == header.states.count, Set(stateNumbers).count == stateNumbers.count else {
      throw EngineError(
        .internalError,
        "operator '\(header.operatorName)' has \(header.states.count) states under the numbers \(stateNumbers); please report this"
      )
    }
    self.header = header
    places = Dictionary(uniqueKeysWithValues: stateNumbers.enumerated().map { ($1, $0) })
    largeStates = LargeStates(header)
    broadcast = parts.first.map { ($0, StoredPart.head(operatorNumber, group: StoreKeys.broadcastGroup)) }
    guard let source = header.keySource, !source.columns.isEmpty else {
      keySchema = nil
      return
    }
    let schema = try KeySchema(source.columns, in: source.schema)
    keySchema = schema
    let classes = schema.parts.map(\.keyClass)
    let count = max(parts.reduce(0) { $0 + $1.groups.groups.count }, 1)
    let ahead = StoredGroup.Ahead(
      keys: max(StoredSnapshotReader.rowsAhead / count, 8), bytes: StoredSnapshotReader.bytesAhead / count)
    try located { () throws(EngineError) in
      for part in parts {
        for number in part.groups.groups {
          let head = StoredPart.head(operatorNumber, group: UInt16(truncatingIfNeeded: number))
          let group = try StoredGroup(part, head, classes, ahead)
          guard let key = group.firstKey else { continue }
          heap.add(key, run: groups.count)
          groups.append(group)
        }
      }
    }
  }

  /// The next key, nil after the last one. The first has no bytes and is that of the broadcast states, if they hold something.
  mutating func next() throws(EngineError) -> SnapshotKey? {
    do throws(EngineError) {
      if !broadcastIsRead {
        broadcastIsRead = true
        if let entry = try readBroadcast() { return entry }
      }
      while let run = heap.firstRun {
        let group = groups[run]
        let row = try group.removeFirst()
        heap.replaceFirst(by: group.firstKey)
        let key = try key(row, group.part, group.head)
        // A key that has only states which are passed over is none.
        if !key.entries.isEmpty || !key.timers.isEmpty { return key }
      }
      return nil
    } catch {
      throw atOperator(error)
    }
  }

  private func readBroadcast() throws(EngineError) -> SnapshotKey? {
    guard let (part, head) = broadcast else { return nil }
    let list = KeyList()
    list.append(head + [StoreKeys.record])
    var row = StoredGroup.Row(key: [])
    try part.store.get(list, in: part.states) { _, value in row.states = value.map { Array($0) } ?? [] }
    if row.states.isEmpty { return nil }
    let entry = try key(row, part, head)
    return entry.entries.isEmpty ? nil : entry
  }

  private func key(_ row: StoredGroup.Row, _ part: StoredPart, _ head: [UInt8]) throws(EngineError) -> SnapshotKey {
    var key = SnapshotKey(key: row.key)
    if !row.states.isEmpty { try readStates(row, part, head, into: &key) }
    if !row.timers.isEmpty {
      guard let timers = row.timers.withUnsafeBytes({ PendingTimer.decode($0) }) else {
        throw part.store.damaged("the timers of \(text(row.key)) are damaged")
      }
      key.timers = timers
    }
    return key
  }

  private func readStates(
    _ row: StoredGroup.Row, _ part: StoredPart, _ head: [UInt8], into key: inout SnapshotKey
  ) throws(EngineError) {
    var entries: [(state: Int, bytes: [UInt8])] = []
    let isSound: Result<Bool, EngineError> = row.states.withUnsafeBytes { bytes in
      do throws(EngineError) {
        return .success(
          try StateRow.forEach(bytes) { state throws(EngineError) in
            guard let place = places[state.number] else { return }
            var content = state.entries
            if state.form == StateRow.large {
              var prefix = head + row.key + [StoreKeys.entries]
              StoreKeys.append(state.number, to: &prefix)
              content = try largeStates.entries(of: place, count: state.count ?? 0, part, prefix)
            }
            entries.append((place, content))
          })
      } catch {
        return .failure(error)
      }
    }
    do throws(EngineError) {
      guard try isSound.get() else { throw part.store.damaged("the row of \(text(row.key)) is damaged") }
    } catch {
      var error = error
      error.key = error.key ?? text(row.key)
      throw error
    }
    // The row has them in the order in which the function declared them that wrote it.
    entries.sort { $0.state < $1.state }
    key.entries = entries
  }

  private func located(_ body: () throws(EngineError) -> Void) throws(EngineError) {
    do throws(EngineError) { try body() } catch { throw atOperator(error) }
  }

  private func atOperator(_ error: EngineError) -> EngineError {
    var error = error
    error.operatorName = error.operatorName ?? header.operatorName
    return error
  }

  /// The key, for messages.
  private func text(_ key: [UInt8]) -> String {
    if key.isEmpty { return "the broadcast states" }
    guard let keySchema else { return "a key" }
    let keys = KeySpace(keySchema)
    guard let slot = keys.intern(canonical: key) else { return "a key" }
    keys.show(slot: slot)
    return "key " + Key(keys.parts, keys.partCount).description
  }
}

/// Puts large lists and maps together from their rows.
private final class LargeStates {
  private let header: SnapshotHeader
  private let call: UnsafeMutablePointer<martlet_context>
  private let environment: StateEnvironment
  /// By place in the header; each has one slot.
  private var columns: [Int: StateColumn] = [:]

  init(_ header: SnapshotHeader) {
    self.header = header
    call = .allocate(capacity: 1)
    call.initialize(to: martlet_context())
    call.pointee.watermark = header.watermark
    call.pointee.timestamp = EventTime.none
    environment = StateEnvironment(
      slots: BroadcastSlot.allocator(), time: StateTime(ManualClock(header.processingTime), call), journal: nil)
  }

  deinit { call.deallocate() }

  /// What the rows that begin with `prefix` hold, as `StateColumn.encodeEntries` writes it.
  func entries(of place: Int, count: Int, _ part: StoredPart, _ prefix: [UInt8]) throws(EngineError) -> [UInt8] {
    let column = columns[place] ?? StateColumn.make(header.states[place], environment, index: place)
    columns[place] = column
    defer { column.clear(BroadcastSlot.slot) }
    try column.restoreRows(BroadcastSlot.slot, count: count, of: part.store, part.states, prefix)
    var bytes: [UInt8] = []
    column.encodeEntries(of: BroadcastSlot.slot, into: &bytes)
    return bytes
  }
}
