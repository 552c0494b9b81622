import MartletRocksDB
import Synchronization
import Testing

@testable import Martlet

/// A backend that opens when it is let, or fails.
private final class SlowBackend: StoreBackend {
  let name = "slow"
  let mayOpen = Atomic<Bool>(false)
  private let backend = RocksDBBackend()
  private let failure: EngineError?

  init(_ failure: EngineError? = nil) { self.failure = failure }

  func open(_ options: StoreOptions) throws(EngineError) -> any KeyValueStore {
    while !mayOpen.load(ordering: .acquiring) { shortSleep() }
    if let failure { throw failure }
    return try backend.open(options)
  }

  func clone(_ copy: String, to path: String) throws(EngineError) { try backend.clone(copy, to: path) }
}

/// A new store that is used before it is open.
@Suite struct OpeningStoreTests {
  private let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  private func open(_ backend: SlowBackend) throws -> OpeningStore {
    try OpeningStore(StoreOptions(directory("store"), families: StoreRig.families), backend)
  }

  @Test func emptyUntilTheFirstWrite() throws {
    let backend = SlowBackend()
    let store = try open(backend)
    #expect(try store.get([[1], [2], [1]]) == [nil, nil, nil])
    #expect(try store.scan().isEmpty)
    #expect(try store.usage() == StoreUsage(diskBytes: 0, memoryBytes: 0, entries: 0))
    #expect((store.path, store.families) == (directory("store"), StoreRig.families))
    backend.mayOpen.store(true, ordering: .releasing)
    try store.write { try $0.put([1], [7], in: StoreRig.a) }
    #expect(try store.get([[1], [2]]) == [[7], nil])
    #expect(try store.scan().map(\.key) == [[1]])
    try store.sync()
    try store.copy(to: directory("copy"))
    try store.close()
    #expect(throws: EngineError.self) { try store.get([[1]]) }
  }

  /// Whoever writes while it is opened waits, and so does whoever closes it.
  @Test func writersWait() throws {
    let backend = SlowBackend()
    let store = try open(backend)
    let hasWritten = Locked(false)
    let writer = try BackgroundWork("a writer") { () throws(EngineError) in
      let batch = WriteBatch()
      try batch.put([5], [6], in: StoreRig.b)
      try store.write(batch, .process)
      hasWritten.withLock { $0 = true }
    }
    for _ in 0..<20 { shortSleep() }
    #expect(!hasWritten.withLock { $0 })
    #expect(try store.get([[5]], in: StoreRig.b) == [nil])
    backend.mayOpen.store(true, ordering: .releasing)
    try writer.wait()
    #expect(try store.get([[5]], in: StoreRig.b) == [[6]])
    try store.close()
    let again = try RocksDBBackend().open(
      StoreOptions(directory("store"), families: StoreRig.families, access: .existing))
    #expect(try again.get([[5]], in: StoreRig.b) == [[6]])
  }

  @Test func aFailureIsThrownByWhoNeedsTheStore() throws {
    let failure = EngineError(.storageFailed, "no room in the test")
    let backend = SlowBackend(failure)
    backend.mayOpen.store(true, ordering: .releasing)
    let store = try open(backend)
    #expect(try store.get([[1]]) == [nil])
    let calls: [() throws -> Void] = [
      { try store.write { try $0.put([1], [2], in: StoreRig.a) } },
      { try store.copy(to: directory("copy")) },
      { try store.sync() },
    ]
    for call in calls + calls {
      let error = try #require(throws: EngineError.self) { try call() }
      #expect((error.kind, error.message) == (failure.kind, failure.message))
    }
    try store.close()
  }

  /// Nobody used it: its folder is free as soon as it is gone.
  @Test func droppedUnused() throws {
    for _ in 0..<5 {
      let backend = SlowBackend()
      backend.mayOpen.store(true, ordering: .releasing)
      _ = try open(backend)
      try RocksDBBackend().open(StoreOptions(directory("store"), families: StoreRig.families)).close()
    }
  }
}
