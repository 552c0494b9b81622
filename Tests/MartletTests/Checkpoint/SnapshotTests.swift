import Testing

@testable import Martlet

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Snapshots: bytes of today and of every version before, keys of every form, what does not fit, what is broken.
@Suite struct SnapshotTests {
  /// One state of every kind, and a timer of every sort, for each key.
  struct Everything: ProcessFunction {
    private static let second = try? StateTTL(milliseconds: 1000)
    let value = ValueState<Int64>("value")
    let list = ListState<String>("list", ttl: Everything.second)
    let map = MapState<String, Double>("map")

    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      value.set((value.get() ?? 0) + 7)
      list.add("x")
      map.put("half", 0.5)
      try context.registerEventTimeTimer(50)
      try context.registerEventTimeTimer(40, name: "soon")
      try context.registerProcessingTimeTimer(60)
    }
  }

  static let schema = Schema([Field("k", .utf8), Field("v", .int64)])

  static func harness() throws -> Harness {
    let harness = try Harness(Everything(), key: "k", schema: schema, name: "everything")
    try harness.advanceProcessingTime(to: 5)
    try harness.push("a", 1, timestamp: 10)
    try harness.push("b\0c", 1, timestamp: 11)
    try harness.advanceWatermark(to: 20)
    return harness
  }

  /// `docs/design/snapshot.md` reads these bytes to the end. They are never rewritten: a change of format is a new version with
  /// a file of its own beside this one.
  static let golden = "Tests/Golden/snapshot-1.hex"

  @Test func theBytesAreThoseOfTheGoldenFile() throws {
    let hex = try SnapshotTests.hexFile(SnapshotTests.golden)
    #expect(try SnapshotTests.harness().snapshot() == hex)
    let function = Everything()
    let harness = try Harness(restoring: hex, function, keys: ["k"])
    #expect(harness.watermark == 20 && harness.processingTime == 5 && harness.records == 2)
    #expect(try harness.at("a") { function.value.get() } == 7)
    #expect(try harness.at("b\0c") { function.list.get() } == ["x"])
    #expect(try harness.at("a") { function.map["half"] } == 0.5)
    #expect(
      try harness.timers(of: "a") == [
        PendingTimer(.event, 40, name: "soon"), PendingTimer(.event, 50), PendingTimer(.processing, 60),
      ])
  }

  @Test func nothingYet() throws {
    let harness = try Harness(Everything(), key: "k")
    try harness.advanceWatermark(to: 33)
    let copy = try Harness(restoring: try harness.snapshot(), Everything(), keys: ["k"])
    #expect(copy.watermark == 33 && copy.inputSchema == nil)
  }

  /// Every single byte, and every length.
  @Test func tornAndCorruptBytesAreFound() throws {
    let bytes = try SnapshotTests.harness().snapshot()
    for length in 0..<bytes.count { expectInvalid(Array(bytes[..<length]), "cut to \(length)") }
    for position in bytes.indices {
      var broken = bytes
      broken[position] ^= 0x20
      expectInvalid(broken, "byte \(position)")
    }
    expectInvalid(bytes + [0], "one byte more")
  }

  @Test func contentThatMakesNoSenseIsFoundWhateverItsChecksum() throws {
    let bytes = try SnapshotTests.harness().snapshot()
    var rng = SeededGenerator(7)
    for _ in 0..<3000 {
      var broken = Array(bytes.dropLast(8))
      for _ in 0..<Int.random(in: 1...3, using: &rng) {
        broken[Int.random(in: 24..<broken.count, using: &rng)] = UInt8.random(in: 0...255, using: &rng)
      }
      broken += withUnsafeBytes(of: broken.withUnsafeBytes { StableHash.hash($0) }.littleEndian) { Array($0) }
      // It may happen to make sense; it must not trap.
      _ = try? Harness(restoring: broken, Everything(), keys: ["k"])
    }
  }

  private func expectInvalid(_ bytes: [UInt8], _ what: String) {
    let error = #expect(throws: EngineError.self) { try Harness(restoring: bytes, Everything(), keys: ["k"]) }
    #expect(error?.kind == .snapshotInvalid, "\(what): \(String(describing: error))")
  }

  @Test func aNewerFormatSaysSo() throws {
    var bytes = try SnapshotTests.harness().snapshot()
    bytes[8] = 3
    let error = #expect(throws: EngineError.self) { try Harness(restoring: bytes, Everything(), keys: ["k"]) }
    #expect(error?.message.contains("format version 3") == true)
  }

  // MARK: - Keys

  struct Count: ProcessFunction {
    let count = ValueState<Int64>("count")
    func onEvent(key: Key, batch: Record, row: Int, context: Context) { count.set((count.get() ?? 0) + 1) }
  }

  /// Every form of key, in two halves of the key groups and put together again.
  @Test(
    arguments: [
      ([Field("k", .int64)], [[RowValue.int(5)], [.int(-3)], [.int(.max)], [.int(.min)], [.int(0)]]),
      ([Field("k", .uint8)], [[.int(0)], [.int(255)], [.int(7)]]),
      ([Field("k", .bool)], [[.bool(true)], [.bool(false)]]),
      ([Field("k", .date64)], [[.int(86_400_000)], [.int(-86_400_000)]]),
      ([Field("k", .timestamp(.second, timezone: "UTC"))], [[.int(-1)], [.int(1_600_000_000)]]),
      ([Field("k", .utf8)], [["a"], ["a\0"], [""], ["ä"]]),
      ([Field("k", .binary)], [[.bytes([0, 1, 0])], [.bytes([])], [.bytes([255])]]),
      ([Field("k", .decimal128(precision: 10, scale: 2))], [[.bytes(Array(repeating: 255, count: 16))]]),
      ([Field("k", .int32), Field("l", .largeUtf8)], [[1, "x"], [1, "y\0z"], [-1, ""]]),
    ] as [([Field], [[RowValue]])])
  func keysOfEveryForm(_ fields: [Field], _ keys: [[RowValue]]) throws {
    let names = fields.map(\.name)
    let function = Count()
    let harness = try Harness(function, keys: names, schema: Schema(fields))
    for (times, key) in keys.enumerated() { for _ in 0...times { try push(key, harness) } }
    let bytes = try harness.snapshot()
    var owners = Array(repeating: 0, count: keys.count)
    for groups in [0..<40, 40..<128] as [Range<Int32>] {
      let function = Count()
      let half = try Harness(
        restoring: bytes, function, keys: names, groups: try KeyGroupRange(groups, of: 128))
      for (position, key) in keys.enumerated() {
        guard let count = try at(key, half, { function.count.get() }) else { continue }
        #expect(count == Int64(position + 1))
        owners[position] += 1
        try push(key, half)
        #expect(try at(key, half) { function.count.get() } == Int64(position + 2))
      }
    }
    #expect(owners.allSatisfy { $0 == 1 })
    #expect(try Harness(restoring: bytes, Count(), keys: names).snapshot() == bytes)
  }

  private func push(_ key: [RowValue], _ harness: Harness) throws {
    if key.count == 1 { try harness.push(key[0]) } else { try harness.push(key[0], key[1]) }
  }

  private func at<Result>(_ key: [RowValue], _ harness: Harness, _ body: () -> Result) throws -> Result? {
    key.count == 1 ? try harness.at(key[0], body: body) : try harness.at(key[0], key[1], body: body)
  }

  // MARK: - Another version of the function

  struct Declares: ProcessFunction {
    let states: [AnyState]
    func onEvent(key: Key, batch: Record, row: Int, context: Context) {}
  }

  private func restored(_ states: [AnyState], forgetting: [String] = [], schema: Schema? = nil) throws -> Harness {
    try Harness(
      restoring: try SnapshotTests.harness().snapshot(), Declares(states: states), keys: ["k"], states: states,
      schema: schema, forgetting: forgetting)
  }

  @Test func aDroppedStateIsKeptUntilToldOtherwise() throws {
    let added = ValueState<Int64>("added")
    let without = try restored([added])
    #expect(try without.at("a") { added.get() } == .some(nil))
    let value = ValueState<Int64>("value")
    let list = ListState<String>("list", ttl: try StateTTL(milliseconds: 1000))
    let again = try Harness(
      restoring: try without.snapshot(), Declares(states: []), keys: ["k"], states: [value, list])
    #expect(try again.at("a") { value.get() } == 7)
    #expect(try again.at("a") { list.get() } == ["x"])

    let forgetting = try restored([], forgetting: ["value", "list", "map"])
    let empty = try Harness(
      restoring: try forgetting.snapshot(), Declares(states: []), keys: ["k"], states: [value])
    #expect(try empty.at("a") { value.get() } == .some(nil))
    for name in ["nothing", "value"] {
      let error = #expect(throws: EngineError.self) { try restored([value], forgetting: [name]) }
      #expect(error?.kind == .invalidArgument && error?.message.contains("'\(name)'") == true)
    }
  }

  @Test func aStateThatChangedIsNamed() throws {
    let changed: [(AnyState, String)] = [
      (ValueState<String>("value"), "state 'value' is a value state of utf8 and was a value state of int64"),
      (ListState<Int64>("value"), "state 'value' is a list state of int64"),
      (MapState<Int64, Double>("map"), "map state of int64 to float64 and was a map state of utf8 to float64"),
      (ListState<String>("list", ttl: try StateTTL(milliseconds: 1000, domain: .event)), "TTL of state 'list'"),
    ]
    for (state, text) in changed {
      let error = #expect(throws: EngineError.self) { try restored([state]) }
      #expect(error?.kind == .snapshotMismatch && error?.message.contains(text) == true, "\(String(describing: error))")
    }
  }

  @Test func aKeyOfAnotherTypeIsNamed() throws {
    let error = #expect(throws: EngineError.self) { try restored([], schema: Schema([Field("k", .int64)])) }
    #expect(error?.kind == .snapshotMismatch)
    #expect(error?.message.contains("the key column 'k' is int64, and was utf8") == true)
    let two = #expect(throws: EngineError.self) {
      try Harness(
        restoring: try SnapshotTests.harness().snapshot(), Everything(), keys: ["k", "v"])
    }
    #expect(two?.message.contains("a key of 1 columns") == true)
    // Another column type of the same class holds the same keys.
    let wider = try restored([], schema: Schema([Field("k", .largeUtf8), Field("extra", .bool)]))
    #expect(try wider.timers(of: "a").count == 3)
  }

  // MARK: - Files

  /// The bytes of a file of hexadecimal digits, white space aside, in the package.
  static func hexFile(_ path: String) throws -> [UInt8] {
    let root = #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
    guard let file = fopen("/\(root)/\(path)", "r") else { throw Missing(path: path) }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var high: UInt8?
    while case let character = fgetc(file), character != EOF {
      guard let digit = Character(UnicodeScalar(UInt8(character))).hexDigitValue.map(UInt8.init) else { continue }
      if let first = high { bytes.append(first << 4 | digit) }
      high = high == nil ? digit : nil
    }
    return bytes
  }

  struct Missing: Error { let path: String }
}
