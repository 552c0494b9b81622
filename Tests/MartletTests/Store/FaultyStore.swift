import Synchronization

@testable import Martlet

/// Stores that go wrong as planned, over those of another backend. The plan outlives a store, as a disk does.
struct FaultyBackend: StoreBackend {
  let base: any StoreBackend
  let plan: FaultPlan

  init(_ base: any StoreBackend, _ plan: FaultPlan) {
    self.base = base
    self.plan = plan
  }

  var name: String { base.name }

  func open(_ options: StoreOptions) throws(EngineError) -> any KeyValueStore {
    FaultyStore(
      try plan.run("open", options.path) { () throws(EngineError) in try base.open(options) }, plan)
  }

  func clone(_ copy: String, to path: String) throws(EngineError) {
    try plan.run("clone", copy) { () throws(EngineError) in try base.clone(copy, to: path) }
  }
}

private final class FaultyStore: KeyValueStore {
  private let base: any KeyValueStore
  private let plan: FaultPlan
  private let hasFailed = Atomic(false)

  init(_ base: any KeyValueStore, _ plan: FaultPlan) {
    self.base = base
    self.plan = plan
  }

  var path: String { base.path }
  var families: [String] { base.families }

  private func run<Result>(_ operation: String, _ body: () throws(EngineError) -> Result) throws(EngineError) -> Result
  {
    if hasFailed.load(ordering: .relaxed) {
      throw EngineError(.storageFailed, "cannot \(operation) the store at '\(path)': it failed before; open it again")
    }
    do throws(EngineError) {
      return try plan.run(operation, path, body)
    } catch {
      // As the contract has it: not for arguments that are refused.
      if error.kind == .storageFailed { hasFailed.store(true, ordering: .relaxed) }
      throw error
    }
  }

  func get(_ keys: KeyList, in family: StoreFamily, _ receive: (Int, UnsafeRawBufferPointer?) -> Void)
    throws(EngineError)
  {
    try run("read") { () throws(EngineError) in try base.get(keys, in: family, receive) }
  }
  func write(_ batch: WriteBatch, _ durability: Durability) throws(EngineError) {
    try run("write") { () throws(EngineError) in try base.write(batch, durability) }
  }
  func cursor(_ family: StoreFamily, _ range: KeyRange) throws(EngineError) -> any StoreCursor {
    try run("read") { () throws(EngineError) in Cursor(self, try base.cursor(family, range)) }
  }
  func sync() throws(EngineError) { try run("sync") { () throws(EngineError) in try base.sync() } }
  func copy(to path: String) throws(EngineError) {
    try run("copy") { () throws(EngineError) in try base.copy(to: path) }
  }
  func usage() throws(EngineError) -> StoreUsage { try base.usage() }
  func close() throws(EngineError) { try base.close() }

  private final class Cursor: StoreCursor {
    private let store: FaultyStore
    private let base: any StoreCursor

    init(_ store: FaultyStore, _ base: any StoreCursor) {
      self.store = store
      self.base = base
    }

    func next() throws(EngineError) -> Bool {
      try store.run("read") { () throws(EngineError) in try base.next() }
    }
    var key: UnsafeRawBufferPointer { base.key }
    var value: UnsafeRawBufferPointer { base.value }
    func close() { base.close() }
  }
}
