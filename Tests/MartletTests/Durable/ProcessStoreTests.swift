import Testing

@testable import Martlet

/// A store whose writes wait until they are let through, and which notes what was written and copied, in its order.
private final class SlowStore: KeyValueStore {
  let base: any KeyValueStore
  let gate: SlowBackend.Gate

  init(_ base: any KeyValueStore, _ gate: SlowBackend.Gate) { (self.base, self.gate) = (base, gate) }

  var path: String { base.path }
  var families: [String] { base.families }

  func get(_ keys: KeyList, in family: StoreFamily, _ receive: (Int, UnsafeRawBufferPointer?) -> Void)
    throws(EngineError)
  {
    try base.get(keys, in: family, receive)
  }
  func write(_ batch: WriteBatch, _ durability: Durability) throws(EngineError) {
    gate.pass()
    for case .put(_, let key, _) in batch.operations { gate.note(String(decoding: key, as: UTF8.self)) }
    try base.write(batch, durability)
  }
  func cursor(_ family: StoreFamily, _ range: KeyRange) throws(EngineError) -> any StoreCursor {
    try base.cursor(family, range)
  }
  func sync() throws(EngineError) { try base.sync() }
  func copy(to path: String) throws(EngineError) {
    gate.note("copy")
    try base.copy(to: path)
  }
  func usage() throws(EngineError) -> StoreUsage { try base.usage() }
  func close() throws(EngineError) { try base.close() }
}

private struct SlowBackend: StoreBackend {
  final class Gate: Sendable {
    private let gate = PumpGate()
    private let state = Locked((isOpen: false, noted: [String]()))

    var noted: [String] { state.withLock { $0.noted } }
    func note(_ what: String) { state.withLock { $0.noted.append(what) } }
    func open() { gate.change { state.withLock { $0.isOpen = true } } }
    func pass() { gate.wait(within: 60_000) { state.withLock { $0.isOpen } } }
  }

  let base = MemoryStoreBackend()
  let gate = Gate()
  var name: String { base.name }

  func open(_ options: StoreOptions) throws(EngineError) -> any KeyValueStore {
    SlowStore(try base.open(options), gate)
  }
  func clone(_ copy: String, to path: String) throws(EngineError) { try base.clone(copy, to: path) }
}

@Suite struct ProcessStoreTests {
  private func batch(_ key: String) throws -> WriteBatch {
    let batch = WriteBatch()
    try batch.put(Array(key.utf8), [], in: StoreFamily(0))
    return batch
  }

  /// An operator that opens after a checkpoint has begun may spill before the checkpoint's thread has looked for what it waits for.
  @Test func whatIsSpilledWhileACheckpointIsWrittenComesBehindIt() throws {
    let directory = try TemporaryDirectory()
    let backend = SlowBackend()
    let opening = ProcessStore.Opening(path: directory("store"), memoryLimit: 1 << 20)
    let store = try ProcessStore(opening, KeyGroupRange(0..<4, of: 4), backend, PosixFileSystem())
    let before = try store.spillBehind(batch("before"))
    _ = store.add(try batch("checkpoint"))
    try store.persist(to: directory("copy"), since: nil)
    let behind = try store.spillBehind(batch("behind"))
    backend.gate.open()
    // Not by waiting for them: if this went wrong, the two threads would wait for each other.
    let pause = PumpGate()
    for _ in 0..<1000 where !behind.isDone || !store.isPersisted { pause.wait(within: 10) { false } }
    try #require(behind.isDone && store.isPersisted)
    try before.wait()
    try behind.wait()
    _ = try store.takePersisted()
    #expect(backend.gate.noted == ["before", "checkpoint", "copy", "behind"])
    try store.close()
  }
}
