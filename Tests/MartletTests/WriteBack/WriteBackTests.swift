import MartletRocksDB
import Testing

@testable import Martlet

/// What a store behind an operator does at its edges: limits, failures, damage, states that come and go, broadcast states.
@Suite struct WriteBackTests {
  struct Count: ProcessFunction {
    let count = ValueState<Int64>("count")
    let name: ValueState<String>?

    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      count.set((count.get() ?? 0) + 1)
      name?.set("a name that is not short \(key.int64)")
      if key.int64 % 10 == 0 { try context.registerEventTimeTimer(1_000_000 + key.int64) }
    }
    func onTimer(key: Key, fireTime: Int64, context: Context) { count.clear() }
  }

  static let fields = [Field("k", .int64)]

  private func rig(_ backend: any StoreBackend, names: Bool = true) throws -> StoredRig {
    let rig = try StoredRig(backend, Schema(Self.fields)) {
      try ProcessSpec("count", by: "k", Count(name: names ? ValueState<String>("name") : nil))
    }
    rig.policies.onError = .raise
    return rig
  }

  private func push(_ rig: StoredRig, _ keys: some Sequence<Int64>, watermark: Int64 = 0) throws {
    let rows = keys.map { [Value.int($0)] }
    try rig.push(Self.fields, rows, times: rows.map { _ in 0 }, watermark: watermark)
  }

  @Test func memoryStaysUnderItsLimit() throws {
    let rig = try rig(RocksDBBackend())
    // A third of what all keys take; those with timers, a tenth, stay without their values.
    rig.limits.memory = 300_000
    try rig.open()
    let process = rig.instances[0]
    for round in 0..<60 {
      try push(rig, (0..<300).map { Int64(($0 * 7 + round * 300) % 6_000) })
      if round % 3 == 2 {
        #expect(process.wantsFlush == (process.memoryInUse > rig.limits.memory))
        try rig.flush()
        #expect(process.memoryInUse <= rig.limits.memory && !process.wantsFlush)
      }
    }
    try rig.flush()
    let content = try rig.content()
    #expect(content.count == 6_000)
    #expect(process.memoryInUse <= rig.limits.memory)
    // Looking at all keys has changed none, so there is nothing to write.
    #expect(try rig.flush().isEmpty)
    // Every timer fires, whether its key was in memory or not: six hundred rows of timers go, and values change.
    try push(rig, [], watermark: 2_000_000)
    #expect(process.counters.timersFired == 600)
    let batch = try rig.flush()
    #expect(batch.count == 1_200)
    #expect(try rig.content().count == 6_000)
  }

  @Test func nothingChangedIsNotWritten() throws {
    let rig = try rig(MemoryStoreBackend())
    try rig.open()
    #expect(try rig.flush().isEmpty)
    try push(rig, [1, 2, 3])
    #expect(try rig.flush().count == 3)
    #expect(try rig.flush().isEmpty)
    // A key that came and went between two flushes leaves nothing.
    #expect(rig.instances[0].parts?.keys.slots.keyCount == 3)
  }

  /// What a flush says of the order of its rows holds: of numbers without timers, yes; with other states or timers, no.
  @Test(arguments: [false, true], [false, true])
  func whatAFlushSaysOfItsOrder(names: Bool, timers: Bool) throws {
    let rig = try rig(RocksDBBackend(), names: names)
    try rig.open()
    for round in Int64(0)..<2 {
      // Every tenth key has a timer.
      try push(rig, (0..<600).map { ($0 * 7919 + round * 31) % 6_000 * 10 + (timers ? 0 : 1) })
      let batch = try rig.flush()
      #expect(batch.isSorted == (!names && !timers))
      guard batch.isSorted else { continue }
      var keys: [[UInt8]] = []
      for operation in batch.operations {
        guard case .put(StoreFamily(0), let key, _) = operation else { continue }
        keys.append(Array(key))
      }
      #expect(keys.count == 600)
      #expect(zip(keys, keys.dropFirst()).allSatisfy { $0.lexicographicallyPrecedes($1) })
    }
  }

  /// At call N of the store, for every N: an error that says what to do, a batch that is not filled after it, and in the store what the last
  /// flush that succeeded has put there.
  @Test(arguments: [StoreKind.faultyMemory, .faultyRocksDB])
  func aStoreThatFails(_ kind: StoreKind) throws {
    func run(_ rig: StoredRig, _ committed: inout Int64) throws {
      try rig.open([0, 6])
      for round in Int64(1)...4 {
        try push(rig, 0..<40)
        try rig.flush()
        committed = round
      }
    }
    let counted = FaultPlan()
    var rounds: Int64 = 0
    let whole = try rig(kind.backend(counted))
    whole.limits.memory = 1
    counted.arm(at: 0, .once)
    try run(whole, &rounds)
    let calls = counted.calls
    #expect(rounds == 4 && calls > 30)
    for call in 1...calls {
      let plan = FaultPlan()
      let rig = try rig(kind.backend(plan))
      rig.limits.memory = 1
      var committed: Int64 = 0
      plan.arm(at: call, .once)
      let error = #expect(throws: EngineError.self) { try run(rig, &committed) }
      #expect(error?.kind == .storageFailed, "call \(call): \(String(describing: error))")
      plan.recover()
      // The instances are of no use, and say so.
      let batch = WriteBatch()
      for instance in rig.instances where instance.writeBack?.hasFailed == true {
        let refused = #expect(throws: EngineError.self) { try instance.flush(into: batch) }
        #expect(refused?.kind == .closed && refused?.operatorName == "count")
      }
      #expect(batch.isEmpty)
      for instance in rig.instances { try instance.close() }
      guard kind == .faultyRocksDB, let directory = rig.directory else { continue }
      try rig.close()
      let again = try RocksDBBackend().open(StoreOptions(directory("store"), families: StoredRig.families))
      defer { try? again.close() }
      var found = 0
      let cursor = try again.cursor(StoreFamily(0), KeyRange())
      while try cursor.next() { found += 1 }
      cursor.close()
      #expect(found == (committed == 0 ? 0 : 40), "call \(call)")
    }
  }

  @Test func damagedRowsAreNamed() throws {
    for (damage, words) in [
      ([1, 2, 3], "the row of key 5 is damaged"), ([0, 0, 0, 2, 0, 0, 0, 9, 9], "state 'count'"),
    ] as [([UInt8], String)] {
      let rig = try rig(MemoryStoreBackend())
      try rig.open()
      try push(rig, [5])
      try rig.flush()
      let cursor = try #require(try rig.store?.cursor(StoreFamily(0), KeyRange()))
      #expect(try cursor.next())
      let key = Array(cursor.key)
      cursor.close()
      let batch = WriteBatch()
      try batch.put(key, damage, in: StoreFamily(0))
      try rig.store?.write(batch, .process)
      let other = try StoredRig(MemoryStoreBackend(), Schema(Self.fields)) {
        try ProcessSpec("count", by: "k", Count(name: ValueState<String>("name")))
      }
      try other.adopt(rig)
      let error = #expect(throws: EngineError.self) { try push(other, [5]) }
      #expect(error?.kind == .storageCorrupt && error?.message.contains(words) == true, "\(String(describing: error))")
      #expect(error?.operatorName == "count")
    }
  }

  /// A state that the function has no more stays in its rows, until it is one to forget.
  @Test func aDroppedStateStays() throws {
    let rig = try rig(MemoryStoreBackend())
    try rig.open()
    try push(rig, 0..<10)
    try rig.flush()
    let without = try self.rig(MemoryStoreBackend(), names: false)
    try without.adopt(rig)
    try push(without, 0..<5)
    try without.flush()
    let again = try self.rig(MemoryStoreBackend())
    try again.adopt(without)
    #expect(try again.content().values.allSatisfy { !$0[1].isEmpty })
    let forgetting = try self.rig(MemoryStoreBackend(), names: false)
    forgetting.forgotten = [1]
    try forgetting.adopt(again)
    try push(forgetting, 0..<5)
    try forgetting.flush()
    let last = try self.rig(MemoryStoreBackend())
    try last.adopt(forgetting)
    #expect(try last.content().values.count { !$0[1].isEmpty } == 5)
  }

  struct Rules: BroadcastProcessFunction {
    let rules = BroadcastState<String, Int64>("rules")
    let seen = ValueState<Int64>("seen")
    let out = OutputColumn<String>("out")

    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      seen.set((seen.get() ?? 0) + 1)
      out.set("\(key.string):\(seen.get() ?? 0):\(rules.count)")
      try context.emit()
    }
    func onBroadcast(batch: Record, row: Int, context: Context) throws {
      let rule = try batch.string("k") ?? ""
      if rule != "visit" { return try rules.put(rule, 1) }
      try context.applyToKeyedState(seen) { key in
        let count = seen.get() ?? 0
        out.set("\(key.string)=\(count)")
        try context.emit()
        if count % 2 == 1 { seen.set(count + 100) }
      }
    }
  }

  /// Broadcast states are there again, and a visit of all keys meets those that are not in memory, in key order, and keeps what it changes.
  @Test(arguments: StoredProgramTests.Kind.allCases)
  func broadcast(_ kind: StoredProgramTests.Kind) throws {
    let directory = try TemporaryDirectory()
    let backend: any StoreBackend = kind == .memory ? MemoryStoreBackend() : RocksDBBackend()
    let store = try backend.open(StoreOptions(directory("store"), families: StoredRig.families))
    func open() throws -> TwoInputRig {
      let harness = try Harness(broadcasting: Rules(), key: "k")
      var binding = StoreBinding(
        store, states: StoreFamily(0), timers: StoreFamily(1), operatorNumber: 1, stateNumbers: [0, 1],
        groups: try KeyGroupRange(0..<128, of: 128), memoryLimit: 1)
      binding.largeAbove = 2
      harness.process.attach(binding)
      try harness.open(.left, TwoInputRig.left)
      try harness.open(.right, TwoInputRig.right)
      return TwoInputRig(harness: harness)
    }
    func flush(_ rig: TwoInputRig) throws {
      let batch = WriteBatch()
      try rig.harness.process.flush(into: batch)
      try store.write(batch, .process)
      rig.harness.process.didCommit()
    }
    var rig = try open()
    #expect(try rig.run("2:a 2:b 1:x 1:y 1:x") == "x:1:2@- y:1:2@- x:2:2@-")
    try flush(rig)
    try rig.harness.close()
    rig = try open()
    #expect(try rig.run("1:z") == "z:1:2@-")
    try flush(rig)
    #expect(rig.harness.process.counters.keys == 0)
    #expect(try rig.run("2:visit") == "x=2@- y=1@- z=1@-")
    #expect(try rig.run("2:c 2:d 1:y") == "y:102:4@-")
    try flush(rig)
    try rig.harness.close()
    rig = try open()
    #expect(try rig.run("2:visit 1:z") == "x=2@- y=102@- z=101@- z:202:4@-")
    try rig.harness.close()
    try store.close()
  }
}
