import Testing

@testable import Martlet

/// Copies, clones and opening again.
@Suite struct StoreCopyTests {
  private func fill(_ store: any KeyValueStore, _ numbers: Range<Int>, _ value: UInt8) throws {
    try store.write { batch in
      for number in numbers {
        try batch.put(bytes(number), [value], in: StoreRig.a)
        try batch.put(bytes(number), [value, value], in: StoreRig.b)
      }
    }
  }

  @Test(arguments: StoreKind.allCases)
  func aCopyStaysAsItIs(kind: StoreKind) throws {
    let rig = try StoreRig(kind)
    try fill(rig.store, 0..<1000, 1)
    try rig.store.copy(to: rig.directory("one"))
    try fill(rig.store, 500..<1500, 2)
    try rig.store.copy(to: rig.directory("two"))
    try fill(rig.store, 0..<2000, 3)
    try rig.store.write { batch in try batch.remove(KeyRange([], upTo: bytes(100)), in: StoreRig.a) }

    let one = try rig.open("one", .readOnly)
    let two = try rig.open("two", .readOnly)
    #expect(try one.scan().map(\.value) == [[UInt8]](repeating: [1], count: 1000))
    #expect(try one.scan(in: StoreRig.b).count == 1000)
    #expect(try two.entries().count == 1500)
    #expect(try two.get([bytes(499), bytes(500)]) == [[1], [2]])
    try one.close()
    try two.close()

    // What is done to the copy's own store, and the end of the first one, change nothing either.
    try PosixFileSystem().removeTree(rig.directory("one"))
    #expect(try rig.store.scan().count == 1900)
    try rig.store.close()
    try PosixFileSystem().removeTree(rig.directory("store"))
    #expect(try rig.open("two", .readOnly).scan().count == 1500)
  }

  @Test(arguments: StoreKind.allCases)
  func readingACopyDoesNotTouchIt(kind: StoreKind) throws {
    let rig = try StoreRig(kind)
    try fill(rig.store, 0..<1000, 1)
    try rig.store.copy(to: rig.directory("copy"))
    let before = try content(rig.directory("copy"))
    let first = try rig.open("copy", .readOnly)
    let second = try rig.open("copy", .readOnly)
    #expect(try first.scan().count == 1000)
    #expect(try second.scan().count == 1000)
    let error = try #require(throws: EngineError.self) { try fill(first, 0..<1, 2) }
    #expect(error.kind == .invalidArgument && error.message.contains("reading only"))
    try first.sync()
    #expect(try content(rig.directory("copy")) == before)

    // A family that the copy does not have is empty.
    let more = try rig.backend.open(
      StoreOptions(rig.directory("copy"), families: ["new", "b"], access: .readOnly))
    #expect(try more.scan(in: StoreFamily(0)).isEmpty)
    #expect(try more.get([bytes(1)], in: StoreFamily(0)) == [nil])
    #expect(try more.scan(in: StoreFamily(1)).count == 1000)
  }

  @Test(arguments: StoreKind.allCases)
  func aCloneIsAStoreOfItsOwn(kind: StoreKind) throws {
    let rig = try StoreRig(kind)
    try fill(rig.store, 0..<1000, 1)
    try rig.store.copy(to: rig.directory("copy"))
    let before = try content(rig.directory("copy"))
    for name in ["x", "y"] {
      try PosixFileSystem().makeDirectories(rig.directory(name + ".new/left from a crash"))
      try rig.backend.clone(rig.directory("copy"), to: rig.directory(name))
      let clone = try rig.open(name, .existing)
      try fill(clone, 0..<500, 2)
      try clone.write { batch in try batch.remove(KeyRange(bytes(900), upTo: bytes(1000)), in: StoreRig.a) }
      #expect(try clone.scan().count == 900)
      try clone.copy(to: rig.directory(name + "-copy"))
      try clone.close()
    }
    #expect(try content(rig.directory("copy")) == before)
    #expect(try rig.open("copy", .readOnly).scan().count == 1000)
    #expect(try rig.store.scan().count == 1000)
    #expect(try PosixFileSystem().info(rig.directory("x.new")) == nil)
  }

  private func content(_ folder: String) throws -> [String: [UInt8]] {
    let files = PosixFileSystem()
    return Dictionary(
      uniqueKeysWithValues: try files.list(folder).map { ($0, try files.contents(FilePath.join(folder, $0))) })
  }

  @Test(arguments: StoreKind.allCases)
  func aCopyGoesToANewName(kind: StoreKind) throws {
    let rig = try StoreRig(kind)
    try fill(rig.store, 0..<10, 1)
    try rig.store.copy(to: rig.directory("copy"))
    let error = try #require(throws: EngineError.self) { try rig.store.copy(to: rig.directory("copy")) }
    #expect(error.kind == .invalidArgument && error.message.contains(rig.directory("copy")))
    #expect(throws: EngineError.self) { try rig.backend.clone(rig.directory("copy"), to: rig.directory("copy")) }
    let missing = try #require(throws: EngineError.self) {
      try rig.backend.clone(rig.directory("none"), to: rig.directory("clone"))
    }
    #expect(missing.kind == .storageCorrupt && missing.message.contains(rig.directory("none")))
    // The store goes on.
    try fill(rig.store, 0..<20, 1)
  }

  @Test(arguments: StoreKind.durable)
  func whatWasWrittenIsThereAfterOpeningAgain(kind: StoreKind) throws {
    let rig = try StoreRig(kind)
    for round in 0..<4 {
      try fill(rig.store, 0..<(100 * (round + 1)), UInt8(round))
      if round == 2 { try rig.store.sync() }
      try rig.reopen()
      #expect(try rig.store.scan().count == 100 * (round + 1))
      #expect(try rig.store.get([bytes(0)], in: StoreRig.b) == [[UInt8(round), UInt8(round)]])
    }
    try rig.store.close()

    // Families are found by name, made if they are new, and kept if they are not asked for.
    let more = try rig.backend.open(StoreOptions(rig.directory("store"), families: ["b", "c"], access: .existing))
    #expect(try more.get([bytes(0)], in: StoreFamily(0)) == [[3, 3]])
    try more.write { batch in try batch.put([1], [1], in: StoreFamily(1)) }
    try more.close()
    rig.store = try rig.open("store")
    #expect(try rig.store.scan().count == 400)
  }

  /// Every call fails once or by a crash, before or after it happened: then the store, opened again, has every batch that
  /// was reported as written, at most one more, and none in part.
  @Test(arguments: [FaultPlan.Effect.once, .crash], [FaultPlan.Moment.before, .after])
  func batchesSurviveFailures(effect: FaultPlan.Effect, moment: FaultPlan.Moment) throws {
    var call = 1
    while true {
      let rig = try StoreRig(.faultyRocksDB)
      rig.plan.arm(at: call, effect, moment)
      var written = 0
      var failed = false
      for round in 1...2 {
        do {
          try fill(rig.store, 0..<5, UInt8(round))
          written = round
          _ = try rig.store.get([bytes(1)])
          _ = try rig.store.scan()
          try rig.store.copy(to: rig.directory("copy \(round)"))
        } catch let error as EngineError {
          #expect(error.kind == .storageFailed)
          let refused = try #require(throws: EngineError.self) { try fill(rig.store, 0..<20, 9) }
          #expect(refused.message.contains("before") || effect != .once)
          failed = true
          break
        }
      }
      rig.plan.recover()
      try rig.reopen()
      let values = Set(try rig.store.scan().map(\.value) + rig.store.scan(in: StoreRig.b).map { [$0.value[0]] })
      #expect(values.count <= 1, "call \(call): part of a batch")
      let found = Int(values.first?[0] ?? 0)
      #expect(found == written || found == written + 1 && moment == .after, "call \(call): \(found) after \(written)")
      try fill(rig.store, 0..<20, 7)
      if !failed { break }
      call += 1
    }
    #expect(call > 10)
  }
}
