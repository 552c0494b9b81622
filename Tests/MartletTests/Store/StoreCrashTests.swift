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

#if compiler(>=6.3) && os(Linux)
  /// Processes that die by `kill -9` at the places of `FaultPoint`, and what their stores hold then.
  @Suite struct StoreCrashTests {
    /// Writes batches of 100 keys, all with the number of the batch, and copies and clones the store after each.
    static func work(_ folder: String, rounds: ClosedRange<Int>) throws {
      let backend = RocksDBBackend()
      let store = try backend.open(StoreOptions(FilePath.join(folder, "store"), families: StoreRig.families))
      for round in rounds {
        try store.write(.process) { batch in
          for number in 0..<100 { try batch.put(bytes(number), bytes(round), in: StoreRig.a) }
          try batch.put([], bytes(round), in: StoreRig.b)
        }
        try store.copy(to: FilePath.join(folder, "copy \(round)"))
        try backend.clone(FilePath.join(folder, "copy \(round)"), to: FilePath.join(folder, "clone \(round)"))
        try PosixFileSystem().replaceFile(FilePath.join(folder, "done"), with: bytes(round))
      }
      try store.close()
    }

    static func round(_ path: String, _ access: StoreAccess) throws -> [UInt8]? {
      let store = try RocksDBBackend().open(StoreOptions(path, families: StoreRig.families, access: access))
      defer { try? store.close() }
      let values = try store.scan().map(\.value)
      let round = try store.get([[]], in: StoreRig.b)[0]
      #expect(values == round.map { [[UInt8]](repeating: $0, count: 100) } ?? [], "part of a batch")
      return round
    }

    static let places: [FaultPoint] = [
      .fileBeforeRename, .fileAfterRename, .storeBeforeWrite, .storeAfterWrite, .storeBeforeCopy, .storeAfterCopy,
      .storeBeforeCloneRename,
    ]

    @Test(arguments: places)
    func aKilledProcessLeavesWholeBatchesAndCopies(place: FaultPoint) async throws {
      let directory = try TemporaryDirectory()
      let folder = directory.path
      let name = place.rawValue
      await #expect(processExitsWith: .signal(SIGKILL)) { [folder = folder as String, name = name as String] in
        // By the environment, as a test of whole processes does.
        setenv("MARTLET_FAULT", "\(name):kill:3", 1)
        try StoreCrashTests.work(folder, rounds: 1...5)
      }
      let files = PosixFileSystem()
      let found = try StoreCrashTests.round(directory("store"), .existing)
      #expect(found == bytes(place == .storeBeforeWrite ? 2 : 3))
      #expect(try files.contents(directory("done")) == bytes(place == .fileAfterRename ? 3 : 2))
      for round in 1...3 {
        for (name, access) in [("copy", StoreAccess.readOnly), ("clone", .existing)] {
          if try files.info(directory("\(name) \(round)")) != nil {
            #expect(try StoreCrashTests.round(directory("\(name) \(round)"), access) == bytes(round))
          } else {
            #expect(round == 3)
          }
        }
      }
      // And the work goes on where it stopped, over what was left lying about.
      for name in ["copy 3", "clone 3"] { try files.removeTree(directory(name)) }
      try StoreCrashTests.work(folder, rounds: 3...4)
      #expect(try StoreCrashTests.round(directory("store"), .existing) == bytes(4))
      #expect(try StoreCrashTests.round(directory("clone 4"), .existing) == bytes(4))
    }

    @Test func aFaultCanBeAnErrorOrAMistake() async throws {
      await #expect(processExitsWith: .success) {
        let directory = try TemporaryDirectory()
        FaultPoint.storeAfterWrite.arm(.fail, at: 2)
        let store = try RocksDBBackend().open(StoreOptions(directory("store"), families: StoreRig.families))
        try store.write { _ in }
        let error = try #require(throws: EngineError.self) { try store.write { _ in } }
        #expect(error.message == "fault point 'store-after-write' was armed to fail here")
        #expect(throws: EngineError.self) { try store.write { _ in } }
        try store.close()
        FaultPoint.storeBeforeWrite.arm(.fail, forGood: true)
        let again = try RocksDBBackend().open(StoreOptions(directory("store"), families: StoreRig.families))
        #expect(throws: EngineError.self) { try again.write { _ in } }
        FaultPoint.storeBeforeWrite.disarm()
      }
      for mistake in ["nowhere:kill", "store-after-write", "store-after-write:burn", "store-after-write:kill:0"] {
        await #expect(processExitsWith: .success) { [mistake = mistake as String] in
          setenv("MARTLET_FAULT", mistake, 1)
          let error = try #require(throws: EngineError.self) { try FaultPoint.fileAfterRename.reach() }
          #expect(error.kind == .invalidArgument && error.message.contains(mistake))
          #expect(error.message.contains("file-after-rename"))
        }
      }
    }

    /// Files may not grow beyond a size, as on a disk that is full: the write fails with what to do, and the store is whole.
    @Test func aFullDiskIsSaidAndLosesNothing() async throws {
      let directory = try TemporaryDirectory()
      let path = directory("store")
      await #expect(processExitsWith: .success) { [path = path as String] in
        let backend = RocksDBBackend()
        let store = try backend.open(StoreOptions(path, families: StoreRig.families))
        for round in 1...2 { try store.write { batch in try batch.put(bytes(round), [1], in: StoreRig.a) } }
        signal(SIGXFSZ, SIG_IGN)
        var limit = rlimit(rlim_cur: 100_000, rlim_max: 100_000)
        #expect(setrlimit(__rlimit_resource_t(1), &limit) == 0)
        let error = try #require(throws: EngineError.self) {
          try store.write(.machine) { batch in
            try batch.put(bytes(3), [UInt8](repeating: 1, count: 200_000), in: StoreRig.a)
          }
        }
        #expect(error.kind == .storageFailed && error.message.contains(path))
        #expect(throws: EngineError.self) { _ = try store.get([[1]]) }
        try store.close()
      }
      let store = try RocksDBBackend().open(StoreOptions(path, families: StoreRig.families))
      #expect(try store.scan().map(\.key) == [bytes(1), bytes(2)])
    }

    /// Another user's folder. The test may run as root, to whom everything is open, so it becomes nobody.
    @Test func aFolderWithoutPermissionIsSaid() async throws {
      let directory = try TemporaryDirectory()
      let rig = try StoreRig(.rocksdb)
      try rig.store.write { batch in try batch.put([1], [1], in: StoreRig.a) }
      try rig.store.copy(to: directory("copy"))
      chmod(directory.path, 0o755)
      chmod(directory("copy"), 0o555)
      let (path, copy) = (directory("store"), directory("copy"))
      await #expect(processExitsWith: .success) { [path = path as String, copy = copy as String] in
        if getuid() == 0 { #expect(setuid(65534) == 0) }
        for path in [path, copy] {
          let error = try #require(throws: EngineError.self) {
            _ = try RocksDBBackend().open(StoreOptions(path, families: StoreRig.families))
          }
          #expect(error.kind == .storageFailed, "\(error)")
          #expect(error.message.contains(FilePath.parent(path)) && error.message.contains("Permission denied"))
        }
        #expect(throws: EngineError.self) { _ = try PosixFileSystem().lock(FilePath.join(copy, "MINE")) }
      }
      chmod(directory("copy"), 0o755)
    }

    /// A lock ends with its process.
    @Test func aKilledProcessGivesTheLockBack() async throws {
      let directory = try TemporaryDirectory()
      let path = directory("LOCK")
      let lock = try PosixFileSystem().lock(path)
      let mine = getpid()
      await #expect(processExitsWith: .success) { [path = path as String, mine = mine as Int32] in
        let error = try #require(throws: EngineError.self) { _ = try PosixFileSystem().lock(path) }
        #expect(error.kind == .storageInUse && error.message.contains("by process \(mine)"))
      }
      lock.release()
      await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
        let lock = try PosixFileSystem().lock(path)
        kill(getpid(), SIGKILL)
        lock.release()
      }
      _ = try PosixFileSystem().lock(path)
    }
  }
#endif
