import MartletRocksDB
import Synchronization
import Testing

@testable import Martlet

/// A disk with as much room as it is told; otherwise that of the machine.
private final class ShortDisk: FileSystem {
  let free = Atomic<Int64>(1 << 40)
  private let disk = PosixFileSystem()

  func freeBytes(_ path: String) -> Int64 { free.load(ordering: .sequentiallyConsistent) }
  func leave(_ bytes: Int64) { free.store(bytes, ordering: .sequentiallyConsistent) }

  func open(_ path: String, _ mode: FileMode) throws(EngineError) -> any OpenFile { try disk.open(path, mode) }
  func info(_ path: String) throws(EngineError) -> FileInfo? { try disk.info(path) }
  func list(_ path: String) throws(EngineError) -> [String] { try disk.list(path) }
  func makeDirectory(_ path: String) throws(EngineError) { try disk.makeDirectory(path) }
  func rename(_ path: String, to target: String) throws(EngineError) { try disk.rename(path, to: target) }
  func link(_ path: String, to target: String) throws(EngineError) { try disk.link(path, to: target) }
  func remove(_ path: String) throws(EngineError) { try disk.remove(path) }
  func syncDirectory(_ path: String) throws(EngineError) { try disk.syncDirectory(path) }
  func lock(_ path: String) throws(EngineError) -> any FileLock { try disk.lock(path) }
}

/// A store looks for room before it writes: RocksDB, as Debian builds it, ends the process when it finds none.
@Suite struct RocksDBRoomTests {
  private let directory: TemporaryDirectory
  private let disk = ShortDisk()

  init() throws { directory = try TemporaryDirectory() }

  private func open(isLogged: Bool, writers: Int = 1) throws -> any KeyValueStore {
    var options = StoreOptions(directory("store"), families: StoreRig.families, memoryLimit: 16 << 20)
    options.isLogged = isLogged
    options.writers = writers
    return try RocksDBBackend(disk).open(options)
  }

  private func fill(_ store: any KeyValueStore, rows: Int = 5000) throws {
    try store.write { batch in
      for number in 0..<rows { try batch.put(bytes(number), noise(200, number), in: StoreRig.a) }
    }
  }

  @Test(arguments: [false, true])
  func withoutRoomItIsAsItWas(isLogged: Bool) throws {
    let store = try open(isLogged: isLogged)
    try fill(store)
    func refused(_ operation: String, _ body: () throws -> Void) throws {
      disk.leave(5 << 20)
      let error = try #require(throws: EngineError.self) { try body() }
      #expect(error.kind == .storageFailed, "\(error)")
      for words in ["cannot \(operation)", directory("store"), "No space left", "has 5242880 bytes free", "are needed"]
      {
        #expect(error.message.contains(words), "\(error.message)")
      }
      disk.leave(1 << 40)
    }
    try refused("write") { try fill(store, rows: 20_000) }
    #expect(try store.scan().count == 5000)
    try store.write { batch in
      for number in 0..<1000 { try batch.put(bytes(number), noise(3000, number), in: StoreRig.b) }
    }
    try refused("copy") { try store.copy(to: directory("copy")) }
    #expect(try PosixFileSystem().info(directory("copy")) == nil)
    try store.copy(to: directory("copy"))
    try store.close()
    try refused("open") {
      disk.leave(100)
      do { _ = try open(isLogged: isLogged) } catch let error as EngineError {
        throw EngineError(error.kind, error.message.replacing("has 100 bytes", with: "has 5242880 bytes"))
      }
    }
    #expect(try open(isLogged: isLogged).scan().count == 5000)
  }

  /// Stores of a job's processes look at the same disk before any of them writes.
  @Test func thereMustBeRoomForAllThatWrite() throws {
    let store = try open(isLogged: false, writers: 3)
    let error = try #require(throws: EngineError.self) {
      disk.leave(14 << 20)
      try fill(store)
    }
    #expect(error.message.contains("has 14680064 bytes free"), "\(error.message)")
    disk.leave(17 << 20)
    try fill(store)
    #expect(try store.scan().count == 5000)
    try store.close()
    disk.leave(12 << 20 - 1)
    #expect(throws: EngineError.self) { try open(isLogged: false, writers: 3) }
    disk.leave(12 << 20)
    #expect(try open(isLogged: false, writers: 3).scan().count == 5000)
  }

  /// Tables are merged in the background, and RocksDB asks nobody.
  @Test func withoutRoomNothingIsMerged() throws {
    let store = try open(isLogged: false)
    try fill(store)
    let one = try store.usage().diskBytes
    disk.leave(one + (5 << 20))
    for _ in 1..<30 { try fill(store) }
    #expect(try store.usage().diskBytes > 29 * one)
    disk.leave(1 << 40)
    try fill(store)
    for _ in 0..<2000 where try store.usage().diskBytes > 15 * one { shortSleep() }
    #expect(try store.usage().diskBytes < 15 * one)
    #expect(try store.scan().count == 5000)
  }
}
