import MartletRocksDB
import Testing

@testable import Martlet

/// What a state directory makes of damage, of changed functions, of other directories, and of misuse.
@Suite struct StateDirectoryTests {
  struct Counting: ProcessFunction {
    let count: ValueState<Int64>
    let texts: ListState<String>
    let text = OutputColumn<String>("text")

    init(_ count: String, _ texts: String) { (self.count, self.texts) = (ValueState(count), ListState(texts)) }

    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      let n = (count.get() ?? 0) + 1
      count.set(n)
      texts.add("t\(n)")
      text.set("\(key.int64): \(n) \(texts.count)")
      try context.emit()
    }
  }

  struct Texts: ProcessFunction {
    let count = ValueState<String>("count")
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {}
  }

  private static let fields = [Field("k", .int64), Field("s", .utf8)]
  private static var rows: [[Value]] { (0..<40).map { [Value.int($0 % 2), .text("\($0 % 2)")] } }

  private func counting(
    _ name: String = "counting", by key: String = "k", _ count: String = "count", _ texts: String = "texts"
  )
    throws -> ProcessSpec
  {
    try .parallel(name, by: key) { Counting(count, texts) }
  }

  private func job(_ spec: ProcessSpec, parallelism: Int = 1) throws -> Job {
    let job = Job(clock: ManualClock(7))
    job.parallelism = try Parallelism(parallelism)
    job.staysOpenAtEnd = true
    try job.addSource(ReplaySource(Self.fields, Self.rows, sizes: [2]), name: "input")
    try job.addProcess(spec)
    return job
  }

  /// Not `.memory`: what only stores have.
  static let stores: [DurableKind] = [.memoryStore, .rocksdb]

  private func options(_ kind: DurableKind) -> StateDirectory.Options {
    var random = SeededGenerator(1)
    var options = kind.options(&random)
    (options.instanceMemory, options.retained, options.largeAbove) = (1, 3, 2)
    return options
  }

  /// A life of so many checkpoints, with two rows between; the rows of the last.
  @discardableResult
  private func live(
    _ path: String, _ kind: DurableKind, _ job: Job, checkpoints: Int = 1, from: String? = nil,
    forgetting: Forgetting = Forgetting(), files: any FileSystem = PosixFileSystem()
  ) throws -> (resumed: StateDirectory.Resumed, rows: [[Value]]) {
    let directory = try StateDirectory(path, options(kind), files)
    let resumed = try directory.attach(job, from: from, forgetting: forgetting)
    var rows: [[Value]] = []
    for _ in 0..<checkpoints {
      rows = try job.next()?.rows ?? []
      while let batch = try job.takeReady() { rows += batch.rows }
      try directory.begin(job, id: directory.nextID, sink: [7])
      #expect(try directory.finish(job, waiting: true))
    }
    try job.close()
    return (resumed, rows)
  }

  private func texts(_ numbers: Int...) -> [[Value]] {
    numbers.flatMap { number in (0..<2).map { [Value.text("\($0): \(number) \(number)")] } }
  }

  /// The live store goes into a folder of the user's choice: what no store left there is not removed.
  @Test(arguments: [DurableKind.memoryStore, .rocksdb])
  func whatIsNoStoreStays(kind: DurableKind) throws {
    let directory = try TemporaryDirectory()
    let (path, files) = (directory("state"), PosixFileSystem())
    func refused(_ place: String, _ what: String) throws {
      let error = try #require(throws: EngineError.self) { try live(path, kind, job(counting())) }
      #expect(error.kind == .storageFailed && error.message.contains("'\(place)'"), "\(error)")
      #expect(error.message.contains(what) && error.message.contains("choose another path"), "\(error)")
    }
    let place = directory("state/store/0")
    try files.makeDirectories(FilePath.join(place, "photos"))
    try refused(place, "'photos' in it")
    try files.removeTree(place)
    try files.write([1], to: place)
    try refused(place, "a file of that name")
    try files.remove(place)
    // A database of somebody else's.
    try files.makeDirectories(place)
    try files.write([1], to: FilePath.join(place, "CURRENT"))
    try refused(place, "no lock")
    #expect(try files.contents(FilePath.join(place, "CURRENT")) == [1])
    try files.removeTree(place)
    try live(path, kind, job(counting()))
    try files.makeDirectories(place)
    try files.write([1], to: FilePath.join(place, "notes.txt"))
    try refused(place, "'notes.txt' in it")
    try files.remove(FilePath.join(place, "notes.txt"))
    #expect(try live(path, kind, job(counting())).rows == texts(2))
  }

  /// Every file of the newest checkpoint changed, cut, made longer or gone: found, named, and the one before is used.
  @Test(arguments: DurableKind.allCases)
  func damageIsFound(kind: DurableKind) throws {
    let directory = try TemporaryDirectory()
    let (path, files) = (directory("state"), PosixFileSystem())
    try live(path, kind, job(counting()), checkpoints: 2)
    let newest = directory("state/checkpoints/00000000000000000002")
    var names: [String] = []
    for name in try files.list(newest) {
      let inside = try files.info(FilePath.join(newest, name))?.isDirectory ?? false
      names += inside ? try files.list(FilePath.join(newest, name)).map { "\(name)/\($0)" } : [name]
    }
    #expect(names.count > (kind == .memory ? 2 : 3))
    for name in names {
      let file = FilePath.join(newest, name)
      let sound = try files.contents(file)
      func expectDamage(_ bytes: [UInt8]?) throws {
        // A new file: the store that runs may have the old one too.
        try files.remove(file)
        if let bytes { try files.write(bytes, to: file) }
        let folder = try StateDirectory(path, options(kind))
        let resumed = try folder.attach(job(counting()))
        #expect(resumed.id == 1 && resumed.damaged.count == 1, "\(name)")
        #expect(resumed.damaged.first?.message.contains(name) ?? false, "\(name): \(resumed.damaged)")
        #expect(folder.nextID == 3 && resumed.sink == [7])
        if bytes != nil { try files.remove(file) }
        try files.write(sound, to: file)
      }
      for position in [0, sound.count / 2, sound.count - 1] where !sound.isEmpty {
        var broken = sound
        broken[position] ^= 0x20
        try expectDamage(broken)
      }
      if !sound.isEmpty { try expectDamage(Array(sound.dropLast())) }
      try expectDamage(sound + [0])
      try expectDamage(nil)
    }
    // One that was passed over is not among those that are kept.
    let manifest = FilePath.join(newest, "manifest")
    try files.write([1, 2, 3], to: manifest, .replace)
    let (resumed, rows) = try live(path, kind, job(counting()))
    #expect(resumed.id == 1 && resumed.damaged.count == 1 && rows == texts(2))
    #expect(try live(path, kind, job(counting())).rows == texts(3))
  }

  @Test(arguments: stores)
  func whatDoesNotFitIsNamed(kind: DurableKind) throws {
    let directory = try TemporaryDirectory()
    let path = directory("state")
    try live(path, kind, job(counting()), checkpoints: 2)
    for parallelism in [1, 3] {
      for (spec, words) in [
        (try ProcessSpec.parallel("counting", by: "k") { Texts() }, ["'count'", "int64"]),
        (try counting(by: "s"), ["'s'", "cast"]), (try counting("renamed"), ["'counting'", "'renamed'"]),
      ] {
        let error = try #require(throws: EngineError.self) {
          try live(path, kind, job(spec, parallelism: parallelism))
        }
        #expect(error.kind == .snapshotMismatch)
        for word in words { #expect(error.message.contains(word), "\(error.message)") }
      }
    }
    #expect(try live(path, kind, job(counting())).rows == texts(3))
  }

  /// A state that is dropped stays, over lives and other backends, until it is forgotten; what is forgotten may be said to be ever after.
  @Test(arguments: DurableKind.allCases, DurableKind.allCases)
  func aDroppedStateIsKeptUntilForgotten(kind: DurableKind, other: DurableKind) throws {
    let directory = try TemporaryDirectory()
    let path = directory("state")
    try live(path, kind, job(counting()), checkpoints: 4)
    try live(path, other, job(counting("counting", by: "k", "another", "list"), parallelism: 2), checkpoints: 2)
    try live(path, kind, job(counting("counting", by: "k", "another", "list")))
    #expect(try live(path, other, job(counting(), parallelism: 3)).rows == texts(5))
    var forgetting = Forgetting()
    forgetting.states["counting"] = ["count", "texts"]
    for _ in 0..<2 {
      try live(path, kind, job(counting("counting", by: "k", "another", "list")), forgetting: forgetting)
    }
    #expect(try live(path, other, job(counting())).rows == texts(1))
  }

  @Test(arguments: stores)
  func anOperatorIsForgottenWithItsRows(kind: DurableKind) throws {
    let directory = try TemporaryDirectory()
    let path = directory("state")
    try live(path, kind, job(counting()), checkpoints: 4)
    let forgetting = Forgetting(operators: ["counting"])
    for round in 1...2 {
      #expect(try live(path, kind, job(counting("renamed")), forgetting: forgetting).rows == texts(round))
    }
    let folder = try StateDirectory(path, options(kind))
    let again = try job(counting("renamed"))
    try folder.attach(again)
    let store = try #require(folder.stores?.store?.store)
    #expect(folder.stores?.layout.operators.map(\.number) == [1] && folder.stores?.layout.nextOperator == 2)
    for family in 0..<2 {
      #expect(try !store.cursor(StoreFamily(UInt8(family)), .prefix([0, 0])).next())
    }
  }

  /// From a savepoint, a checkpoint or a whole directory, of any backend into any.
  @Test(arguments: DurableKind.allCases, DurableKind.allCases)
  func itBeginsFromElsewhere(kind: DurableKind, other: DurableKind) throws {
    let directory = try TemporaryDirectory()
    let first = try job(counting(), parallelism: 2)
    let folder = try StateDirectory(directory("first"), options(kind))
    try folder.attach(first)
    for id in Int64(1)...3 {
      _ = try first.next()
      while try first.takeReady() != nil {}
      try folder.begin(first, id: id)
      // While a checkpoint is written too.
      if id == 3 { try first.savepoint(to: directory("savepoint")) }
      #expect(try folder.finish(first, waiting: true))
    }
    try first.close()
    for from in ["savepoint", "first", "first/checkpoints/00000000000000000003"] {
      let path = directory("of \(FilePath.name(from))")
      let (resumed, rows) = try live(path, other, job(counting()), from: directory(from))
      #expect(resumed.id == 0 && resumed.sink.isEmpty && rows == texts(4))
      // From now on it goes on from its own.
      #expect(try live(path, other, job(counting()), from: "/nowhere").rows == texts(5))
    }
    let plain = try job(counting())
    try plain.restore(savepoint: directory("savepoint"))
    #expect(try plain.next()?.rows == texts(4))
    let error = try #require(throws: EngineError.self) {
      try live(directory("none"), other, job(counting()), from: directory("nothing"))
    }
    #expect(error.kind == .storageFailed && error.message.contains("nothing"))
  }

  @Test func misuse() throws {
    let directory = try TemporaryDirectory()
    try PosixFileSystem().makeDirectories(directory("mine/letters"))
    var options = options(.memoryStore)
    options.storePath = directory("mine")
    let folder = try StateDirectory(directory("state"), options)
    let one = try job(counting())
    let error = try #require(throws: EngineError.self) { try folder.attach(one) }
    #expect(error.kind == .invalidArgument && error.message.contains("'letters'"))
    #expect(try PosixFileSystem().list(directory("mine")) == ["letters"])
    #expect(throws: EngineError.self) { try folder.begin(one, id: 1) }
    let used = try #require(throws: EngineError.self) { _ = try StateDirectory(directory("state"), options) }
    #expect(used.kind == .storageInUse)
    // A checkpoint of stores is not for a job without a directory.
    try live(directory("other"), .rocksdb, job(counting()))
    let plain = try #require(throws: EngineError.self) {
      try job(counting()).restore(savepoint: directory("other/checkpoints/00000000000000000001"))
    }
    #expect(plain.kind == .invalidArgument && plain.message.contains("state directory"))
  }

  /// A checkpoint with a store, as format version 2 has it.
  @Test func theBytesAreThoseOfTheGoldenFiles() throws {
    let now = MemoryFileSystem()
    var options = options(.memoryStore)
    // So that what the store holds does not follow from when there was too much in memory.
    (options.backend, options.instanceMemory) = (MemoryStoreBackend(now), 1 << 30)
    let folder = try StateDirectory("/state", options, now)
    let one = try job(counting())
    try folder.attach(one)
    for _ in 0..<4 { _ = try one.next() }
    while try one.takeReady() != nil {}
    try folder.begin(one, id: 1, sink: [1, 2, 3])
    #expect(try folder.finish(one, waiting: true))
    let names = ["manifest", "job.state", "operator-1.snapshot", "store-0/memory-store"]
    let place = folder.folder.place(of: 1)
    let golden = try CheckpointFileTests.golden("checkpoint-2", "/golden", names)
    try CheckpointFileTests.expectSameFiles(now, place, golden, "/golden")
    // And it can be gone on from.
    options.backend = MemoryStoreBackend(golden)
    let again = try StateDirectory("/again", options, golden)
    let next = try job(counting())
    try again.attach(next, from: "/golden")
    #expect(try next.next()?.rows == texts(5))
  }

  /// Fails at call N of the file system, for every N and in every way; then the job goes on from what is there.
  @Test(arguments: [DurableKind.memory, .memoryStore], FaultPlan.Effect.allCases)
  func everyCallFails(kind: DurableKind, effect: FaultPlan.Effect) throws {
    for moment in FaultPlan.Moment.allCases { try everyCallFails(kind, effect, moment) }
  }

  private func everyCallFails(_ kind: DurableKind, _ effect: FaultPlan.Effect, _ moment: FaultPlan.Moment) throws {
    var call = 0
    var wasReached = true
    while wasReached {
      call += 1
      let disk = MemoryFileSystem()
      let plan = FaultPlan()
      let files = FaultyFileSystem(disk, plan)
      var options = options(kind)
      if kind == .memoryStore { options.backend = MemoryStoreBackend(files) }
      options.retained = 1
      var done: Int64 = 0
      func life() throws {
        let folder = try StateDirectory("/state", options, files)
        let one = try job(counting())
        defer { try? one.close() }
        let resumed = try folder.attach(one)
        #expect(resumed.id >= done && resumed.damaged.isEmpty, "call \(call)")
        for number in (resumed.id + 1)..<(resumed.id + 3) {
          var rows = try one.next()?.rows ?? []
          while let batch = try one.takeReady() { rows += batch.rows }
          #expect(rows == texts(Int(number)), "call \(call)")
          // A number is used up by a checkpoint that fails; there is none here that goes on after that.
          try folder.begin(one, id: number)
          #expect(try folder.finish(one, waiting: true))
          done = number
        }
      }
      try life()
      plan.arm(at: call, effect, moment)
      do { try life() } catch let error as EngineError {
        #expect(error.kind == .storageFailed && error.message.contains("/state"), "\(error)")
      }
      wasReached = plan.calls >= call
      plan.recover()
      if effect == .crash { disk.crash() }
      try life()
    }
    #expect(call > 40)
  }
}
