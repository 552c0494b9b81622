/// The table of one state, or of the timers, of an operator: batch by batch, with no more than a batch and a key in memory.
///
/// Rows come in the order of key bytes; those of one key in the order of the list, of map keys, or of the timers: event time first, each by
/// time.
package final class StateRows {
  package let schema: Schema
  private enum Content {
    case state(OneState)
    case timers(TimerTableLayout)
  }

  /// A reference, since it is asked for with every key.
  private final class OneState {
    let number: Int
    let layout: StateTableLayout
    let keys: ValueCells?
    let values: ValueCells

    init(_ number: Int, _ layout: StateTableLayout) {
      (self.number, self.layout) = (number, layout)
      keys = layout.state.kind.mapKey.map { ValueCells($0, isMapKey: true) }
      values = ValueCells(layout.state.type)
    }
  }

  private let content: Content
  private var source: any SnapshotKeySource
  private let one: StateReader.Operator
  private let keyCells: KeyCells
  /// The only key to give; nil: all.
  private let wanted: [UInt8]?
  private let builder: BatchBuilder
  private let columns: [ColumnBuilder]
  private var current: SnapshotKey?
  private var cursor: EntriesCursor?
  private var timer = 0
  private var hasEnded = false
  /// About what a batch may take.
  private static let batchBytes = 16 << 20
  package static let batchRows = 8192

  init(
    _ source: any SnapshotKeySource, _ layout: StateTableLayout, state: Int, _ one: StateReader.Operator,
    key wanted: [UInt8]?
  ) throws(EngineError) {
    content = .state(OneState(state, layout))
    schema = layout.schema
    (self.source, self.one, self.wanted) = (source, one, wanted)
    keyCells = KeyCells(one.keySchema)
    builder = try BatchBuilder(layout.schema)
    columns = builder.columns
  }

  init(
    _ source: any SnapshotKeySource, _ layout: TimerTableLayout, _ one: StateReader.Operator, key wanted: [UInt8]?
  ) throws(EngineError) {
    content = .timers(layout)
    schema = layout.schema
    (self.source, self.one, self.wanted) = (source, one, wanted)
    keyCells = KeyCells(one.keySchema)
    builder = try BatchBuilder(layout.schema)
    columns = builder.columns
  }

  /// The next rows, at most so many; nil after the last. Throws `.snapshotInvalid` and `.storageCorrupt` for what makes no sense; then nothing
  /// more comes.
  package func next(maxRows: Int = batchRows) throws(EngineError) -> RecordBatch? {
    do throws(EngineError) {
      var bytes = 0
      while !hasEnded, builder.numRows < max(maxRows, 1), bytes < StateRows.batchBytes {
        guard current != nil else {
          try take()
          continue
        }
        switch content {
        case .state(let state): try appendEntries(state.layout, max(maxRows, 1), &bytes)
        case .timers(let layout): try appendTimers(layout, max(maxRows, 1), &bytes)
        }
      }
      return builder.numRows > 0 ? try builder.finish() : nil
    } catch {
      hasEnded = true
      builder.truncate(to: 0)
      var error = error
      error.operatorName = error.operatorName ?? one.name
      throw error
    }
  }

  /// The next key that has something for this table.
  private func take() throws(EngineError) {
    while let key = try source.next() {
      if let wanted {
        if wanted.lexicographicallyPrecedes(key.key) { break }
        guard key.key == wanted else { continue }
      }
      switch content {
      case .state(let state):
        guard let entry = key.entries.first(where: { $0.state == state.number }), !entry.bytes.isEmpty else { continue }
        let descriptor = state.layout.state
        guard key.key.isEmpty == descriptor.kind.isBroadcast else {
          throw KeyCells.damaged("state '\(descriptor.name)' holds something where it cannot")
        }
        cursor = try EntriesCursor(entry.bytes, descriptor, state.keys, state.values)
      case .timers:
        guard !key.timers.isEmpty, !key.key.isEmpty else { continue }
        timer = 0
      }
      current = key
      return
    }
    hasEnded = true
  }

  private func appendEntries(_ layout: StateTableLayout, _ maxRows: Int, _ bytes: inout Int) throws(EngineError) {
    guard let key = current?.key, var cursor else { return }
    self.cursor = nil
    while !cursor.isAtEnd, builder.numRows < maxRows, bytes < StateRows.batchBytes {
      let before = cursor.bytesRead
      if !layout.keys.isEmpty { try keyCells.append(key, to: columns[..<layout.keys.count]) }
      try cursor.append(layout, to: columns)
      try builder.endRow()
      bytes += cursor.bytesRead - before + key.count
    }
    if cursor.isAtEnd { current = nil } else { self.cursor = cursor }
  }

  private func appendTimers(_ layout: TimerTableLayout, _ maxRows: Int, _ bytes: inout Int) throws(EngineError) {
    guard let key = current else { return }
    while timer < key.timers.count, builder.numRows < maxRows, bytes < StateRows.batchBytes {
      let one = key.timers[timer]
      try keyCells.append(key.key, to: columns[..<layout.keys.count])
      try columns[layout.domain].append(copying: Array((one.domain == .event ? "event" : "processing").utf8))
      try columns[layout.time].append(int64: one.time)
      if let name = one.name {
        try columns[layout.name].append(copying: Array(name.utf8))
      } else {
        try columns[layout.name].appendNull()
      }
      try builder.endRow()
      timer += 1
      bytes += key.key.count + 32
    }
    if timer == key.timers.count { current = nil }
  }
}
