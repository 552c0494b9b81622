import Testing

@testable import Martlet

/// What `KeyValueStore` promises, for every store.
@Suite struct StoreContractTests {
  @Test(arguments: StoreKind.allCases)
  func valuesAreReadBackByKeyAndFamily(kind: StoreKind) throws {
    let rig = try StoreRig(kind)
    try rig.store.write { batch in
      try batch.put(bytes("k"), bytes("in a"), in: StoreRig.a)
      try batch.put(bytes("k"), bytes("in b"), in: StoreRig.b)
      try batch.put(bytes("l"), [], in: StoreRig.a)
      try batch.put([], bytes("of nothing"), in: StoreRig.a)
      try batch.put([0], bytes("of zero"), in: StoreRig.a)
    }
    let wanted = [bytes("l"), bytes("none"), bytes("k"), [], [0], [0, 0], bytes("k")]
    #expect(
      try rig.store.get(wanted)
        == [[], nil, bytes("in a"), bytes("of nothing"), bytes("of zero"), nil, bytes("in a")])
    #expect(try rig.store.get([bytes("k"), bytes("l")], in: StoreRig.b) == [bytes("in b"), nil])
    #expect(try rig.store.get([]) == [])
    #expect(rig.store.families == ["a", "b"])
  }

  @Test(arguments: StoreKind.allCases)
  func entriesComeInTheOrderOfUnsignedBytes(kind: StoreKind) throws {
    let rig = try StoreRig(kind)
    let keys: [[UInt8]] = [[], [0], [0, 0], [0, 1], [1], [1, 255], [127], [128], [128, 0], [255], [255, 255]]
    try rig.store.write { batch in for key in keys.shuffled() { try batch.put(key, key, in: StoreRig.a) } }
    #expect(try rig.store.scan().map(\.key) == keys)
    #expect(try rig.store.scan().map(\.value) == keys)
    #expect(try rig.store.scan(KeyRange([1], upTo: [128])).map(\.key) == [[1], [1, 255], [127]])
    #expect(try rig.store.scan(KeyRange([128])).map(\.key) == [[128], [128, 0], [255], [255, 255]])
    #expect(try rig.store.scan(KeyRange([], upTo: [0])).map(\.key) == [[]])
    #expect(try rig.store.scan(KeyRange([], upTo: [])).isEmpty)
    #expect(try rig.store.scan(KeyRange([5], upTo: [5])).isEmpty)
    #expect(try rig.store.scan(KeyRange([200], upTo: [3])).isEmpty)
    #expect(try rig.store.scan(.prefix([0])).map(\.key) == [[0], [0, 0], [0, 1]])
    #expect(try rig.store.scan(.prefix([255])).map(\.key) == [[255], [255, 255]])
    #expect(try rig.store.scan(.prefix([])).count == keys.count)
    #expect(try rig.store.scan(in: StoreRig.b).isEmpty)
  }

  @Test func prefixesHaveSuccessors() {
    #expect(KeyRange.successor(ofPrefix: [1, 2]) == [1, 3])
    #expect(KeyRange.successor(ofPrefix: [1, 255, 255]) == [2])
    #expect(KeyRange.successor(ofPrefix: [255]) == nil)
    #expect(KeyRange.successor(ofPrefix: []) == nil)
  }

  @Test(arguments: StoreKind.allCases)
  func aBatchIsCarriedOutInItsOrder(kind: StoreKind) throws {
    let rig = try StoreRig(kind)
    try rig.store.write { batch in for number in 0..<10 { try batch.put(bytes(number), [0], in: StoreRig.a) } }
    try rig.store.write { batch in
      try batch.put(bytes(3), [1], in: StoreRig.a)
      try batch.remove(KeyRange(bytes(2), upTo: bytes(8)), in: StoreRig.a)
      try batch.put(bytes(5), [2], in: StoreRig.a)
      try batch.put(bytes(5), [3], in: StoreRig.a)
      try batch.put(bytes(9), [4], in: StoreRig.a)
      try batch.remove(bytes(9), in: StoreRig.a)
      try batch.remove(bytes(77), in: StoreRig.a)
      try batch.put(bytes(1), [5], in: StoreRig.b)
    }
    #expect(try rig.store.entries() == [bytes(0): [0], bytes(1): [0], bytes(5): [3], bytes(8): [0]])
    #expect(try rig.store.entries(in: StoreRig.b) == [bytes(1): [5]])
    // A batch is not used up.
    let batch = WriteBatch()
    try batch.put(bytes(0), [6], in: StoreRig.a)
    #expect(batch.count == 1 && !batch.isEmpty)
    try rig.store.write(batch, .machine)
    try rig.store.write(batch, .machine)
    batch.removeAll()
    try rig.store.write(batch, .machine)
    #expect(try rig.store.get([bytes(0)]) == [[6]])
  }

  @Test(arguments: StoreKind.allCases)
  func rangesAreRemoved(kind: StoreKind) throws {
    let rig = try StoreRig(kind)
    let all = Array(0..<100)
    try rig.store.write { batch in
      for number in all {
        try batch.put(bytes(number), bytes(number), in: StoreRig.a)
        try batch.put(bytes(number), bytes(number), in: StoreRig.b)
      }
    }
    try rig.store.write { batch in
      try batch.remove(KeyRange(bytes(10), upTo: bytes(20)), in: StoreRig.a)
      // Empty, or the wrong way round: nothing.
      try batch.remove(KeyRange(bytes(30), upTo: bytes(30)), in: StoreRig.a)
      try batch.remove(KeyRange(bytes(50), upTo: bytes(40)), in: StoreRig.a)
      try batch.remove(KeyRange([], upTo: bytes(5)), in: StoreRig.a)
      try batch.remove(KeyRange(bytes(90), upTo: [255]), in: StoreRig.a)
    }
    let left = all.filter { !(10..<20).contains($0) && $0 >= 5 && $0 < 90 }
    #expect(try rig.store.scan().map(\.key) == left.map { bytes($0) })
    #expect(try rig.store.get([bytes(4), bytes(5), bytes(15), bytes(20)]) == [nil, bytes(5), nil, bytes(20)])
    #expect(try rig.store.scan(in: StoreRig.b).count == 100)
    let error = try #require(throws: EngineError.self) { try WriteBatch().remove(KeyRange([1]), in: StoreRig.a) }
    #expect(error.kind == .invalidArgument)
  }

  @Test(arguments: StoreKind.allCases)
  func valuesMayBeHuge(kind: StoreKind) throws {
    let rig = try StoreRig(kind)
    let value = noise(40 << 20, 1)
    let key = [UInt8](repeating: 7, count: 100_000)
    try rig.store.write { batch in
      try batch.put(key, value, in: StoreRig.a)
      try batch.put(key + [0], [1], in: StoreRig.a)
    }
    #expect(try rig.store.get([key, key + [0], key + [1]]) == [value, [1], nil])
    #expect(try rig.store.scan().map(\.value.count) == [value.count, 1])
  }

  /// Small values may be copied and large ones not, by several threads that share the keys.
  @Test(arguments: StoreKind.allCases)
  func valuesOfAllSizesAreLookedUpTogether(kind: StoreKind) throws {
    let rig = try StoreRig(kind)
    let count = 20_000
    let sizes = [0, 1, 26, 1023, 1024, 1025, 5000]
    func value(_ number: Int) -> [UInt8]? {
      if number % 11 == 0 { return nil }
      return [UInt8](repeating: UInt8(number & 255), count: number % 1000 == 7 ? 100_000 : sizes[number % sizes.count])
    }
    try rig.store.write { batch in
      for number in 0..<count { if let value = value(number) { try batch.put(bytes(number), value, in: StoreRig.a) } }
    }
    for round in 0..<2 {
      // Sorted, and not.
      let numbers = round == 0 ? Array(0..<count) : (0..<count).map { $0 &* 7919 % count }
      let list = KeyList()
      for number in numbers { list.append(bytes(number)) }
      var wrong = 0
      try rig.store.get(list, in: StoreRig.a) { index, found in
        if found.map(Array.init) != value(numbers[index]) { wrong += 1 }
      }
      #expect(wrong == 0)
      if StoreKind.durable.contains(kind) { try rig.reopen() }
    }
  }

  @Test(arguments: StoreKind.allCases)
  func aHundredThousandKeys(kind: StoreKind) throws {
    let rig = try StoreRig(kind)
    let count = 100_000
    let batch = WriteBatch()
    for number in 0..<count { try batch.put(bytes(number &* 7919 % count), bytes(number), in: StoreRig.a) }
    try rig.store.write(batch, .process)
    let cursor = try rig.store.cursor(StoreRig.a, KeyRange())
    var number = 0
    while try cursor.next() {
      if !cursor.key.elementsEqual(bytes(number)) { Issue.record("key \(number) is \(Array(cursor.key))") }
      number += 1
    }
    cursor.close()
    #expect(number == count)
    let list = KeyList()
    for number in stride(from: 0, to: 2 * count, by: 3) { list.append(bytes(number)) }
    var found = 0
    try rig.store.get(list, in: StoreRig.a) { index, value in
      if (value != nil) != (3 * index < count) { Issue.record("key \(3 * index)") }
      found += value == nil ? 0 : 1
    }
    #expect(found == (count + 2) / 3)
    let usage = try rig.store.usage()
    #expect(usage.entries == Int64(count) && usage.memoryBytes > 1 << 20)
  }

  @Test(arguments: StoreKind.allCases)
  func aCursorSeesOneMoment(kind: StoreKind) throws {
    let rig = try StoreRig(kind)
    try rig.store.write { batch in for number in 0..<100 { try batch.put(bytes(number), [1], in: StoreRig.a) } }
    let cursor = try rig.store.cursor(StoreRig.a, KeyRange())
    #expect(try cursor.next())
    try rig.store.write { batch in
      try batch.remove(KeyRange(bytes(0), upTo: bytes(1000)), in: StoreRig.a)
      try batch.put(bytes(50), [2], in: StoreRig.a)
      try batch.put(bytes(500), [2], in: StoreRig.a)
    }
    var seen = 1
    while try cursor.next() {
      #expect(cursor.value.elementsEqual([1]))
      seen += 1
    }
    #expect(seen == 100)
    #expect(try !cursor.next())
    let error = try #require(throws: EngineError.self) { try rig.store.close() }
    #expect(error.kind == .busy && error.message.contains("1 cursors"))
    cursor.close()
    cursor.close()
    #expect(throws: EngineError.self) { try cursor.next() }
    #expect(try rig.store.entries() == [bytes(50): [2], bytes(500): [2]])
  }

  @Test(arguments: StoreKind.allCases)
  func anAbandonedCursorClosesItself(kind: StoreKind) throws {
    let rig = try StoreRig(kind)
    try rig.store.write { batch in try batch.put([1], [1], in: StoreRig.a) }
    do {
      let cursor = try rig.store.cursor(StoreRig.a, KeyRange())
      #expect(try cursor.next())
    }
    try rig.store.close()
  }

  @Test(arguments: StoreKind.allCases)
  func aClosedStoreSaysSo(kind: StoreKind) throws {
    let rig = try StoreRig(kind)
    try rig.store.close()
    try rig.store.close()
    let calls: [() throws -> Void] = [
      { _ = try rig.store.get([[1]]) }, { try rig.store.write { _ in } }, { _ = try rig.store.scan() },
      { try rig.store.sync() }, { try rig.store.copy(to: rig.directory("copy")) }, { _ = try rig.store.usage() },
    ]
    for call in calls {
      let error = try #require(throws: EngineError.self) { try call() }
      #expect(error.kind == .closed && error.message.contains(rig.directory("store")))
    }
  }

  @Test(arguments: StoreKind.allCases)
  func wrongArgumentsChangeNothing(kind: StoreKind) throws {
    let rig = try StoreRig(kind)
    let other = StoreFamily(2)
    #expect(throws: EngineError.self) { _ = try rig.store.get([[1]], in: other) }
    #expect(throws: EngineError.self) { _ = try rig.store.cursor(other, KeyRange()) }
    let error = try #require(throws: EngineError.self) {
      try rig.store.write { batch in
        try batch.put([1], [1], in: StoreRig.a)
        try batch.put([1], [1], in: other)
      }
    }
    #expect(error.kind == .invalidArgument && error.message.contains("family number 2"))
    #expect(try rig.store.entries().isEmpty)
    try rig.store.write { batch in try batch.put([1], [1], in: StoreRig.a) }

    for families in [[], ["a", "a"], ["a", ""]] {
      let error = try #require(throws: EngineError.self) {
        _ = try rig.backend.open(StoreOptions(rig.directory("x"), families: families))
      }
      #expect(error.kind == .invalidArgument)
    }
    let small = StoreOptions(rig.directory("x"), families: ["a"], memoryLimit: 1000)
    #expect(throws: EngineError.self) { _ = try rig.backend.open(small) }
    for access in [StoreAccess.existing, .readOnly] {
      let error = try #require(throws: EngineError.self) { _ = try rig.open("nothing", access) }
      #expect(error.kind == .invalidArgument && error.message.contains(rig.directory("nothing")))
    }
  }

  @Test(arguments: StoreKind.allCases)
  func severalThreadsReadAndWrite(kind: StoreKind) async throws {
    let rig = try StoreRig(kind)
    let store = rig.store
    try await withThrowingTaskGroup(of: Void.self) { group in
      for writer in 0..<2 {
        group.addTask {
          for round in 0..<50 {
            try store.write { batch in
              for number in 0..<20 { try batch.put(bytes(writer * 100 + number), bytes(round), in: StoreRig.a) }
            }
          }
        }
        group.addTask {
          for _ in 0..<50 {
            // All values of one batch, or none of them.
            let values = try store.get((0..<20).map { bytes(writer * 100 + $0) })
            if Set(values).count != 1 { Issue.record("half a batch was seen") }
          }
        }
      }
      try await group.waitForAll()
    }
    #expect(try store.scan().map(\.value) == [[UInt8]](repeating: bytes(49), count: 40))
  }
}
