/// A store in memory: the reference that others are compared with, and what jobs without state on disk can use.
///
/// Each family is a sorted array that is never changed in place while a cursor or a copy reads it: a write makes new arrays and
/// puts them in place of the old at once. That makes a large batch cheap (one merge) and a small one as dear as the store is
/// large; it is not made for many small writes. `Durability` means nothing to it: only a copy is on disk, one file
/// (`MemoryStoreFile`).
package final class MemoryStore: KeyValueStore {
  package let path: String
  package let families: [String]
  private let fileSystem: any FileSystem
  private let access: StoreAccess
  private let state: Locked<State>

  private struct State {
    var tables: [MemoryTable]
    /// Families of the copy it was opened from that it was not asked for.
    var others: [(name: String, table: MemoryTable)]
    var openCursors = 0
    var isClosed = false
  }

  fileprivate init(
    _ options: StoreOptions, _ content: [(name: String, table: MemoryTable)], _ fileSystem: any FileSystem
  ) {
    path = options.path
    families = options.families
    access = options.access
    self.fileSystem = fileSystem
    let tables = options.families.map { name in content.first { $0.name == name }?.table ?? MemoryTable() }
    let others = content.filter { !options.families.contains($0.name) }
    state = Locked(State(tables: tables, others: others))
  }

  package func get(_ keys: KeyList, in family: StoreFamily, _ receive: (Int, UnsafeRawBufferPointer?) -> Void)
    throws(EngineError)
  {
    let table = try snapshot("read", family)
    for index in 0..<keys.count {
      if let value = table.value(keys[index]) {
        value.withUnsafeBytes { receive(index, $0) }
      } else {
        receive(index, nil)
      }
    }
  }

  package func write(_ batch: WriteBatch, _ durability: Durability) throws(EngineError) {
    if case .readOnly = access {
      throw EngineError(.invalidArgument, "cannot write the store at '\(path)': it was opened for reading only")
    }
    if batch.familyBound > families.count { throw unknownFamily(batch.familyBound - 1) }
    let failure: EngineError? = state.withLock { state in
      if state.isClosed { return closedError("write") }
      for index in state.tables.indices { state.tables[index].apply(batch, StoreFamily(UInt8(index))) }
      return nil
    }
    if let failure { throw failure }
  }

  package func cursor(_ family: StoreFamily, _ range: KeyRange) throws(EngineError) -> any StoreCursor {
    let table = try snapshot("read", family)
    state.withLock { $0.openCursors += 1 }
    return MemoryCursor(self, table, range)
  }

  package func sync() throws(EngineError) { try checkOpen("sync") }

  package func copy(to path: String) throws(EngineError) {
    let content: [(name: String, table: MemoryTable)]? = state.withLock { state in
      state.isClosed ? nil : Array(zip(families, state.tables)) + state.others
    }
    guard let content else { throw closedError("copy") }
    try MemoryStoreFile.write(content, to: path, fileSystem)
  }

  package func usage() throws(EngineError) -> StoreUsage {
    try checkOpen("look at")
    return state.withLock { state in
      let bytes = state.tables.reduce(0) { $0 + $1.bytes }
      let entries = state.tables.reduce(0) { $0 + $1.count }
      return StoreUsage(diskBytes: 0, memoryBytes: Int64(bytes), entries: Int64(entries))
    }
  }

  package func close() throws(EngineError) {
    let open: Int = state.withLock { state in
      if state.openCursors == 0 {
        state.isClosed = true
        state.tables = state.tables.map { _ in MemoryTable() }
        state.others = []
      }
      return state.openCursors
    }
    if open > 0 {
      throw EngineError(.busy, "cannot close the store at '\(path)': \(open) cursors are open; close them first")
    }
  }

  fileprivate func cursorClosed() { state.withLock { $0.openCursors -= 1 } }

  private func snapshot(_ operation: String, _ family: StoreFamily) throws(EngineError) -> MemoryTable {
    guard Int(family.index) < families.count else { throw unknownFamily(Int(family.index)) }
    let table: MemoryTable? = state.withLock { $0.isClosed ? nil : $0.tables[Int(family.index)] }
    guard let table else { throw closedError(operation) }
    return table
  }

  private func checkOpen(_ operation: String) throws(EngineError) {
    if state.withLock({ $0.isClosed }) { throw closedError(operation) }
  }

  private func closedError(_ operation: String) -> EngineError {
    EngineError(.closed, "cannot \(operation) the store at '\(path)': it was closed")
  }

  private func unknownFamily(_ index: Int) -> EngineError {
    EngineError(.invalidArgument, "the store at '\(path)' has no family number \(index); it has \(families)")
  }
}

private final class MemoryCursor: StoreCursor {
  private let store: MemoryStore
  private let table: MemoryTable
  private var position: Int
  private let end: Int
  private var isOpen = true

  init(_ store: MemoryStore, _ table: MemoryTable, _ range: KeyRange) {
    self.store = store
    self.table = table
    position = range.lower.withUnsafeBytes { table.position($0) } - 1
    end = range.upper?.withUnsafeBytes { table.position($0) } ?? table.count
  }

  deinit { close() }

  func next() throws(EngineError) -> Bool {
    guard isOpen else { throw EngineError(.closed, "cannot read the store at '\(store.path)': the cursor was closed") }
    position = min(position + 1, max(end, 0))
    return position < end
  }

  var key: UnsafeRawBufferPointer { table.keyBytes(position) }
  var value: UnsafeRawBufferPointer { table.valueBytes(position) }

  func close() {
    if isOpen { store.cursorClosed() }
    isOpen = false
  }
}

/// Stores in memory. Opening one reads the copy at its path, if there is one; nothing is written back.
package struct MemoryStoreBackend: StoreBackend {
  package let name = "memory"
  private let fileSystem: any FileSystem

  package init(_ fileSystem: any FileSystem = PosixFileSystem()) { self.fileSystem = fileSystem }

  package func open(_ options: StoreOptions) throws(EngineError) -> any KeyValueStore {
    try options.check()
    if let content = try MemoryStoreFile.read(options.path, fileSystem) {
      return MemoryStore(options, content, fileSystem)
    }
    if case .create = options.access { return MemoryStore(options, [], fileSystem) }
    throw EngineError(.invalidArgument, "there is no store in memory to be read at '\(options.path)'")
  }

  package func clone(_ copy: String, to path: String) throws(EngineError) {
    guard let content = try MemoryStoreFile.read(copy, fileSystem) else {
      throw EngineError(.storageCorrupt, "there is no copy of a store in memory at '\(copy)'; restore from another one")
    }
    try FaultPoint.storeBeforeCloneRename.reach()
    try MemoryStoreFile.write(content, to: path, fileSystem)
  }
}
