import MartletRocksDB
import Testing

@testable import Martlet

/// What stores have of an operator, read as the snapshot of the same operator in memory.
@Suite struct StoredSnapshotTests {
  /// Every kind of state, timers with and without names, TTL stamps, large lists and maps, broadcast states; one store or several.
  @Test(arguments: StoredProgramTests.Kind.allCases, UInt64(1)...10)
  func equalsTheSnapshotInMemory(kind: StoredProgramTests.Kind, seed: UInt64) throws {
    var random = SeededGenerator(seed)
    var shape = EveryStateRig.Shape()
    shape.key = random.chance(50) ? "k" : "s"
    shape.instances = [1, 2, 5][Int.random(in: 0..<3, using: &random)]
    shape.hasOwnStores = random.chance(60)
    shape.memory = random.chance(50) ? 1 : 1 << 30
    shape.largeAbove = [1, 4, 9][Int.random(in: 0..<3, using: &random)]
    shape.listChunk = Int.random(in: 1...6, using: &random)
    let rig = try EveryStateRig(kind.backend, shape)
    for round in 0..<8 {
      try rig.push(&random, records: Int.random(in: 0...60, using: &random), keys: round < 2 ? 10 : 80)
      try rig.flush()
      let found = difference(try rig.keys(of: rig.parts), try rig.expected())
      #expect(found == nil, "seed \(seed), round \(round), \(shape)")
      if found != nil { break }
    }
    #expect(try rig.expected().count > 20)
    try rig.close()
  }

  struct Wide: ProcessFunction {
    let list = ListState<Int64>("list")
    let map = MapState<Int64, Int64>("map")
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      for number in Int64(0)..<(key.int64 % 100 == 7 ? 1000 : 2) {
        list.add(number)
        map.put(number - 500, number)
      }
      if key.int64 % 3 == 0 { try context.registerEventTimeTimer(key.int64) }
    }
  }

  /// More keys than are read ahead, with the limits of every day.
  @Test func manyKeysInOrder() throws {
    let directory = try TemporaryDirectory()
    let store = try RocksDBBackend().open(StoreOptions(directory("store"), families: EveryStateRig.families))
    let part = StoredPart(
      store: store, states: StoreFamily(0), timers: StoreFamily(1), groups: try KeyGroupRange(0..<128, of: 128))
    let plain = try Harness(Wide(), key: "k", schema: Schema([Field("k", .int64)]), name: "wide")
    let stored = try Harness(Wide(), key: "k", name: "wide")
    stored.process.attach(
      StoreBinding(
        store, states: part.states, timers: part.timers, operatorNumber: 2, stateNumbers: [0, 1], groups: part.groups,
        memoryLimit: 1 << 30))
    try stored.open(Schema([Field("k", .int64)]))
    for key in Int64(0)..<12_000 {
      let batch = try batch([Field("k", .int64)], [[.int(key)]])
      for harness in [plain, stored] { try harness.push(batch, timestamp: .at(0)) }
    }
    let batch = WriteBatch()
    try stored.process.flush(into: batch)
    try store.write(batch, .process)
    let block = SnapshotBytes(try plain.snapshot())
    var expected = try SnapshotReader(block.bytes)
    var reader = try StoredSnapshotReader([part], expected.header, operatorNumber: 2, stateNumbers: [0, 1])
    var count = 0
    while let key = try reader.next() {
      let other = try #require(try expected.next())
      if let found = difference([key], [other]) {
        Issue.record("key number \(count): \(found)")
        break
      }
      count += 1
    }
    #expect(count == 12_000)
    withExtendedLifetime(block) {}
    try stored.close()
    try store.close()
  }

  /// A state that is not among those asked for, and the keys that have nothing else, are passed over.
  @Test func statesThatAreNotAskedFor() throws {
    var random = SeededGenerator(3)
    let rig = try EveryStateRig(MemoryStoreBackend(), .init())
    try rig.push(&random, records: 300)
    try rig.flush()
    let whole = try rig.reader(rig.parts).header
    var header = whole
    header.states = [whole.states[5], whole.states[0]]
    var reader = try StoredSnapshotReader(
      rig.parts, header, operatorNumber: EveryStateRig.operatorNumber, stateNumbers: [rig.numbers[5], rig.numbers[0]])
    var keys: [SnapshotKey] = []
    while let key = try reader.next() { keys.append(key) }
    let expected = try rig.expected().compactMap { key -> SnapshotKey? in
      var mine = key
      mine.entries = [5, 0].enumerated().flatMap { place, state in
        key.entries.filter { $0.state == state }.map { (place, $0.bytes) }
      }
      return mine.entries.isEmpty && mine.timers.isEmpty ? nil : mine
    }
    #expect(difference(keys, expected) == nil)
    try rig.close()
  }

  @Test func damageIsNamed() throws {
    for (suffix, value, words) in [
      ([StoreKeys.record], [1, 2, 3], "the row of key 7 is damaged"),
      ([], [9, 9], "the timers of key 7 are damaged"),
      ([StoreKeys.record], [85, 0, 1, 8, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0], "state 'map' has 0 elements or entries"),
    ] as [([UInt8], [UInt8], String)] {
      let rig = try EveryStateRig(MemoryStoreBackend(), .init())
      var key: [UInt8] = []
      KeyEncoding.append(integer: 7, .signed, to: &key)
      let group = KeyGroup(hash: key.withUnsafeBytes { StableHash.hash($0) }, maxParallelism: EveryStateRig.groups)
      let row = StoredPart.head(EveryStateRig.operatorNumber, group: UInt16(group.rawValue)) + key + suffix
      let batch = WriteBatch()
      try batch.put(row, value, in: StoreFamily(suffix.isEmpty ? 1 : 0))
      try rig.parts[0].store.write(batch, .process)
      let error = #expect(throws: EngineError.self) { try rig.keys(of: rig.parts) }
      #expect(error?.kind == .storageCorrupt && error?.operatorName == "every")
      #expect(error?.message.contains(words) == true, "\(String(describing: error))")
      #expect(error?.message.contains(rig.parts[0].store.path) == true)
      try rig.close()
    }
  }

  /// At call N of the store, for every N.
  @Test func aStoreThatFails() throws {
    var random = SeededGenerator(9)
    let plan = FaultPlan()
    let rig = try EveryStateRig(FaultyBackend(MemoryStoreBackend(), plan), .init())
    try rig.push(&random, records: 100)
    try rig.flush()
    plan.arm(at: 0, .once)
    _ = try rig.keys(of: rig.parts)
    let calls = plan.calls
    #expect(calls > 100)
    for call in stride(from: 1, through: calls, by: 7) {
      let directory = rig.directory("copy-\(call)")
      plan.recover()
      try rig.parts[0].store.copy(to: directory)
      let copy = try FaultyBackend(MemoryStoreBackend(), plan).open(
        StoreOptions(directory, families: EveryStateRig.families, access: .readOnly))
      plan.arm(at: call, .once)
      let error = #expect(throws: EngineError.self) { try rig.keys(of: [EveryStateRig.part(copy, 0, of: 1)]) }
      #expect(error?.kind == .storageFailed && error?.operatorName == "every", "call \(call)")
      plan.recover()
      try copy.close()
    }
    try rig.close()
  }
}

extension StoredProgramTests.Kind {
  var backend: any StoreBackend { self == .memory ? MemoryStoreBackend() : RocksDBBackend() }
}
