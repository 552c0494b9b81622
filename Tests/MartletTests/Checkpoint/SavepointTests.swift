import MartletRocksDB
import Testing

@testable import Martlet

/// Savepoints are written and read key by key: the bytes are those of a snapshot that was held as a whole, and every call may fail.
@Suite struct SavepointTests {
  /// Keeps every text, so that a snapshot has more than a block of its file.
  struct Keeping: ProcessFunction {
    let texts = ListState<String>("texts")
    let count = ValueState<Int64>("count")

    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      texts.add(try batch.string("s") ?? "")
      count.set((count.get() ?? 0) + 1)
      try context.registerEventTimeTimer(1 << 40)
    }
  }

  enum Kept: CaseIterable, Sendable {
    case memory, memoryStore, rocksdb
  }

  private static let fields = [Field("k", .int64), Field("s", .utf8)]
  private static var rows: [[Value]] {
    (0..<300).map { [Value.int($0 % 70), .text(String(repeating: "\($0) ", count: $0 % 7 == 0 ? 9000 : 30))] }
  }

  /// A job whose input was read to its end.
  private func job(_ parallelism: Int, restoring savepoint: Checkpoint? = nil) throws -> Job {
    let job = Job(clock: ManualClock(7), atEnd: .keep)
    job.parallelism = try Parallelism(parallelism)
    job.staysOpenAtEnd = true
    try job.addSource(ReplaySource(Self.fields, Self.rows, sizes: [50]), name: "input")
    try job.addProcess(.parallel("keeping", by: "k") { Keeping() })
    if let savepoint { try job.restore(savepoint) }
    return job
  }

  private func attach(
    _ job: Job, _ kept: Kept, _ path: String, _ files: any FileSystem
  ) throws -> StateDirectory? {
    var options = StateDirectory.Options()
    switch kept {
    case .memory: return nil
    case .memoryStore: options.backend = MemoryStoreBackend(files)
    case .rocksdb: options.backend = RocksDBBackend()
    }
    (options.memoryLimit, options.instanceMemory, options.largeAbove) = (StoreOptions.leastMemory, 20_000, 3)
    let directory = try StateDirectory(path, options, files)
    try directory.attach(job)
    return directory
  }

  /// In files, merged from as many instances, and in memory: the same folder. A job goes on from it with the same state.
  @Test(arguments: Kept.allCases, [1, 3])
  func theBytesAreThoseOfOneInMemory(kept: Kept, parallelism: Int) throws {
    let system = PosixFileSystem()
    let directory = try TemporaryDirectory()
    let one = try job(parallelism)
    let state = try attach(one, kept, directory("state"), system)
    while try one.next() != nil {}
    try one.checkpoint(id: 5, sink: [1, 2]).write(to: directory("whole"), system)
    try one.savepoint(to: directory("saved"), id: 5, sink: [1, 2])
    #expect(try system.list(directory.path) == (state == nil ? ["saved", "whole"] : ["saved", "state", "whole"]))
    #expect(try system.list(directory("saved")) == ["job.state", "manifest", "operator-1.snapshot"])
    for name in try system.list(directory("saved")) {
      #expect(try system.contents(directory("saved/\(name)")) == system.contents(directory("whole/\(name)")), "\(name)")
    }
    #expect(try system.info(directory("saved/operator-1.snapshot"))?.size ?? 0 > 1 << 20)
    let saved = try Checkpoint(reading: directory("saved"), system)
    try one.close()
    withExtendedLifetime(state) {}
    for (number, parallelism) in [1, 2, 5].enumerated() {
      let next = try job(parallelism, restoring: saved)
      let again = try attach(next, Kept.allCases[(number + 1) % 3], directory("\(number)"), system)
      if let again { #expect(again.resumed.id == 0) }
      while try next.next() != nil {}
      #expect(try next.checkpoint(id: 1).snapshots() == saved.snapshots())
      try next.close()
      withExtendedLifetime(again) {}
    }
  }

  /// A savepoint that fails leaves nothing behind, at whichever call; the job goes on, and the next one is as if nothing had happened.
  @Test(arguments: [Kept.memory, .memoryStore], [1, 2])
  func everyCallFails(kept: Kept, parallelism: Int) throws {
    let disk = MemoryFileSystem()
    let plan = FaultPlan()
    let files = FaultyFileSystem(disk, plan)
    try disk.makeDirectories("/saved")
    let one = try job(parallelism)
    let state = try attach(one, kept, "/state", disk)
    while try one.next() != nil {}
    plan.arm(at: 0, .once)
    try one.savepoint(to: "/saved/0", id: 1, files)
    let expected = try Checkpoint(reading: "/saved/0", disk).snapshots()
    let calls = plan.calls
    #expect(calls > 15 && plan.log.contains("overwrite /saved/0.new/operator-1.snapshot"))
    for moment in FaultPlan.Moment.allCases {
      for call in 1...calls {
        plan.arm(at: call, .once, moment)
        let error = try #require(throws: EngineError.self, "call \(call) of \(calls)") {
          try one.savepoint(to: "/saved/1", id: 1, files)
        }
        #expect(error.kind == .storageFailed && error.message.contains("/saved"), "\(error)")
        let log = plan.log
        plan.recover()
        let (left, failed) = (try disk.list("/saved"), log[call - 1])
        if left == ["0", "1"], failed.hasPrefix("rename") || failed == "sync /saved" {
          // The name may be there after the last calls: then it is whole.
          #expect(try Checkpoint(reading: "/saved/1", disk).snapshots() == expected)
          try disk.removeTree("/saved/1")
        } else if failed != "make /saved/1.new" {
          #expect(left == ["0"], "\(moment) \(failed)")
        }
      }
    }
    try one.savepoint(to: "/saved/1", id: 1, files)
    #expect(try Checkpoint(reading: "/saved/1", disk).snapshots() == expected)
    try one.close()
    withExtendedLifetime(state) {}
  }

  /// A call that fails while a job takes its keys from a savepoint: the error of that call.
  @Test(arguments: [1, 2])
  func everyReadFails(parallelism: Int) throws {
    let disk = MemoryFileSystem()
    let plan = FaultPlan()
    let files = FaultyFileSystem(disk, plan)
    let one = try job(1)
    while try one.next() != nil {}
    try one.savepoint(to: "/saved", id: 1, disk)
    plan.arm(at: 0, .once)
    func begin() throws {
      let next = try job(parallelism, restoring: Checkpoint(reading: "/saved", files))
      defer { try? next.close() }
      _ = try next.next()
    }
    try begin()
    let calls = plan.calls
    #expect(calls > 20)
    for call in 1...calls {
      plan.arm(at: call, .once)
      let error = try #require(throws: EngineError.self, "call \(call)") { try begin() }
      #expect(error.kind == .storageFailed && error.message.contains("/saved"), "\(error)")
    }
  }

  /// Whoever removes a savepoint after a job was told to go on from it does not harm the job.
  @Test func aSavepointThatIsRemovedMeanwhile() throws {
    let directory = try TemporaryDirectory()
    let one = try job(1)
    while try one.next() != nil {}
    try one.savepoint(to: directory("saved"))
    let next = try job(2)
    try next.restore(savepoint: directory("saved"))
    try PosixFileSystem().removeTree(directory("saved"))
    while try next.next() != nil {}
    #expect(try next.checkpoint(id: 1).snapshots() == one.checkpoint(id: 1).snapshots())
  }

  /// The snapshot's own checksum counts too, also where the manifest's is right.
  @Test func aSnapshotThatIsCorruptUnderARightManifest() throws {
    let disk = MemoryFileSystem()
    let one = try job(1)
    while try one.next() != nil {}
    try one.savepoint(to: "/saved", id: 1, disk)
    let path = "/saved/operator-1.snapshot"
    var bytes = try disk.contents(path)
    bytes[bytes.count / 2] ^= 1
    try disk.write(bytes, to: path, .replace)
    var manifest = try Manifest(decoding: disk.contents("/saved/manifest"), "/saved/manifest")
    manifest.files[1] = Manifest.File("operator-1.snapshot", bytes)
    try disk.write(manifest.encoded(), to: "/saved/manifest", .replace)
    for read in [{ _ = try Checkpoint(reading: "/saved", disk) }, { _ = try StateReader("/saved", disk) }] {
      let error = try #require(throws: EngineError.self) { try read() }
      #expect(error.kind == .snapshotInvalid && error.message.contains("corrupt") && error.message.contains(path))
    }
  }
}
