import Testing

@testable import Martlet

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Checkpoints as files: every call that fails, every byte that is wrong, every place where the process dies.
@Suite struct CheckpointFileTests {
  /// A job of two inputs, stopped in the middle: records wait before it, keys have state and timers.
  static func checkpoint(id: Int64, rows: Int64 = 12) throws -> Checkpoint {
    let job = Job(name: "golden", nullTimestamps: .process, clock: ManualClock(5))
    func rowsOf(_ step: Int64) -> [[Value]] {
      (0..<rows).map { [.int($0 % 3), .int($0 % 3), .int($0), .int($0 * step), .text("row \($0)")] }
    }
    for (name, step) in [("left", Int64(10)), ("right", 3)] {
      let source = ReplaySource(Gadget.fields, rowsOf(step), sizes: [4])
      source.onRead = { [unowned job] in if $0 == 1 { job.pause() } }
      try job.addSource(source, name: name, timestamp: "t", maxOutOfOrderness: 2)
    }
    try job.addProcess(.twoInputs("co", .connect, (["k"], ["k"])) { CoGadget() }, [.source(0), .source(1)])
    repeat { _ = try job.next() } while !job.isPaused
    while try job.takeReady() != nil {}
    return try job.checkpoint(id: id, sink: Array("transaction 7".utf8))
  }

  static func same(_ a: Checkpoint, _ b: Checkpoint) throws -> Bool {
    try a.id == b.id && a.time == b.time && a.jobName == b.jobName && a.job.encoded() == b.job.encoded()
      && a.snapshots() == b.snapshots() && a.notReplayable == b.notReplayable
  }

  @Test func thereAndBack() throws {
    let one = try CheckpointFileTests.checkpoint(id: 1)
    #expect(try CheckpointFileTests.same(one, try Lives.copied(one)))
    // It has everything that a checkpoint may have.
    #expect(one.job.operators[0].merge.count > 200 && one.job.sources.allSatisfy { $0.offset != nil })
    #expect(String(decoding: one.sink, as: UTF8.self) == "transaction 7")
  }

  /// The bytes of every format version stay readable, and those of the last are written: `docs/design/checkpoint.md` shows them.
  @Test(arguments: ["savepoint-1", "savepoint-2"])
  func theBytesAreThoseOfTheGoldenFiles(golden: String) throws {
    let now = MemoryFileSystem()
    try now.makeDirectories("/now")
    try CheckpointFileTests.checkpoint(id: 1).write(to: "/now/1", now)
    let files = try CheckpointFileTests.golden(golden, "/golden", try now.list("/now/1"))
    if golden.hasSuffix("2") { try CheckpointFileTests.expectSameFiles(now, "/now/1", files, "/golden") }
    let read = try Checkpoint(reading: "/golden", files)
    #expect(try CheckpointFileTests.same(read, try CheckpointFileTests.checkpoint(id: 1)))
  }

  /// Those files of `Tests/Golden` as a folder.
  static func golden(_ name: String, _ path: String, _ names: [String]) throws -> MemoryFileSystem {
    let files = MemoryFileSystem()
    try files.makeDirectories(path)
    for file in names {
      try files.makeDirectories(FilePath.parent(FilePath.join(path, file)))
      try files.write(try SnapshotTests.hexFile("Tests/Golden/\(name)/\(file).hex"), to: FilePath.join(path, file))
    }
    return files
  }

  /// All but the version of the engine in the manifest.
  static func expectSameFiles(
    _ now: MemoryFileSystem, _ path: String, _ golden: MemoryFileSystem, _ goldenPath: String
  ) throws {
    for name in try golden.list(goldenPath) {
      let (mine, theirs) = (FilePath.join(path, name), FilePath.join(goldenPath, name))
      if try golden.info(theirs)?.isDirectory ?? false {
        try expectSameFiles(now, mine, golden, theirs)
      } else if name == Manifest.fileName {
        var was = try Manifest(decoding: golden.contents(theirs), theirs)
        was.engine = EngineVersion.text
        #expect(try now.contents(mine) == was.encoded())
      } else {
        #expect(try now.contents(mine) == golden.contents(theirs), "\(mine)")
      }
    }
  }

  /// Fails at call N, for every N and in every way: then the newest checkpoint is the old one or the new one, whole.
  @Test(arguments: FaultPlan.Effect.allCases, FaultPlan.Moment.allCases)
  func everyCallFails(effect: FaultPlan.Effect, moment: FaultPlan.Moment) throws {
    let first = try CheckpointFileTests.checkpoint(id: 1)
    let second = try CheckpointFileTests.checkpoint(id: 2, rows: 20)
    var call = 0
    var wasReached = true
    while wasReached {
      call += 1
      let disk = MemoryFileSystem()
      let plan = FaultPlan()
      let files = FaultyFileSystem(disk, plan)
      do {
        let folder = try CheckpointFolder("/state", retained: 1, files)
        try folder.add(first)
        plan.arm(at: call, effect, moment)
        var wasTold = true
        do {
          try folder.add(second)
          try folder.removeOld()
        } catch {
          wasTold = false
          #expect(error.kind == .storageFailed && error.message.contains("/state"))
        }
        wasReached = plan.calls >= call
        plan.recover()
        if effect == .crash { disk.crash() }
        // Also while the folder lives on.
        let found = try CheckpointFileTests.newest(folder, effect)
        #expect(found.map { $0 == 1 || $0 == 2 } ?? true)
        if wasTold, let found { #expect(found == 2) }
      }
      let folder = try CheckpointFolder("/state", retained: 1, files)
      let (newest, damaged) = try folder.newest()
      let found = try #require(newest, "call \(call) \(effect) \(moment)")
      #expect(damaged.isEmpty)
      #expect(try CheckpointFileTests.same(found, found.id == 1 ? first : second))
      try folder.add(CheckpointFileTests.checkpoint(id: folder.lastID + 1))
      try folder.removeOld()
      #expect(try disk.list("/state/checkpoints").count == 1)
    }
    #expect(call > 20)
  }

  private static func newest(_ folder: CheckpointFolder, _ effect: FaultPlan.Effect) throws -> Int64? {
    effect == .crash ? nil : try folder.newest().checkpoint?.id
  }

  /// And for every call of reading: the error of that call, nothing else.
  @Test func everyReadFails() throws {
    let disk = MemoryFileSystem()
    let plan = FaultPlan()
    let files = FaultyFileSystem(disk, plan)
    let one = try CheckpointFileTests.checkpoint(id: 1)
    try disk.makeDirectories("/state")
    try one.write(to: "/state/1", disk)
    plan.arm(at: 0, .once)
    _ = try Checkpoint(reading: "/state/1", files)
    let calls = plan.calls
    for call in 1...calls {
      plan.arm(at: call, .once)
      let error = try #require(throws: EngineError.self) { _ = try Checkpoint(reading: "/state/1", files) }
      #expect(error.kind == .storageFailed)
    }
    plan.recover()
    #expect(try CheckpointFileTests.same(one, try Checkpoint(reading: "/state/1", files)))
  }

  /// Any byte changed, any file cut or gone: found, named, and the checkpoint before is used.
  @Test func damageIsFound() throws {
    let disk = MemoryFileSystem()
    let folder = try CheckpointFolder("/state", retained: 3, disk)
    try folder.add(CheckpointFileTests.checkpoint(id: 1))
    try folder.add(CheckpointFileTests.checkpoint(id: 2))
    let place = folder.place(of: 2)
    func expectDamage(_ path: String, _ bytes: [UInt8]?, _ what: String) throws {
      let sound = try disk.contents(path)
      try disk.remove(path)
      if let bytes { try disk.write(bytes, to: path) }
      let (newest, damaged) = try folder.newest()
      #expect(newest?.id == 1 && damaged.count == 1, "\(path) \(what)")
      #expect(damaged.first?.message.contains(path) ?? false, "\(path) \(what): \(damaged)")
      if bytes != nil { try disk.remove(path) }
      try disk.write(sound, to: path)
    }
    for name in try disk.list(place) {
      let path = FilePath.join(place, name)
      let bytes = try disk.contents(path)
      for position in bytes.indices {
        var broken = bytes
        broken[position] ^= 0x20
        // The version says itself that it is not this one's.
        if name == "manifest", (8..<12).contains(position) { continue }
        try expectDamage(path, broken, "changed at \(position)")
      }
      for length in 0..<bytes.count { try expectDamage(path, Array(bytes[..<length]), "cut to \(length)") }
      try expectDamage(path, bytes + [0], "longer")
      try expectDamage(path, nil, "gone")
    }
    #expect(try folder.newest().checkpoint?.id == 2)
  }

  @Test func whatCannotBeUsed() throws {
    let disk = MemoryFileSystem()
    let folder = try CheckpointFolder("/state", retained: 3, disk)
    #expect(try folder.newest().checkpoint == nil)
    try folder.add(CheckpointFileTests.checkpoint(id: 1))
    try folder.add(CheckpointFileTests.checkpoint(id: 2))
    // A newer format is no damage: going back would process records again.
    let manifest = FilePath.join(folder.place(of: 2), "manifest")
    let sound = try disk.contents(manifest)
    var newer = Array(sound.dropLast(8))
    newer[8] = 9
    var writer = ByteWriter(bytes: newer)
    writer.integer(newer.withUnsafeBytes { StableHash.hash($0) })
    try disk.write(writer.bytes, to: manifest, .replace)
    let error = try #require(throws: EngineError.self) { _ = try folder.newest() }
    #expect(error.kind == .snapshotInvalid && error.message.contains("version 9") && error.message.contains(manifest))
    for id in [Int64(1), 2] {
      try disk.write([1, 2, 3], to: FilePath.join(folder.place(of: id), "manifest"), .replace)
    }
    let none = try #require(throws: EngineError.self) { _ = try folder.newest() }
    #expect(none.kind == .storageCorrupt && none.message.contains("none of the 2 checkpoints"))
    // Numbers only rise, a place is used once, one job has the folder.
    let number = try #require(throws: EngineError.self) { try folder.add(CheckpointFileTests.checkpoint(id: 2)) }
    #expect(number.kind == .invalidArgument && number.message.contains("checkpoint 2"))
    let used = try #require(throws: EngineError.self) {
      try CheckpointFileTests.checkpoint(id: 3).write(to: folder.place(of: 2), disk)
    }
    #expect(used.kind == .invalidArgument)
    let second = try #require(throws: EngineError.self) { _ = try CheckpointFolder("/state", disk) }
    #expect(second.kind == .storageInUse)
    let nothing = try #require(throws: EngineError.self) { _ = try Checkpoint(reading: "/state/nothing", disk) }
    #expect(nothing.kind == .storageFailed && nothing.message.contains("/state/nothing"))
  }

  #if compiler(>=6.3) && os(Linux)
    static let places: [FaultPoint] = [
      .checkpointBeforeFiles, .checkpointBeforeManifest, .checkpointBeforeRename, .checkpointAfterRename,
      .checkpointBeforeRemove, .checkpointAfterRemove,
    ]

    static func work(_ path: String) throws {
      let folder = try CheckpointFolder(path, retained: 1, PosixFileSystem())
      for id in (folder.lastID + 1)...(folder.lastID + 4) {
        try folder.add(checkpoint(id: id))
        try folder.removeOld()
      }
    }

    @Test(arguments: places)
    func aKilledProcessLeavesAWholeCheckpoint(place: FaultPoint) async throws {
      let directory = try TemporaryDirectory()
      let (path, name) = (directory("state"), place.rawValue)
      await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String, name = name as String] in
        setenv("MARTLET_FAULT", "\(name):kill:3", 1)
        try CheckpointFileTests.work(path)
      }
      do {
        let folder = try CheckpointFolder(path, retained: 1, PosixFileSystem())
        let (newest, damaged) = try folder.newest()
        let id: Int64 =
          switch place {
          case .checkpointAfterRename: 3
          // The first checkpoint removes none.
          case .checkpointBeforeRemove, .checkpointAfterRemove: 4
          default: 2
          }
        #expect(newest?.id == id && damaged.isEmpty && folder.lastID == id)
      }
      try CheckpointFileTests.work(path)
      #expect(try PosixFileSystem().list(directory("state/checkpoints")).count == 1)
    }
  #endif
}
