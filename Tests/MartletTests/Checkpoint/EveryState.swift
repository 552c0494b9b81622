@testable import Martlet

/// A function with every kind of state, which does to them what its records say: keys are `k` and `s`, or one of them.
struct EveryState: BroadcastProcessFunction {
  let value = ValueState<Int64>("value")
  let text = ValueState<String>("text")
  let flag = ValueState<Bool>("flag")
  let list = ListState<String>("list")
  let numbers = ListState<Double>("numbers")
  let map = MapState<String, Int64>("map")
  let counts = MapState<UInt64, String>("counts")
  let sum = ReducingState<Int64>("sum", .sum)
  let joined: AggregatingState<String, String, String>
  let brief: ValueState<Int64>
  let briefList: ListState<Int64>
  let briefMap: MapState<Int64, String>
  let rules = BroadcastState<String, Int64>("rules")
  let op = InputColumn<Int64>("op")
  let arg = InputColumn<Int64>("arg")

  static let fields = [Field("k", .int64), Field("s", .utf8), Field("op", .int64), Field("arg", .int64)]
  static let schema = Schema(fields)

  init() throws {
    let processing = try StateTTL(milliseconds: 1_000_000)
    let event = try StateTTL(milliseconds: 1_000_000, domain: .event, refreshesOnRead: true)
    joined = AggregatingState("joined", create: { "" }, add: { $0 + $1 }, result: { $0 })
    brief = ValueState("brief", ttl: processing)
    briefList = ListState("briefList", ttl: event)
    briefMap = MapState("briefMap", ttl: processing)
  }

  func onBroadcast(batch: Record, row: Int, context: Context) throws {
    let arg = batch[arg] ?? 0
    for rule in 0..<(arg % 7) { try rules.put("rule \(rule + arg % 5)", arg) }
    if arg % 11 == 0 { try rules.remove("rule 1") }
  }

  func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
    let arg = batch[arg] ?? 0
    let name = "n\(arg % 17)" + (arg % 3 == 0 ? " with a name longer than twelve" : "")
    switch batch[op] ?? 0 {
    case 0: value.set(arg)
    case 1: text.set(name)
    case 2: flag.set(arg % 2 == 0)
    case 3, 4: list.extend((0...(arg % 5)).map { "\(name)\($0)" })
    case 5: numbers.extend((0...(arg % 9)).map { Double($0) / 3 })
    case 6, 7: for index in 0...(arg % 6) { map.put("\(name)\(index)", arg) }
    case 8: map.remove("\(name)0")
    case 9: for index in 0...UInt64(arg % 9) { counts.put(UInt64.max / 2 + 4 - index, name) }
    case 10: try sum.add(arg)
    case 11: try joined.add(name)
    case 12: brief.set(arg)
    case 13: briefList.extend([arg, -arg])
    case 14: for index in 0..<(arg % 7) { briefMap.put(3 - index, name) }
    case 15: _ = briefList.get()
    case 16: try context.registerEventTimeTimer(100_000 + arg)
    case 17: try context.registerProcessingTimeTimer(100_000 + arg, name: "p\(arg % 3)")
    case 18: try context.registerEventTimeTimer(100_000 + arg % 3, name: name)
    case 19: try context.deleteTimer(name)
    case 20 where arg % 3 == 0: clearAll()
    default: break
    }
  }

  private func clearAll() {
    value.clear()
    text.clear()
    flag.clear()
    list.clear()
    numbers.clear()
    map.clear()
    counts.clear()
    sum.clear()
    joined.clear()
    brief.clear()
    briefList.clear()
    briefMap.clear()
  }
}

/// The function in one instance without a store, and in several with one store each, or one for all.
final class EveryStateRig {
  struct Shape {
    var key = "k"
    var instances: Int32 = 1
    var hasOwnStores = true
    var memory = 1 << 30
    var largeAbove = 4
    var listChunk = 3
  }

  static let groups: Int32 = 16
  static let families = ["states", "timers"]
  static let operatorNumber: UInt16 = 5
  let shape: Shape
  let directory: TemporaryDirectory
  let plain: Harness
  private(set) var stored: [Harness] = []
  private(set) var parts: [StoredPart] = []
  private var time: Int64 = 0

  init(_ backend: any StoreBackend, _ shape: Shape) throws {
    self.shape = shape
    directory = try TemporaryDirectory()
    plain = try Harness(broadcasting: EveryState(), key: shape.key, name: "every")
    for instance in 0..<shape.instances {
      let shared = shape.hasOwnStores ? nil : parts.first?.store
      let store =
        try shared
        ?? backend.open(StoreOptions(directory("store-\(instance)"), families: EveryStateRig.families))
      parts.append(try EveryStateRig.part(store, instance, of: shape.instances))
      stored.append(try harness(parts[Int(instance)], writesBroadcast: shared == nil))
    }
    try open(plain)
    for harness in stored { try open(harness) }
  }

  static func part(_ store: any KeyValueStore, _ instance: Int32, of instances: Int32) throws -> StoredPart {
    let range = KeyGroup.range(instance: instance, parallelism: instances, maxParallelism: groups)
    return StoredPart(
      store: store, states: StoreFamily(0), timers: StoreFamily(1), groups: try KeyGroupRange(range, of: groups))
  }

  /// An instance over a part, not open.
  func harness(_ part: StoredPart, writesBroadcast: Bool = true) throws -> Harness {
    let harness = try Harness(broadcasting: EveryState(), key: shape.key, name: "every")
    var binding = StoreBinding(
      part.store, states: part.states, timers: part.timers, operatorNumber: EveryStateRig.operatorNumber,
      stateNumbers: numbers, groups: part.groups, memoryLimit: shape.memory)
    binding.largeAbove = shape.largeAbove
    binding.listChunk = shape.listChunk
    binding.writesBroadcast = writesBroadcast
    harness.process.attach(binding)
    return harness
  }

  func open(_ harness: Harness) throws {
    try harness.open(.left, EveryState.schema)
    try harness.open(.right, EveryState.schema)
  }

  /// Under which each state is kept: not in the order in which they are declared.
  var numbers: [UInt16] { plain.process.descriptors.indices.map { UInt16(100 - 3 * $0) } }

  func push(_ random: inout SeededGenerator, records: Int, keys: Int64 = 40) throws {
    for _ in 0..<records {
      time += Int64.random(in: 0...3, using: &random)
      let key = Int64.random(in: -5..<keys, using: &random)
      let row: [Value] = [
        .int(key), .text(key % 7 == 0 ? "" : "s\u{0}\(key)"), .int(Int64.random(in: 0...20, using: &random)),
        .int(Int64.random(in: 0..<1000, using: &random)),
      ]
      let batch = try batch(EveryState.fields, [row])
      let isRule = random.chance(4)
      for harness in [plain] + (isRule ? stored : [stored[owner(row)]]) {
        try harness.advanceProcessingTime(to: time)
        try harness.push(isRule ? .right : .left, batch, timestamp: .at(time))
      }
    }
    for harness in [plain] + stored {
      try harness.advanceProcessingTime(to: time)
      try harness.advanceWatermark(to: time - 10)
    }
  }

  private func owner(_ row: [Value]) -> Int {
    var bytes: [UInt8] = []
    switch (shape.key, row[0], row[1]) {
    case ("k", .int(let key), _): KeyEncoding.append(integer: key, .signed, to: &bytes)
    case (_, _, .bytes(let key)):
      key.withUnsafeBytes { KeyEncoding.append(bytes: $0, .utf8, to: &bytes) }
    default: break
    }
    let group = KeyGroup(hash: bytes.withUnsafeBytes { StableHash.hash($0) }, maxParallelism: EveryStateRig.groups)
    return Int(group.instance(parallelism: shape.instances, maxParallelism: EveryStateRig.groups))
  }

  func flush() throws {
    for (harness, part) in zip(stored, parts) {
      let batch = WriteBatch()
      try harness.process.flush(into: batch)
      try part.store.write(batch, .process)
      harness.process.didCommit()
    }
  }

  func close() throws {
    for harness in stored { try harness.close() }
    for part in parts { try part.store.close() }
  }

  /// All keys of the instance without a store.
  func expected() throws -> [SnapshotKey] {
    let block = SnapshotBytes(try plain.snapshot())
    defer { withExtendedLifetime(block) {} }
    var reader = try SnapshotReader(block.bytes)
    var keys: [SnapshotKey] = []
    while let key = try reader.next() { keys.append(key) }
    return keys
  }

  func reader(_ parts: [StoredPart]) throws -> StoredSnapshotReader {
    let block = SnapshotBytes(try plain.snapshot())
    defer { withExtendedLifetime(block) {} }
    return try StoredSnapshotReader(
      parts, SnapshotReader(block.bytes).header, operatorNumber: EveryStateRig.operatorNumber, stateNumbers: numbers)
  }

  func keys(of parts: [StoredPart]) throws -> [SnapshotKey] {
    var reader = try reader(parts)
    var keys: [SnapshotKey] = []
    while let key = try reader.next() { keys.append(key) }
    return keys
  }
}

/// Where the two differ first; nil if they do not.
func difference(_ keys: [SnapshotKey], _ expected: [SnapshotKey]) -> String? {
  for (key, other) in zip(keys, expected) {
    if key.key != other.key { return "key \(key.key) instead of \(other.key)" }
    if key.timers != other.timers { return "key \(key.key): \(key.timers) instead of \(other.timers)" }
    if key.entries.map(\.state) != other.entries.map(\.state) {
      return "key \(key.key): states \(key.entries.map(\.state)) instead of \(other.entries.map(\.state))"
    }
    for (entry, expected) in zip(key.entries, other.entries) where entry.bytes != expected.bytes {
      return "key \(key.key), state \(entry.state): \(entry.bytes) instead of \(expected.bytes)"
    }
  }
  return keys.count == expected.count ? nil : "\(keys.count) keys instead of \(expected.count)"
}
