import MartletRocksDB
import Testing

@testable import Martlet

/// Random programs over every kind of state, with timers, TTL and failing calls: in memory alone, and over a store with tiny limits, with
/// flushes, new lives and other splits of the key groups at random places. What calls see and what is left must be the same.
@Suite struct StoredProgramTests {
  final class Log {
    var lines: [Int64: [String]] = [:]
    var ends: [Int64] = []
  }

  struct Program: EndOfInputFunction {
    let log: Log
    let value = ValueState<Int64>("value")
    let text = ValueState<String>("text")
    let list = ListState<String>("list")
    let map = MapState<String, Int64>("map")
    let sum = ReducingState<Int64>("sum", .sum)
    let numbers = MapState<UInt64, String>("numbers")
    let brief: ValueState<Int64>
    let briefList: ListState<Int64>
    let briefMap: MapState<Int64, String>
    let op = InputColumn<Int64>("op")
    let arg = InputColumn<Int64>("arg")

    static let fields = [Field("k", .int64), Field("op", .int64), Field("arg", .int64)]
    struct Planned: Error {}

    init(_ log: Log, refreshes: Bool) throws {
      self.log = log
      let ttl = try StateTTL(milliseconds: 40, refreshesOnRead: refreshes)
      brief = ValueState("brief", ttl: ttl)
      briefList = ListState("briefList", ttl: ttl)
      briefMap = MapState("briefMap", ttl: ttl)
    }

    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      let arg = batch[arg]!
      let op = batch[op]!
      let name = "n\(arg % 17)" + (arg % 3 == 0 ? " with a name longer than twelve" : "")
      func say(_ what: Any) { log.lines[key.int64, default: []].append("\(op): \(what)") }
      switch op % 30 {
      case 0: value.set((value.get() ?? 0) + arg)
      case 1: value.clear()
      case 2: text.set(String(repeating: "t", count: Int(arg % 40)))
      case 3, 4, 5: list.extend((0...(arg % 5)).map { "\(name)\($0)" })
      case 6: if arg % 4 == 0 { list.clear() }
      case 7: say(list.get())
      case 8, 9, 10: for index in 0...(arg % 6) { map.put("\(name)\(index)", arg) }
      case 11: map.remove("\(name)0")
      case 12: say(map.range("n1", nil).map { "\($0.key)=\($0.value)" })
      case 13: if arg % 5 == 0 { map.clear() }
      case 14: try sum.add(arg)
      case 15: for index in 0...UInt64(arg % 9) { numbers.put(UInt64.max - index, name) }
      case 16: say(numbers.entries().map { "\($0.key)=\($0.value)" })
      case 17: brief.set(arg)
      case 18: say(brief.get() as Any)
      case 19, 20: briefList.extend([arg, arg + 1])
      case 21: say(briefList.get())
      case 22: for index in 0..<(arg % 7) { briefMap.put(arg + index, name) }
      case 23: say(briefMap.entries().map { "\($0.key)=\($0.value)" })
      case 24: try context.registerEventTimeTimer((context.timestamp ?? 0) + arg % 30)
      case 25: try context.registerProcessingTimeTimer(context.processingTime + arg % 30, name: "p\(arg % 3)")
      case 26: try context.deleteEventTimeTimer((context.timestamp ?? 0) + arg % 30)
      case 27: say("\(value.get() as Any) \(text.get() as Any) \(sum.get() as Any) \(map.count) \(list.count)")
      case 28: if arg % 6 == 0 { clearAll() }
      default: break
      }
      if arg % 11 == 3 {
        list.add("lost")
        map.clear()
        map.put("lost", 1)
        briefList.clear()
        if arg % 2 == 0 { throw Planned() }
      }
    }

    private func clearAll() {
      value.clear()
      text.clear()
      list.clear()
      map.clear()
      sum.clear()
      numbers.clear()
      brief.clear()
      briefList.clear()
      briefMap.clear()
    }

    func onTimer(key: Key, fireTime: Int64, context: Context) throws {
      log.lines[key.int64, default: []].append(
        "timer \(fireTime) \(context.timerName ?? ""): \(value.get() as Any) \(list.count) \(map.entries().count)")
      value.set(fireTime)
      if fireTime % 7 == 0 { try context.registerEventTimeTimer(fireTime + 13) }
      if fireTime % 5 == 0 { clearAll() }
      if fireTime % 9 == 0 { throw Planned() }
    }

    func onEnd(key: Key, context: Context) throws {
      // Whether a key that has only what has expired still counts is up to the sweep.
      guard value.exists() || text.exists() || list.count + map.count + numbers.entries().count > 0 || sum.get() != nil
      else {
        return
      }
      log.ends.append(key.int64)
      log.lines[key.int64, default: []].append("end: \(value.get() as Any) \(list.get()) \(map.count)")
      if key.int64 % 3 == 0 { value.set(1) }
      if key.int64 % 5 == 0 { clearAll() }
    }
  }

  struct Step {
    var rows: [[Value]]
    var times: [Int64]
    var watermark: Int64
    var clock: Int64
  }

  private func steps(_ random: inout SeededGenerator) -> [Step] {
    var now: Int64 = 0
    let keys: Int64 = random.chance(50) ? 30 : 200
    return (0..<120).map { _ in
      let count = Int.random(in: 0...40, using: &random)
      let rows: [[Value]] = (0..<count).map { _ in
        [
          .int(Int64.random(in: -2..<keys, using: &random)), .int(Int64.random(in: 0..<30, using: &random)),
          .int(Int64.random(in: 0..<1000, using: &random)),
        ]
      }
      now += Int64.random(in: 0...8, using: &random)
      return Step(
        rows: rows, times: rows.map { _ in now + Int64.random(in: 0...9, using: &random) }, watermark: now, clock: now)
    }
  }

  enum Kind: CaseIterable { case memory, rocksdb }

  @Test(arguments: Kind.allCases, UInt64(1)...12)
  func programs(kind: Kind, seed: UInt64) throws {
    var random = SeededGenerator(seed)
    let steps = steps(&random)
    let refreshes = random.chance(30)
    let schema = Schema(Program.fields)
    let plainLog = Log()
    let storedLog = Log()
    let plain = try StoredRig(nil, schema) {
      try ProcessSpec("program", by: "k", try Program(plainLog, refreshes: refreshes))
    }
    let stored = try StoredRig(kind == .memory ? MemoryStoreBackend() : RocksDBBackend(), schema) {
      try ProcessSpec("program", by: "k", try Program(storedLog, refreshes: refreshes))
    }
    stored.limits.memory = [1, 3_000, 20_000, 1 << 30][Int.random(in: 0..<4, using: &random)]
    stored.limits.largeAbove = [1, 4, 9][Int.random(in: 0..<3, using: &random)]
    stored.limits.listChunk = Int.random(in: 1...6, using: &random)
    try plain.open()
    try stored.open(split(&random))
    let flushesRarely = random.chance(50)
    for (number, step) in steps.enumerated() {
      for rig in [plain, stored] {
        try rig.push(Program.fields, step.rows, times: step.times, watermark: step.watermark)
        try rig.tick(to: step.clock)
      }
      if random.chance(flushesRarely ? 8 : 45) { try stored.flush() }
      if random.chance(8) { try stored.reopen(split(&random)) }
      if random.chance(5) { #expect(try stored.content() == plain.content(), "seed \(seed), step \(number)") }
      guard storedLog.lines == plainLog.lines else {
        let key = plainLog.lines.keys.first { storedLog.lines[$0] != plainLog.lines[$0] } ?? 0
        Issue.record(
          "seed \(seed), step \(number), key \(key): \(storedLog.lines[key]?.last ?? "") and not \(plainLog.lines[key]?.last ?? "")"
        )
        return
      }
    }
    #expect(try stored.content() == plain.content(), "seed \(seed)")
    try plain.end()
    try stored.reopen([0])
    try stored.end()
    #expect(storedLog.lines == plainLog.lines && storedLog.ends == plainLog.ends, "seed \(seed)")
    #expect(try stored.content() == plain.content(), "seed \(seed), after the end")
    try stored.reopen([0, 5])
    #expect(try stored.content() == plain.content(), "seed \(seed), after another life")
  }

  private func split(_ random: inout SeededGenerator) -> [Int32] {
    [[0], [0, 8], [0, 3, 4, 15]][Int.random(in: 0..<3, using: &random)]
  }
}
