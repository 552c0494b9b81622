import Synchronization

/// A new store that a thread opens while its first readers already have it: until something is written, which waits for that thread,
/// it is known to be empty.
///
/// RocksDB takes 22 ms for a new store, nearly all of it for the disk, and a job over 1 M records 105 ms. What is wrong with the opening is
/// thrown by the first write, copy or sync.
final class OpeningStore: KeyValueStore {
  let path: String
  let families: [String]
  private let opening: BackgroundWork
  private let opened = Locked<(any KeyValueStore)?>(nil)
  private let isEmpty = Atomic<Bool>(true)

  /// `options` are those of a store that is not there yet.
  init(_ options: StoreOptions, _ backend: any StoreBackend) throws(EngineError) {
    path = options.path
    families = options.families
    opening = try BackgroundWork("opening the store at '\(options.path)'") { [opened] () throws(EngineError) in
      let store = try backend.open(options)
      opened.withLock { $0 = store }
    }
  }

  // Its folder is free for others only when the thread has ended.
  deinit { try? opening.wait() }

  private func store() throws(EngineError) -> any KeyValueStore {
    try opening.wait()
    guard let store = opened.withLock({ $0 }) else { preconditionFailure("opened without an error, and not there") }
    return store
  }

  func get(_ keys: KeyList, in family: StoreFamily, _ receive: (Int, UnsafeRawBufferPointer?) -> Void)
    throws(EngineError)
  {
    guard isEmpty.load(ordering: .acquiring) else { return try store().get(keys, in: family, receive) }
    for index in 0..<keys.count { receive(index, nil) }
  }

  func cursor(_ family: StoreFamily, _ range: KeyRange) throws(EngineError) -> any StoreCursor {
    isEmpty.load(ordering: .acquiring) ? EmptyCursor() : try store().cursor(family, range)
  }

  func usage() throws(EngineError) -> StoreUsage {
    isEmpty.load(ordering: .acquiring)
      ? StoreUsage(diskBytes: 0, memoryBytes: 0, entries: 0) : try store().usage()
  }

  func write(_ batch: WriteBatch, _ durability: Durability) throws(EngineError) {
    let store = try store()
    isEmpty.store(false, ordering: .releasing)
    try store.write(batch, durability)
  }

  func sync() throws(EngineError) { try store().sync() }

  func copy(to path: String) throws(EngineError) { try store().copy(to: path) }

  /// Without a store there is nothing to give back: what its opening threw was thrown, or nobody needed it.
  func close() throws(EngineError) {
    try? opening.wait()
    try opened.withLock({ $0 })?.close()
  }
}

/// Over nothing.
private final class EmptyCursor: StoreCursor {
  func next() -> Bool { false }
  var key: UnsafeRawBufferPointer { preconditionFailure("asked for without an entry") }
  var value: UnsafeRawBufferPointer { preconditionFailure("asked for without an entry") }
  func close() {}
}
