import MartletRocksDB
import Testing

@testable import Martlet

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// What RocksDB's files look like when something happened to them, and that the message says so.
@Suite struct RocksDBFailureTests {
  private let files = PosixFileSystem()

  /// A closed store with a table of 2000 entries and a log of 10 more. Made through a copy of a large log, which flushes it.
  private func storeOnDisk(_ directory: TemporaryDirectory) throws -> String {
    let backend = RocksDBBackend()
    let store = try backend.open(StoreOptions(directory("first"), families: StoreRig.families))
    try store.write { batch in
      for number in 0..<2000 { try batch.put(bytes(number), noise(5000, number), in: StoreRig.a) }
    }
    try store.copy(to: directory("store"))
    try store.close()
    let copy = try backend.open(StoreOptions(directory("store"), families: StoreRig.families))
    for number in 0..<10 { try copy.write { batch in try batch.put(bytes(number), [1], in: StoreRig.b) } }
    try copy.close()
    return directory("store")
  }

  private func file(_ folder: String, _ matches: (String) -> Bool) throws -> String {
    FilePath.join(folder, try #require(try files.list(folder).last(where: matches)))
  }

  /// Opens, reads everything, and says with which error that ended.
  private func readAll(_ path: String) throws -> EngineError {
    let store: any KeyValueStore
    do throws(EngineError) {
      store = try RocksDBBackend().open(StoreOptions(path, families: StoreRig.families, access: .existing))
    } catch {
      return error
    }
    defer { try? store.close() }
    let error = try #require(throws: EngineError.self) { _ = try store.scan() }
    // It refuses to go on.
    let refused = try #require(throws: EngineError.self) { try store.write { _ in } }
    #expect(refused.kind == .storageFailed && refused.message.contains("open it again"))
    return error
  }

  @Test func oneStoreAtATime() throws {
    let rig = try StoreRig(.rocksdb)
    let error = try #require(throws: EngineError.self) { _ = try rig.open("store") }
    #expect(error.kind == .storageInUse)
    #expect(error.message.contains("'\(rig.directory("store"))'") && error.message.contains("open already"))
    try rig.reopen()
  }

  @Test func damageToTheManifestIsSaid() throws {
    let directory = try TemporaryDirectory()
    let path = try storeOnDisk(directory)
    let manifest = try file(path) { $0.hasPrefix("MANIFEST") }
    var content = try files.contents(manifest)
    content[content.count / 2] ^= 0xFF
    try files.write(content, to: manifest, .replace)
    let error = try readAll(path)
    #expect(error.kind == .storageCorrupt)
    #expect(error.message.contains(path) && error.message.contains("restore from a checkpoint"))
  }

  @Test func damageToATableIsSaid() throws {
    let directory = try TemporaryDirectory()
    let path = try storeOnDisk(directory)
    let table = try file(path) { $0.hasSuffix(".sst") }
    var content = try files.contents(table)
    content[content.count / 2] ^= 0xFF
    // Not in place: the file is shared with the store it was copied from.
    try files.remove(table)
    try files.write(content, to: table)
    let error = try readAll(path)
    #expect(error.kind == .storageCorrupt && error.message.contains("restore from a checkpoint"))

    try files.write(Array(content.prefix(1000)), to: table, .replace)
    #expect(try readAll(path).kind == .storageCorrupt)
  }

  @Test(arguments: ["CURRENT", "MANIFEST", ".sst"])
  func aMissingFileIsSaid(which: String) throws {
    let directory = try TemporaryDirectory()
    let path = try storeOnDisk(directory)
    try files.remove(try file(path) { $0.hasPrefix(which) || $0.hasSuffix(which) })
    // Also where a store may be made: never a new one in the place of what is left.
    for access in [StoreAccess.existing, .create, .readOnly] {
      let error = try #require(throws: EngineError.self) {
        _ = try RocksDBBackend().open(StoreOptions(path, families: StoreRig.families, access: access))
      }
      #expect(error.kind == .storageCorrupt, "\(error)")
      #expect(error.message.contains(path))
    }
  }

  /// A log that ends anywhere, as after a crash of the machine, or has a wrong byte: the batches before that, whole.
  @Test(arguments: [false, true])
  func aTornOrDamagedLogGivesTheBatchesBefore(isDamaged: Bool) throws {
    let directory = try TemporaryDirectory()
    let path = try storeOnDisk(directory)
    let log = try file(path) { $0.hasSuffix(".log") }
    let content = try files.contents(log)
    #expect(content.count > 100)
    var counts: [Int] = []
    for length in stride(from: content.count, through: 0, by: -13) {
      try RocksDBBackend().clone(path, to: directory("torn"))
      let torn = FilePath.join(directory("torn"), FilePath.name(log))
      var damaged = content
      if isDamaged { damaged[max(length - 1, 0)] ^= 0xFF } else { damaged = Array(content.prefix(length)) }
      try files.write(damaged, to: torn, .replace)
      let store = try RocksDBBackend().open(StoreOptions(directory("torn"), families: StoreRig.families))
      let keys = try store.scan(in: StoreRig.b).map(\.key)
      #expect(keys == (0..<keys.count).map { bytes($0) })
      counts.append(keys.count)
      try store.close()
      try files.removeTree(directory("torn"))
    }
    #expect(counts.first == (isDamaged ? 9 : 10) && counts.last == 0 && counts == counts.sorted(by: >))
  }

  @Test func aPlaceThatCannotBeWrittenIsSaid() throws {
    for path in ["/proc/martlet/store", "/dev/null/store"] {
      let error = try #require(throws: EngineError.self) {
        _ = try RocksDBBackend().open(StoreOptions(path, families: StoreRig.families))
      }
      #expect(error.kind == .storageFailed && error.message.contains(FilePath.parent(path)))
    }
  }

  @Test func theMemoryLimitHolds() throws {
    let directory = try TemporaryDirectory()
    let limit = 8 << 20
    let options = StoreOptions(directory("store"), families: StoreRig.families, memoryLimit: limit)
    let store = try RocksDBBackend().open(options)
    for round in 0..<64 {
      try store.write { batch in
        for number in 0..<256 {
          try batch.put(bytes(round << 20 + number), noise(4096, round << 8 + number), in: StoreRig.a)
        }
      }
    }
    #expect(try store.scan().count == 64 * 256)
    let usage = try store.usage()
    #expect(usage.diskBytes > 60 << 20)
    #expect(usage.memoryBytes < Int64(limit) + 4 << 20, "\(usage)")
    try store.close()
  }

  @Test func theVersionIsThatOfTheLibrary() {
    #expect(RocksDB.version.split(separator: ".").compactMap { Int($0) }.count == 3)
  }
}
