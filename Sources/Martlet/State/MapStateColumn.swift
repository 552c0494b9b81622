/// A map per slot: an ordered table each, so that a read or write of one entry touches one path of it, whatever the size.
///
/// Iteration is in the order of the keys' canonical bytes: integers and decimals by value, text and bytes byte by byte. A slot is
/// set while its map has entries. With a TTL entries expire one by one.
final class MapStateColumn: StateColumn {
  let layout: TableLayout
  let keyType: StateType
  let keyStorage: StateStorage
  let keyOrder: MapKeyOrder
  @exclusivity(unchecked) private var tables: UnsafeMutablePointer<OrderedTable>
  /// Of all maps in slots, not of those that the journal has.
  @exclusivity(unchecked) private var entriesInSlots = 0
  /// Within a large map: the key at which the next sweep goes on.
  private var sweepKey: (UInt64, UInt64)?
  /// Only with a store.
  let changes: MapChanges?

  override init(_ descriptor: StateDescriptor, _ environment: StateEnvironment, index: Int) {
    guard let keyType = descriptor.kind.mapKey else { preconditionFailure("a map state has a key type") }
    layout = TableLayout(
      keys: CellForm(keyType), values: CellForm(descriptor.type), isTimed: descriptor.ttl != nil)
    self.keyType = keyType
    keyStorage = StateStorage(keyType) ?? .bytes
    keyOrder = MapKeyOrder(keyType)
    changes = environment.flags.map { MapChanges($0, keyType) }
    tables = .blocks(256)
    tables.update(repeating: OrderedTable(), count: 256)
    super.init(descriptor, environment, index: index)
  }

  deinit {
    for slot in 0..<usedSlots { layout.removeAll(&tables[slot]) }
    tables.freeBlocks()
    if let sweepKey { layout.keys.release(sweepKey) }
    keyOrder.freeBuffer()
  }

  override func grow(from old: Int) {
    tables.growBlocks(to: capacity)
    (tables + old).update(repeating: OrderedTable(), count: capacity - old)
  }

  override var entryCount: Int { entriesInSlots }

  override var prefetch: StatePrefetch? {
    StatePrefetch(present: present, values: tables, stride: MemoryLayout<OrderedTable>.stride)
  }

  // MARK: - Operations

  /// The value, valid until the next write to this slot.
  @inline(__always)
  func get(_ slot: UInt32, _ key: StateCell) -> StateCell? {
    let stored = keyOrder.stored(key)
    guard let position = layout.find(tables[Int(slot)], stored) else { return nil }
    if expiry != nil, !passesExpiry(slot, stored, position, isRead: true) { return nil }
    return layout.values.load(layout.value(position.node, position.index))
  }

  func contains(_ slot: UInt32, _ key: StateCell) -> Bool {
    let stored = keyOrder.stored(key)
    guard let position = layout.find(tables[Int(slot)], stored) else { return false }
    return expiry == nil || passesExpiry(slot, stored, position, isRead: false)
  }

  @inline(__always)
  func put(_ slot: UInt32, _ key: StateCell, _ value: StateCell) {
    let stored = keyOrder.stored(key)
    let table = tables + Int(slot)
    let (position, isNew) = layout.findOrInsert(table, stored)
    let address = layout.value(position.node, position.index)
    if isNew { entriesInSlots &+= 1 }
    if isPlain {
      if isNew { layout.values.initialize(address, value) } else { layout.values.assign(address, value) }
    } else {
      putRecorded(slot, stored, position, isNew, value)
    }
    markSet(slot)
  }

  private func putRecorded(
    _ slot: UInt32, _ key: StateCell, _ position: TablePosition, _ isNew: Bool, _ value: StateCell
  ) {
    let address = layout.value(position.node, position.index)
    changes?.note(slot, key)
    if let journal, journal.isActive {
      if isNew {
        journal.append(.init(column: index, slot: slot, action: .noEntry, key: layout.copy(key)))
      } else {
        recordEntry(slot, key, position, journal)
      }
      layout.values.initialize(address, value)
    } else if isNew {
      layout.values.initialize(address, value)
    } else {
      layout.values.assign(address, value)
    }
    if let expiry { setStamp(slot, position, expiry.stamp()) }
  }

  /// Moves the entry's value into the journal.
  private func recordEntry(_ slot: UInt32, _ key: StateCell, _ position: TablePosition, _ journal: UndoJournal) {
    journal.append(
      .init(
        column: index, slot: slot, action: .entry, key: layout.copy(key),
        old: layout.values.take(layout.value(position.node, position.index)), stamp: stamp(position)))
  }

  /// Whether there was such an entry.
  func remove(_ slot: UInt32, _ key: StateCell) -> Bool {
    let stored = keyOrder.stored(key)
    guard let position = layout.find(tables[Int(slot)], stored) else { return false }
    if let expiry, !expiry.ttl.showsExpired, expiry.hasExpired(stamp(position)) {
      drop(slot, stored)
      return false
    }
    if let journal, journal.isActive {
      recordEntry(slot, stored, position, journal)
      changes?.note(slot, stored)
      layout.remove(tables + Int(slot), stored, keepsValue: true)
      entriesInSlots &-= 1
      if tables[Int(slot)].count == 0 { markEmpty(slot) }
    } else {
      drop(slot, stored)
    }
    return true
  }

  func count(_ slot: UInt32) -> Int {
    if expiry != nil { expire(slot) }
    return tables[Int(slot)].count
  }

  override func exists(_ slot: UInt32) -> Bool { count(slot) > 0 }

  /// Calls `body` with the entries from `low` (included) to `high` (not included), in key order, until it returns false.
  func forEach<Failure: Error>(
    _ slot: UInt32, from low: StateCell? = nil, to high: StateCell? = nil,
    _ body: (StateCell, StateCell) throws(Failure) -> Bool
  ) throws(Failure) {
    if expiry != nil { expire(slot) }
    let refreshed = expiry.flatMap { $0.refreshesOnRead ? $0.stamp() : nil }
    let from = low.map { keyOrder.stored($0, place: 0) }
    let to = high.map { keyOrder.stored($0, place: 1) }
    try layout.scan(tables[Int(slot)], from: from, to: to) { position throws(Failure) -> Bool in
      if let refreshed {
        let stamp = layout.stamp(position.node, position.index)
        stamp.storeBytes(of: max(stamp.load(as: Int64.self), refreshed), as: Int64.self)
        changes?.note(slot, layout.keys.load(layout.key(position.node, position.index)))
      }
      return try body(
        keyOrder.shown(layout.keys.load(layout.key(position.node, position.index))),
        layout.values.load(layout.value(position.node, position.index)))
    }
  }

  override func clear(_ slot: UInt32) {
    let table = tables[Int(slot)]
    guard let root = table.root else { return }
    entriesInSlots &-= table.count
    changes?.noteAll(slot)
    if let journal, journal.isActive {
      journal.append(
        .init(
          column: index, slot: slot, action: .map, old: (UInt64(UInt(bitPattern: root)), 0), stamp: table.oldest,
          count: table.count))
      tables[Int(slot)] = OrderedTable()
    } else {
      layout.removeAll(&tables[Int(slot)])
    }
    markEmpty(slot)
  }

  /// Removes an entry without a record of it.
  private func drop(_ slot: UInt32, _ stored: StateCell) {
    changes?.note(slot, stored)
    if layout.remove(tables + Int(slot), stored) { entriesInSlots &-= 1 }
    if tables[Int(slot)].count == 0 { markEmpty(slot) }
  }

  // MARK: - Expiry

  private func stamp(_ position: TablePosition) -> Int64 {
    layout.isTimed ? layout.stamp(position.node, position.index).load(as: Int64.self) : 0
  }

  private func setStamp(_ slot: UInt32, _ position: TablePosition, _ stamp: Int64) {
    layout.stamp(position.node, position.index).storeBytes(of: stamp, as: Int64.self)
    tables[Int(slot)].oldest = min(tables[Int(slot)].oldest, stamp)
  }

  private func passesExpiry(_ slot: UInt32, _ key: StateCell, _ position: TablePosition, isRead: Bool) -> Bool {
    guard let expiry else { return true }
    if expiry.hasExpired(stamp(position)) {
      if expiry.ttl.showsExpired { return true }
      drop(slot, key)
      return false
    }
    if isRead && expiry.refreshesOnRead {
      let last = layout.stamp(position.node, position.index).load(as: Int64.self)
      changes?.note(slot, key)
      setStamp(slot, position, max(last, expiry.stamp()))
    }
    return true
  }

  /// Removes the entries that have expired, unless they may be seen until they are swept.
  private func expire(_ slot: UInt32) {
    guard let expiry, !expiry.ttl.showsExpired else { return }
    let now = expiry.now()
    guard expiry.hasExpired(tables[Int(slot)].oldest, at: now) else { return }
    _ = removeExpired(slot, expiry, now, from: nil, budget: .max)
  }

  /// Looks at up to `budget` entries from a key on; gives how many, and, if there are more, the key to go on at, which is the
  /// caller's to release.
  private func removeExpired(
    _ slot: UInt32, _ expiry: Expiry, _ now: Int64, from low: StateCell?, budget: Int
  ) -> (seen: Int, next: (UInt64, UInt64)?) {
    var seen = 0
    var oldest = Int64.max
    var next: (UInt64, UInt64)?
    var expired: [(UInt64, UInt64)] = []
    layout.scan(tables[Int(slot)], from: low) { position in
      let key = layout.keys.load(layout.key(position.node, position.index))
      if seen >= budget {
        next = layout.copy(key)
        return false
      }
      seen += 1
      let stamp = stamp(position)
      if expiry.hasExpired(stamp, at: now) { expired.append(layout.copy(key)) } else { oldest = min(oldest, stamp) }
      return true
    }
    for key in expired {
      withCell(key) { drop(slot, $0) }
      layout.keys.release(key)
    }
    if low == nil, next == nil { tables[Int(slot)].oldest = oldest }
    return (seen, next)
  }

  private func withCell<Result>(_ key: (UInt64, UInt64), _ body: (StateCell) -> Result) -> Result {
    withUnsafePointer(to: InlineBytes(word0: key.0, word1: key.1)) { address in
      body(
        layout.keys.isBytes
          ? StateCell(bytes: UnsafeMutablePointer(mutating: address).bytes) : StateCell(word: Int64(bitPattern: key.0)))
    }
  }

  override func sweep(budget: Int) {
    guard let expiry else { return }
    let now = expiry.now()
    var rest = min(budget, max(usedSlots, 64))
    while rest > 0, usedSlots > 0 {
      if sweepSlot >= usedSlots { sweepSlot = 0 }
      let resumed = sweepKey
      sweepKey = nil
      if tables[sweepSlot].root != nil, expiry.hasExpired(tables[sweepSlot].oldest, at: now) {
        let slot = UInt32(sweepSlot)
        let (seen, next) =
          if let resumed {
            withCell(resumed) { removeExpired(slot, expiry, now, from: $0, budget: rest) }
          } else {
            removeExpired(slot, expiry, now, from: nil, budget: rest)
          }
        rest -= seen
        sweepKey = next
        flags?.markDirty(slot)
      }
      if let resumed { layout.keys.release(resumed) }
      if sweepKey == nil { sweepSlot &+= 1 }
      rest -= 1
    }
  }

  override func sweep(slot: UInt32) {
    guard let expiry, tables[Int(slot)].root != nil else { return }
    let now = expiry.now()
    guard expiry.hasExpired(tables[Int(slot)].oldest, at: now) else { return }
    if let next = removeExpired(slot, expiry, now, from: nil, budget: .max).next { layout.keys.release(next) }
    flags?.markDirty(slot)
  }

  // MARK: - Undo

  override func undo(_ record: UndoJournal.Record) {
    let slot = record.slot
    let table = tables + Int(slot)
    switch record.action {
    case .noEntry:
      withCell(record.key) { drop(slot, $0) }
      layout.keys.release(record.key)
    case .entry:
      let (position, isNew) = withCell(record.key) { layout.findOrInsert(table, $0) }
      let address = layout.value(position.node, position.index)
      if isNew { entriesInSlots &+= 1 } else { layout.values.release(address) }
      layout.values.put(address, record.old)
      if layout.isTimed { setStamp(slot, position, record.stamp) }
      layout.keys.release(record.key)
      markSet(slot)
    case .map:
      entriesInSlots &+= record.count - table.pointee.count
      layout.removeAll(&table.pointee)
      table.pointee = OrderedTable(
        root: UnsafeMutableRawPointer(bitPattern: UInt(record.old.0)), count: record.count, oldest: record.stamp)
      markSet(slot)
    case .absent, .value, .shorter, .list: preconditionFailure("a map records entries and maps")
    }
  }

  override func discard(_ record: UndoJournal.Record) {
    switch record.action {
    case .noEntry: layout.keys.release(record.key)
    case .entry:
      layout.keys.release(record.key)
      layout.values.release(record.old)
    case .map:
      var table = OrderedTable(root: UnsafeMutableRawPointer(bitPattern: UInt(record.old.0)))
      layout.removeAll(&table)
    case .absent, .value, .shorter, .list: break
    }
  }

  // MARK: - For snapshots

  /// Every entry as it is stored, expired or not, with its stamp.
  func forEachStored(_ slot: UInt32, _ body: (StateCell, StateCell, Int64) -> Void) {
    layout.scan(tables[Int(slot)]) { position in
      body(
        keyOrder.shown(layout.keys.load(layout.key(position.node, position.index))),
        layout.values.load(layout.value(position.node, position.index)), stamp(position))
      return true
    }
  }

  func storedCount(of slot: UInt32) -> Int { tables[Int(slot)].count }
  func table(of slot: UInt32) -> OrderedTable { tables[Int(slot)] }

  /// Puts an entry with the stamp it had.
  func restore(_ slot: UInt32, _ key: StateCell, _ value: StateCell, stamp: Int64?) {
    put(slot, key, value)
    guard let stamp, layout.isTimed, let position = layout.find(tables[Int(slot)], keyOrder.stored(key)) else { return }
    setStamp(slot, position, stamp)
  }

  override var memoryBytes: Int {
    super.memoryBytes + slots.slotCount * MemoryLayout<OrderedTable>.stride
      + blockBytes.total(slots: usedSlots) { layout.memoryBytes(tables[$0]) }
  }

  override var slotBytes: Int { super.slotBytes + MemoryLayout<OrderedTable>.stride }
  override func heapBytes(of slot: UInt32) -> Int { layout.memoryBytes(tables[Int(slot)]) }
}
