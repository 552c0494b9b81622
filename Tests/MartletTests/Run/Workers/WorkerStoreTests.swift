import MartletRocksDB
import Testing

@testable import Martlet

// One after the other with the tests of workers, which count the open sockets of this process.
extension WorkerTransportTests {
  @Suite struct Stores {}
}

typealias WorkerStoreTests = WorkerTransportTests.Stores

/// Workers with stores of their own, by hand: what the coordinator of a job says to them. The workers are threads.
extension WorkerTransportTests.Stores {
  struct Count: ProcessFunction {
    let count = ValueState<Int64>("count")
    let list = ListState<Int64>("list")
    let out = OutputColumn<Int64>("n")

    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      count.set((count.get() ?? 0) + 1)
      list.add(key.int64)
      if key.int64 % 5 == 0 { try context.registerEventTimeTimer(1000 + key.int64) }
      out.set(count.get() ?? 0)
      try context.emit()
    }
  }

  static let schema = Schema([Field("k", .int64)])

  /// Jobs that serve as workers, and the links to them.
  final class Fleet: @unchecked Sendable {
    // Each thread writes its own place in `endings`, read after all were joined.
    let transport: ProcessTransport
    let links: [any InstanceLink]
    private let backend: any StoreBackend
    let groups: [KeyGroupRange]
    let directory: TemporaryDirectory
    private var threads: [TestThread] = []
    private(set) var endings: [(any Error)?]
    let sockets: [Int32]

    init(_ count: Int, _ directory: TemporaryDirectory, _ backend: any StoreBackend = RocksDBBackend()) throws {
      let pairs = (0..<count).map { _ in socketPair() }
      self.directory = directory
      self.backend = backend
      sockets = pairs.map(\.1)
      let transport = try ProcessTransport(moving: pairs.map(\.0))
      self.transport = transport
      links = try (0..<count).map {
        try transport.link(
          process: 0, InstancePlace(instance: Int32($0), parallelism: Int32(count), maxParallelism: 128))
      }
      groups = try (0..<count).map {
        try KeyGroupRange(
          KeyGroup.range(instance: Int32($0), parallelism: Int32(count), maxParallelism: 128), of: 128)
      }
      endings = Array(repeating: nil, count: count)
      for worker in 0..<count {
        threads.append(
          TestThread { [self] in
            do {
              let job = Job()
              try job.addSource(BatchSource([]))
              try job.addProcess(ProcessSpec("count", by: "k", Count()))
              try job.serve(
                socket: pairs[worker].1, instance: worker, of: Parallelism(count), backends: [backend], watched: false
              ) { nil }
            } catch { endings[worker] = error }
          })
      }
    }

    func end() {
      transport.shutDown()
      for thread in threads { thread.join() }
      threads = []
    }

    func opening(_ index: Int, from sources: [ProcessStore.Opening.Source] = []) -> ProcessStore.Opening {
      ProcessStore.Opening(
        path: directory("live-\(index)"), memoryLimit: 4 << 20, sources: sources, operators: [3])
    }

    func open(from sources: [ProcessStore.Opening.Source] = [], memory: Int = 1 << 20) throws {
      var numbers = OperatorNumbers(number: 3, states: [8, 9], memoryLimit: memory)
      numbers.largeAbove = 4
      try transport.openStores(
        links.indices.map { opening($0, from: sources) }, [numbers], backend: backend.name)
      try sendAll(
        .open(
          InstanceOpening(
            left: WorkerStoreTests.schema, right: nil,
            lanes: [InstanceOpening.LaneUse(tag: nil, needsTimestamps: false)])))
    }

    @discardableResult
    func sendAll(_ work: InstanceWork) throws -> [InstanceResult] {
      for link in links { try link.send(work, now: nil) }
      return try links.map {
        let result = try #require(try $0.receive(within: nil))
        if let failure = result.failure { throw failure.error }
        return result
      }
    }

    /// One record of each key; gives what the functions counted, by key.
    func push(_ keys: [Int64]) throws -> [Int64: Int64] {
      let batch = try batch([Field("k", .int64)], keys.map { [.int($0)] })
      var mine: [[Int32]] = links.map { _ in [] }
      for (row, key) in keys.enumerated() {
        var bytes: [UInt8] = []
        KeyEncoding.append(integer: key, .signed, to: &bytes)
        let group = KeyGroup(hash: bytes.withUnsafeBytes { StableHash.hash($0) }, maxParallelism: 128)
        mine[Int(group.instance(parallelism: Int32(links.count), maxParallelism: 128))].append(Int32(row))
      }
      for (link, rows) in zip(links, mine) {
        try link.send(.chunk(chunk(batch, rows, span: 0..<keys.count)), now: nil)
      }
      var counts: [Int64: Int64] = [:]
      for (link, rows) in zip(links, mine) {
        let result = try #require(try link.receive(within: nil))
        if let failure = result.failure { throw failure.error }
        let values = result.lanes.first.map { $0.batch.rows } ?? []
        for (row, value) in zip(rows, values) {
          if case .int(let count) = value[0] { counts[keys[Int(row)]] = count }
        }
      }
      return counts
    }

    func folders(_ id: Int) -> [String] { links.indices.map { directory("checkpoint-\(id)-store-\($0)") } }

    func checkpoint(_ id: Int, since previous: [StoreFiles.Previous?]? = nil) throws -> [[Manifest.File]] {
      try sendAll(.flush)
      try transport.persistStores(to: folders(id), since: previous ?? links.map { _ in nil })
      return try #require(try transport.takePersisted(waiting: true))
    }

    func sources(_ id: Int) -> [ProcessStore.Opening.Source] {
      zip(folders(id), groups).map { ProcessStore.Opening.Source(path: $0, groups: $1.groups) }
    }
  }

  private func expect(_ fleet: Fleet, _ count: Int64, _ keys: [Int64], _ what: String) throws {
    let counts = try fleet.push(keys)
    #expect(counts.count == keys.count, "\(what)")
    #expect(counts.values.allSatisfy { $0 == count }, "\(what): \(counts.values.sorted().prefix(3))")
  }

  /// From every number of workers to every other, with a memory limit under which hardly a key stays.
  @Test(arguments: [1, 2, 3], [1, 2, 3])
  func goesOnWithOtherWorkers(before: Int, after: Int) throws {
    let directory = try TemporaryDirectory()
    let keys = Array(Int64(0)..<700)
    let first = try Fleet(before, directory)
    try first.open(memory: 1)
    for round in Int64(1)...3 { try expect(first, round, keys, "round \(round)") }
    let files = try first.checkpoint(1)
    for (index, files) in files.enumerated() {
      let folder = first.folders(1)[index]
      #expect(try StoreFiles.list(folder, since: nil, PosixFileSystem()) == files)
      #expect(files.contains { $0.name.hasSuffix(".sst") } && files.contains { $0.name == "CURRENT" })
    }
    // What comes after the checkpoint is not in it.
    try expect(first, 4, keys, "after the checkpoint")
    first.end()
    #expect(first.endings.allSatisfy { $0 == nil })

    let second = try Fleet(after, directory)
    try second.open(from: first.sources(1), memory: 1)
    try expect(second, 4, keys, "from \(before) to \(after)")
    _ = try second.checkpoint(2)
    second.end()
    let third = try Fleet(after, directory)
    try third.open(from: second.sources(2))
    #expect(try third.sendAll(.watermarks([500])).reduce(0) { $0 + $1.counters.timersPending } == 140)
    try expect(third, 5, keys, "the third")
    third.end()
    #expect((second.endings + third.endings).allSatisfy { $0 == nil })
  }

  /// Records are processed while a checkpoint is written, and none of them is in it, however little may be in memory.
  @Test func workGoesOnMeanwhile() throws {
    let directory = try TemporaryDirectory()
    let keys = Array(Int64(0)..<2_000)
    let fleet = try Fleet(2, directory)
    try fleet.open(memory: 1)
    var previous: [StoreFiles.Previous?]?
    var isOvertaken = false
    for id in 1...6 {
      try expect(fleet, Int64(2 * id - 1), keys, "checkpoint \(id)")
      try fleet.sendAll(.flush)
      try fleet.transport.persistStores(to: fleet.folders(id), since: previous ?? [nil, nil])
      if try fleet.transport.takePersisted(waiting: false) == nil { isOvertaken = true } else { continue }
      try expect(fleet, Int64(2 * id), keys, "while checkpoint \(id) is written")
      let files = try #require(try fleet.transport.takePersisted(waiting: true))
      for (folder, files) in zip(fleet.folders(id), files) {
        #expect(try StoreFiles.list(folder, since: nil, PosixFileSystem()) == files)
      }
      previous = zip(fleet.folders(id), files).map { StoreFiles.Previous(folder: $0, files: $1) }
    }
    #expect(isOvertaken)
    fleet.end()
    let again = try Fleet(2, directory)
    try again.open(from: fleet.sources(4))
    try expect(again, 8, keys, "from the fourth checkpoint")
    again.end()
  }

  @Test func whatGoesWrongIsNamed() throws {
    let directory = try TemporaryDirectory()
    let files = PosixFileSystem()
    // No store where it is to be.
    var fleet = try Fleet(2, directory)
    try files.write([1], to: directory("a-file"))
    var error = #expect(throws: EngineError.self) {
      try fleet.transport.openStores(
        [fleet.opening(0), ProcessStore.Opening(path: directory("a-file/x"), memoryLimit: 1 << 20)],
        [OperatorNumbers(number: 1, states: [0, 1], memoryLimit: 1)], backend: "rocksdb")
    }
    #expect(error?.kind == .storageFailed, "\(String(describing: error))")
    #expect(error?.message.contains("worker process 1 of 2") == true && error?.message.contains("a-file") == true)
    fleet.end()
    // A backend that it does not have.
    fleet = try Fleet(1, directory)
    error = #expect(throws: EngineError.self) {
      try fleet.transport.openStores([fleet.opening(0)], [], backend: "other")
    }
    #expect(error?.message.contains("'other'") == true && error?.message.contains("'rocksdb'") == true)
    fleet.end()
    // A folder that is there already: the worker lives on, and its store refuses.
    fleet = try Fleet(2, directory)
    try fleet.open()
    try expect(fleet, 1, [1, 2, 3], "before")
    try files.makeDirectory(fleet.folders(1)[1])
    error = #expect(throws: EngineError.self) { try fleet.checkpoint(1) }
    #expect(error?.message.contains("worker process 1 of 2") == true, "\(String(describing: error))")
    #expect(error?.message.contains(fleet.folders(1)[1]) == true, "\(String(describing: error))")
    fleet.end()
    // A store that another worker has.
    fleet = try Fleet(1, directory)
    try fleet.open()
    let other = try Fleet(1, directory)
    error = #expect(throws: EngineError.self) { try other.open() }
    #expect(error?.kind == .storageInUse && error?.message.contains("worker process 0 of 1") == true)
    #expect(error?.message.contains("live-0") == true)
    other.end()
    try expect(fleet, 1, [1, 2, 3], "the first one has it still")
    fleet.end()
  }

  /// A worker is told all that its coordinator knows, also how many others need room on the disk.
  @Test func anOrderArrivesAsItWasSent() throws {
    let opening = ProcessStore.Opening(
      path: "a folder", memoryLimit: 5 << 30, processes: 3,
      sources: [ProcessStore.Opening.Source(path: "copy", groups: 40..<85)], operators: [3, 7])
    let order = WorkerStoreOrder(
      backend: "rocksdb", opening: opening, numbers: [OperatorNumbers(number: 3, states: [0, 9], memoryLimit: 17)])
    var message = ByteWriter()
    message.storeOrder(order)
    let (arrived, isAll) = try message.bytes.withUnsafeBytes { bytes throws in
      var reader = ByteReader(bytes)
      return (try reader.storeOrder(), reader.isAtEnd)
    }
    #expect(arrived == order && isAll)
  }

  /// At call N of a worker's store, for every N: an error that names the worker and the path.
  @Test func aStoreThatFails() throws {
    func run(_ plan: FaultPlan, _ call: Int) throws {
      let directory = try TemporaryDirectory()
      plan.arm(at: 0, .once)
      let fleet = try Fleet(1, directory, FaultyBackend(MemoryStoreBackend(), plan))
      defer { fleet.end() }
      plan.arm(at: call, .once)
      try fleet.open(memory: 1)
      for id in 1...4 {
        for _ in 0..<2 { _ = try fleet.push(Array(Int64(0)..<60)) }
        _ = try fleet.checkpoint(id)
      }
    }
    let plan = FaultPlan()
    try run(plan, 0)
    let calls = plan.calls
    #expect(calls > 10)
    for call in 1...calls {
      let error = #expect(throws: EngineError.self, "call \(call) of \(calls)") { try run(plan, call) }
      #expect(error?.kind == .storageFailed, "call \(call): \(String(describing: error))")
      #expect(error?.message.contains("worker process 0 of 1") == true, "call \(call): \(String(describing: error))")
      #expect(error?.message.contains("/live-0") == true, "call \(call): \(String(describing: error))")
    }
  }
}
