import MartletRocksDB
import Testing

@testable import Martlet

/// State that goes over into the stores of another number of processes.
@Suite struct StoreRescaleTests {
  /// From p stores to p' and on: nothing is lost, doubled or in the wrong place, and the function goes on over the new stores.
  @Test(arguments: StoredProgramTests.Kind.allCases, [1, 2, 3, 7] as [Int32])
  func fromEverySplitToEveryOther(kind: StoredProgramTests.Kind, before: Int32) throws {
    for after in [1, 2, 3, 7] as [Int32] {
      var random = SeededGenerator(UInt64(before * 10 + after))
      var shape = EveryStateRig.Shape()
      shape.instances = before
      shape.hasOwnStores = random.chance(70)
      let rig = try EveryStateRig(kind.backend, shape)
      try rig.push(&random, records: 400, keys: 120)
      try rig.flush()
      let expected = try rig.expected()

      let copies = try rig.copies(kind.backend)
      var copy = StoreCopy(sources: copies, operators: [EveryStateRig.operatorNumber])
      copy.batchBytes = random.chance(50) ? 200 : 4 << 20
      var rows = 0
      var targets: [StoredPart] = []
      for instance in 0..<after {
        let store = try kind.backend.open(
          StoreOptions(rig.directory("after-\(instance)"), families: EveryStateRig.families))
        targets.append(try EveryStateRig.part(store, instance, of: after))
        rows += try copy.fill(targets[Int(instance)]).rows
        #expect(try EveryStateRig.groups(in: store).allSatisfy { targets[Int(instance)].groups.groups.contains($0) })
      }
      #expect(rows >= expected.count)
      #expect(difference(try rig.keys(of: targets), expected) == nil, "from \(before) to \(after)")
      // Each has the broadcast states.
      for target in targets {
        let key = try #require(try rig.keys(of: [target]).first)
        #expect(difference([key], [expected[0]]) == nil && key.key.isEmpty)
      }
      // And is one that an instance goes on from.
      for target in targets {
        let harness = try rig.harness(target)
        try rig.open(harness)
        #expect(
          harness.process.counters.timersPending == (try rig.keys(of: [target])).reduce(0) { $0 + $1.timers.count })
        try harness.close()
        try target.store.close()
      }
      for copy in copies where copy.store !== copies[0].store { try copy.store.close() }
      try copies[0].store.close()
      try rig.close()
    }
  }

  /// What belongs to other operators stays behind.
  @Test func onlyTheOperatorsThatAreNamed() throws {
    var random = SeededGenerator(1)
    let rig = try EveryStateRig(MemoryStoreBackend(), .init())
    try rig.push(&random, records: 50)
    try rig.flush()
    let store = try MemoryStoreBackend().open(StoreOptions(rig.directory("after"), families: EveryStateRig.families))
    let target = try EveryStateRig.part(store, 0, of: 1)
    #expect(try StoreCopy(sources: rig.parts, operators: [4, 6]).fill(target) == StoreCopy.Amount())
    #expect(try store.usage().entries == 0)
    let amount = try StoreCopy(sources: rig.parts, operators: [4, EveryStateRig.operatorNumber]).fill(target)
    #expect(try Int64(amount.rows) == store.usage().entries && amount.bytes > amount.rows)
    try store.close()
    try rig.close()
  }

  /// Rows of operators that are gone do not stay in a store that is cloned.
  @Test func operatorsThatAreGoneAreRemoved() throws {
    for kept in [[], [0], [5], [0, 5, 65_534], [65_534], [4, 6], [0, 4, 5, 6, 65_534]] as [[UInt16]] {
      let rig = try EveryStateRig(MemoryStoreBackend(), .init())
      let part = rig.parts[0]
      let batch = WriteBatch()
      for number in [0, 4, 5, 6, 65_534] as [UInt16] {
        for family in [part.states, part.timers] {
          try batch.put(StoredPart.head(number, group: 3) + [1, 2], [1], in: family)
          try batch.put(StoredPart.head(number, group: StoreKeys.broadcastGroup), [1], in: family)
        }
      }
      try part.store.write(batch, .process)
      try StoreCopy.removeAll(but: kept, from: part)
      for family in UInt8(0)...1 {
        let cursor = try part.store.cursor(StoreFamily(family), KeyRange())
        var left: [UInt16: Int] = [:]
        while try cursor.next() { left[UInt16(cursor.key[0]) << 8 | UInt16(cursor.key[1]), default: 0] += 1 }
        cursor.close()
        #expect(left == Dictionary(uniqueKeysWithValues: kept.map { ($0, 2) }), "\(kept)")
      }
      try rig.close()
    }
  }

  @Test func whatDoesNotFitIsNamed() throws {
    let rig = try EveryStateRig(MemoryStoreBackend(), .init())
    let part = rig.parts[0]
    func has(_ groups: Range<Int32>, of count: Int32) throws -> StoredPart {
      StoredPart(
        store: part.store, states: part.states, timers: part.timers, groups: try KeyGroupRange(groups, of: count))
    }
    for (sources, words) in [
      ([try has(0..<128, of: 128)], "max_parallelism is 16 and was 128"),
      ([try has(0..<5, of: 16), try has(6..<16, of: 16)], "has key group 5 of 16"), ([], "0 stores has key group 0"),
    ] as [([StoredPart], String)] {
      let error = #expect(throws: EngineError.self) { try StoreCopy(sources: sources, operators: [1]).fill(part) }
      #expect(error?.message.contains(words) == true, "\(String(describing: error))")
    }
    try rig.close()
  }

  /// At call N of either store, for every N: an error with both.
  @Test func storesThatFail() throws {
    var random = SeededGenerator(4)
    let plan = FaultPlan()
    let backend = FaultyBackend(MemoryStoreBackend(), plan)
    let rig = try EveryStateRig(backend, .init())
    try rig.push(&random, records: 30)
    try rig.flush()
    var copy = StoreCopy(sources: rig.parts, operators: [EveryStateRig.operatorNumber])
    copy.batchBytes = 100
    func fill(_ name: String) throws {
      let store = try backend.open(StoreOptions(rig.directory(name), families: EveryStateRig.families))
      try copy.fill(EveryStateRig.part(store, 0, of: 1))
    }
    plan.arm(at: 0, .once)
    try fill("whole")
    let calls = plan.calls
    #expect(calls > 20)
    for call in 2...calls {
      plan.recover()
      let copies = try rig.copies(backend, "copy-\(call)")
      copy = StoreCopy(sources: copies, operators: copy.operators, batchBytes: 100)
      plan.arm(at: call, .once)
      let error = #expect(throws: EngineError.self) { try fill("call-\(call)") }
      #expect(error?.kind == .storageFailed, "call \(call): \(String(describing: error))")
      #expect(error?.message.contains("call-\(call)'") == true, "call \(call): \(String(describing: error))")
    }
    plan.recover()
    try rig.close()
  }
}

extension EveryStateRig {
  /// The stores as a checkpoint has them.
  func copies(_ backend: any StoreBackend, _ name: String = "copy") throws -> [StoredPart] {
    var copies: [StoredPart] = []
    for (number, part) in parts.enumerated() {
      var store = copies.first?.store
      if shape.hasOwnStores || store == nil {
        try part.store.copy(to: directory("\(name)-\(number)"))
        store = try backend.open(
          StoreOptions(directory("\(name)-\(number)"), families: EveryStateRig.families, access: .readOnly))
      }
      guard let store else { continue }
      copies.append(try EveryStateRig.part(store, Int32(number), of: shape.instances))
    }
    return copies
  }

  /// The key groups of all rows but those of broadcast states.
  static func groups(in store: any KeyValueStore) throws -> Set<Int32> {
    var groups: Set<Int32> = []
    for family in UInt8(0)...1 {
      let cursor = try store.cursor(StoreFamily(family), KeyRange())
      defer { cursor.close() }
      while try cursor.next() {
        let group = Int32(cursor.key[2]) << 8 | Int32(cursor.key[3])
        if group != Int32(StoreKeys.broadcastGroup) { groups.insert(group) }
      }
    }
    return groups
  }
}
