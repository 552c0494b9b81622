import Testing

@testable import Martlet

/// Snapshots of functions of two inputs: format version 2.
@Suite struct TwoInputSnapshotTests {
  struct Rules: BroadcastProcessFunction {
    let count = ValueState<Int64>("count")
    let rules = BroadcastState<String, Int64>("rules")
    let out = OutputColumn<String>("out")
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      count.set((count.get() ?? 0) + 1)
      try context.registerEventTimeTimer(100)
    }
    func onBroadcast(batch: Record, row: Int, context: Context) throws {
      try rules.put(try batch.string("k")!, context.recordNumber!)
    }
    func onTimer(key: Key, fireTime: Int64, context: Context) throws {
      out.set("\(key.string)\(count.get()!)\(rules.entries().map { "\($0.key)\($0.value)" })")
      try context.emit()
    }
  }

  struct Plain: ProcessFunction {
    let count = ValueState<Int64>("count")
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {}
  }

  struct Both: CoProcessFunction {
    let count = ValueState<Int64>("count")
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws { count.set((count.get() ?? 0) + 1) }
  }

  static func broadcast(_ function: Rules = Rules()) throws -> Harness {
    try Harness(
      broadcasting: function, key: "k", main: TwoInputRig.left, broadcast: TwoInputRig.right, name: "rules")
  }

  static func filled() throws -> Harness {
    let harness = try broadcast()
    _ = try TwoInputRig(harness: harness).run("PT5 2:red@1 1:a@2 1:b@3 2:green@4 1:a@5 W1=20 W2=10 2I")
    return harness
  }

  private func restored(
    _ bytes: [UInt8], into harness: Harness, groups: KeyGroupRange? = nil, forgetting: [String] = []
  )
    throws -> Harness
  {
    try bytes.withUnsafeBytes { try harness.restore($0, groups: groups, forgetting: forgetting) }
    return harness
  }

  /// The bytes, once written, are never rewritten; see `SnapshotTests`.
  static let golden = "Tests/Golden/snapshot-2.hex"

  @Test func theBytesAreThoseOfTheGoldenFile() throws {
    let hex = try SnapshotTests.hexFile(TwoInputSnapshotTests.golden)
    let bytes = try TwoInputSnapshotTests.filled().snapshot()
    #expect(bytes == hex)
  }

  @Test func continuesAsItWas() throws {
    let bytes = try TwoInputSnapshotTests.filled().snapshot()
    let function = Rules()
    let harness = try restored(bytes, into: TwoInputSnapshotTests.broadcast(function))
    #expect(harness.watermark == 20 && harness.processingTime == 5)
    #expect(function.rules.entries().map(\.key) == ["green", "red"])
    #expect(try harness.at("a") { function.count.get() } == 2)
    #expect(try harness.snapshot() == bytes)
    // The right side is idle: time moves without it, and counts it again with its next record.
    let rig = TwoInputRig(harness: harness)
    #expect(
      try rig.run("W1=90 2:blue@95 1:b@96 W1=200 W2=150")
        == #"W90 a2["blue2", "green1", "red0"]@100 b2["blue2", "green1", "red0"]@100 W200"#)
    let other = try restored(bytes, into: TwoInputSnapshotTests.broadcast())
    #expect(try TwoInputRig(harness: other).run("W1=120") == #"a2["green1", "red0"]@100 b1["green1", "red0"]@100 W120"#)
    // Without schemas told before.
    let late = try restored(bytes, into: Harness(broadcasting: Rules(), key: "k"))
    #expect(late.inputSchema(of: .right) == TwoInputRig.right && late.inputSchema(of: .left) == TwoInputRig.left)
  }

  /// Every instance holds the whole table, whichever keys it has.
  @Test func groupsOfKeys() throws {
    let bytes = try TwoInputSnapshotTests.filled().snapshot()
    var keys = 0
    for half in [Int32(0)..<64, 64..<128] {
      let function = Rules()
      let harness = try restored(
        bytes, into: TwoInputSnapshotTests.broadcast(function), groups: try KeyGroupRange(half, of: 128))
      withExtendedLifetime(harness) { #expect(function.rules.count == 2) }
      keys += harness.process.counters.keys
    }
    #expect(keys == 2)
  }

  @Test func connected() throws {
    func make() throws -> (Both, Harness) {
      let function = Both()
      return (function, try Harness(connecting: function, keys: ("k", "k")))
    }
    // Only the right side is known.
    let (_, first) = try make()
    try first.push(.right, try batch([Field("k", .utf8)], [[.text("x")]]), timestamp: 3)
    let (function, second) = try make()
    let harness = try restored(try first.snapshot(), into: second)
    try harness.push(.left, try batch([Field("k", .utf8)], [[.text("x")]]), timestamp: 3)
    #expect(try harness.at("x") { function.count.get() } == 2)
    #expect(try harness.snapshot() == restored(try harness.snapshot(), into: make().1).snapshot())
    let (_, empty) = try make()
    #expect(try restored(try empty.snapshot(), into: make().1).watermark == EventTime.min)
  }

  @Test func statesThatAreNoLongerThere() throws {
    struct None: BroadcastProcessFunction {
      func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {}
      func onBroadcast(batch: Record, row: Int, context: Context) throws {}
    }
    let bytes = try TwoInputSnapshotTests.filled().snapshot()
    let without = try restored(bytes, into: Harness(broadcasting: None(), key: "k"))
    let function = Rules()
    let back = try restored(try without.snapshot(), into: TwoInputSnapshotTests.broadcast(function))
    #expect(function.rules.entries().map(\.key) == ["green", "red"])
    #expect(try back.at("a") { function.count.get() } == 2)
    let forgetful = try restored(bytes, into: Harness(broadcasting: None(), key: "k"), forgetting: ["rules", "count"])
    let gone = Rules()
    let last = try restored(try forgetful.snapshot(), into: TwoInputSnapshotTests.broadcast(gone))
    #expect(gone.rules.count == 0)
    #expect(try last.at("a") { gone.count.exists() } == false)
  }

  @Test func otherKinds() throws {
    let bytes = try TwoInputSnapshotTests.filled().snapshot()
    let one = #expect(throws: EngineError.self) { try restored(bytes, into: Harness(Plain(), key: "k")) }
    #expect(one?.kind == .snapshotMismatch && one?.message.contains("broadcast side") == true)
    let two = #expect(throws: EngineError.self) {
      try restored(bytes, into: Harness(connecting: Both(), keys: ("k", "k")))
    }
    #expect(two?.kind == .snapshotMismatch)
    let plain = try Harness(Plain(), key: "k", schema: TwoInputRig.left).snapshot()
    #expect(throws: EngineError.self) { try restored(plain, into: TwoInputSnapshotTests.broadcast()) }
  }

  @Test func brokenBytesAreFound() throws {
    let bytes = try TwoInputSnapshotTests.filled().snapshot()
    for position in stride(from: 0, to: bytes.count, by: 3) {
      var broken = bytes
      broken[position] ^= 0x55
      #expect(throws: EngineError.self) { try restored(broken, into: TwoInputSnapshotTests.broadcast()) }
    }
  }
}
