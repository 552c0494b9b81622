import CMartlet

/// Collects what tables say of one state.
///
/// The column is one like a job's, so that a value, a list or a map is made up and written as if a function had set it.
final class StateFill {
  let number: Int
  let descriptor: StateDescriptor
  private let time: StateTime
  private let slots: SlotAllocator
  private(set) var table: StateTable
  /// Whether the rows say when they expire; nil before the first.
  private var isTimed: Bool?
  private var rows: Int64 = 0
  /// By slot: the last index of a list.
  private var lastIndex: [Int64] = []

  var column: StateColumn { table.columns[0] }

  init(_ number: Int, _ descriptor: StateDescriptor, _ slots: SlotAllocator, _ time: StateTime) {
    self.number = number
    self.descriptor = descriptor
    self.slots = slots
    self.time = time
    table = StateTable([descriptor], slots, time)
  }

  /// Adds the rows of a batch. `slots`: of the key of each row; nil for a broadcast state. Throws naming column and row, which counts from
  /// 0 over all batches.
  func add(_ batch: RecordBatch, _ layout: StateTableLayout, slots: UnsafePointer<UInt32>?) throws(EngineError) {
    var optional = layout.expiresAt.map { [$0] } ?? []
    if let index = layout.index { optional.append(index) }
    let columns = try TableColumns(batch.schema, layout.schema, optional: optional)
    func column(_ index: Int?) -> Int? { index.flatMap { columns.schema.index(of: layout.schema.fields[$0].name) } }
    let fields = columns.schema.fields
    guard let valueColumn = column(layout.value) else { return }
    var values = try ValueReader(descriptor.type, fields[valueColumn])
    let keyColumn = column(layout.mapKey)
    var keys: ValueReader?
    if let keyColumn, let type = descriptor.kind.mapKey {
      keys = try ValueReader(type, fields[keyColumn], isMapKey: true)
    }
    let indexColumn = column(layout.index)
    let indexes = try indexColumn.map { index throws(EngineError) in try ValueReader(.typed(.int64), fields[index]) }
    let timeColumn = column(layout.expiresAt)
    try decideTimes(batch, timeColumn)
    let times =
      isTimed ?? false ? try timeColumn.map { index throws(EngineError) in try TimeReader(fields[index]) } : nil
    _ = table.reserve()
    var entry: [UInt8] = []
    for row in 0..<batch.numRows {
      do throws(EngineError) {
        let slot = slots.map { $0[row] } ?? BroadcastSlot.slot
        if let indexColumn, var indexes { try checkOrder(&indexes, batch.columns[indexColumn], row, slot) }
        entry.removeAll(keepingCapacity: true)
        appendHead(timed: times != nil, to: &entry)
        if let keyColumn { try keys?.append(batch.columns[keyColumn], row, to: &entry) }
        try values.append(batch.columns[valueColumn], row, to: &entry)
        if values.wasNull, layout.mapKey == nil {
          throw EngineError(.valueRange, "the value is null, and a state that holds none is left out")
        }
        if let times, let timeColumn { try append(times, batch.columns[timeColumn], row, to: &entry) }
        try put(entry, slot)
      } catch {
        throw located(error, row)
      }
    }
    rows += Int64(batch.numRows)
  }

  /// Of values without a column of times, or with an empty one, the TTL counts from the restore.
  private func decideTimes(_ batch: RecordBatch, _ column: Int?) throws(EngineError) {
    guard let ttl = descriptor.ttl, batch.numRows > 0 else { return }
    let has = column.map { Int(batch.columns[$0].null_count) < batch.numRows } ?? false
    if ttl.domain == .event, !has {
      throw EngineError(
        .invalidArgument,
        "its TTL counts event time, of which nothing is known before the first record: give the column 'expires_at'")
    }
    guard let known = isTimed else {
      isTimed = has
      if !has, let untimed = try? StateDescriptor(descriptor.name, descriptor.type, kind: descriptor.kind) {
        table = StateTable([untimed], slots, time)
      }
      return
    }
    guard known == has else { throw located(StateFill.partlyTimed, 0) }
  }

  private static var partlyTimed: EngineError {
    EngineError(
      .schemaMismatch,
      "column 'expires_at' is null for some of the values; give it for all of them, or for none, so that they count from the restore"
    )
  }

  private func append(
    _ times: TimeReader, _ column: martlet_column, _ row: Int, to entry: inout [UInt8]
  ) throws(EngineError) {
    guard let time = try times.time(column, row) else { throw StateFill.partlyTimed }
    StoreNumbers.append(time.saturatingSubtracting(descriptor.ttl?.milliseconds ?? 0), to: &entry)
  }

  private func checkOrder(
    _ indexes: inout ValueReader, _ column: martlet_column, _ row: Int, _ slot: UInt32
  ) throws(EngineError) {
    var bytes: [UInt8] = []
    try indexes.append(column, row, to: &bytes)
    let index = bytes.withUnsafeBytes { Int64(littleEndian: $0.loadUnaligned(as: Int64.self)) }
    while lastIndex.count <= Int(slot) { lastIndex.append(.min) }
    guard index > lastIndex[Int(slot)] else {
      throw EngineError(
        .invalidArgument,
        "index \(index) comes after index \(lastIndex[Int(slot)]) of the same list; sort the table by its index")
    }
    lastIndex[Int(slot)] = index
  }

  private func appendHead(timed: Bool, to entry: inout [UInt8]) {
    let kind: UInt8 =
      switch descriptor.kind {
      case .value, .reducing, .aggregating: 1
      case .list: 2
      case .map, .broadcast: 3
      }
    let values = CellForm(descriptor.type).isBytes
    let keys = descriptor.kind.mapKey.map { CellForm($0).isBytes } ?? false
    entry.append(kind)
    entry.append((timed ? 1 : 0) | (values ? 2 : 0) | (keys ? 4 : 0))
    StoreNumbers.append(Int64(1), to: &entry)
  }

  private func put(_ entry: [UInt8], _ slot: UInt32) throws(EngineError) {
    let map = column as? MapStateColumn
    let before = map?.storedCount(of: slot) ?? 0
    if map == nil, !(column is ListStateColumn), column.isSet(slot) {
      throw EngineError(.invalidArgument, "the key comes twice, and a \(descriptor.kind.noun) has one value for each")
    }
    let result: Result<Void, EngineError> = entry.withUnsafeBytes { bytes in
      do throws(EngineError) { return .success(try column.addEntries(slot, bytes)) } catch { return .failure(error) }
    }
    try result.get()
    if let map, map.storedCount(of: slot) == before {
      throw EngineError(.invalidArgument, "the entry's key comes twice for this key")
    }
  }

  func located(_ error: EngineError, _ row: Int) -> EngineError {
    EngineError(error.kind, "row \(rows + Int64(row)): \(error.message)")
  }
}
