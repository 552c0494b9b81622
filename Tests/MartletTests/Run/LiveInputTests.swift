import Synchronization
import Testing

@testable import Martlet

/// Sources that are read as they give: order of arrival, turns, bounded reading, idleness, ends.
@Suite(.serialized) struct LiveInputTests {
  private static let schema = Schema([Field("k", .int64)])

  private final class Flag: Sendable {
    private let value = Atomic<Bool>(false)
    var isSet: Bool { value.load(ordering: .sequentiallyConsistent) }
    func set() { value.store(true, ordering: .sequentiallyConsistent) }
  }

  /// Gives batches of one number when it is allowed to; a negative allowance is without end.
  private final class Tap: Source, @unchecked Sendable {
    // Read by the job's thread or the pump's, one at a time; what both touch is atomic.
    let schema: Schema? = LiveInputTests.schema
    private var number: Int64
    private let allowed: Atomic<Int>
    let given = Atomic<Int>(0)
    let closes = Flag()
    let wasAbandoned = Flag()

    init(from first: Int64 = 0, allowed: Int = 0) {
      number = first
      self.allowed = Atomic(allowed)
    }

    func allow(_ count: Int) { allowed.wrappingAdd(count, ordering: .sequentiallyConsistent) }

    func next() throws -> RecordBatch? { try nextInBackground() }

    func nextInBackground() throws -> RecordBatch? {
      while allowed.load(ordering: .sequentiallyConsistent) == 0 {
        if closes.isSet || wasAbandoned.isSet { return nil }
        shortSleep()
      }
      if allowed.load(ordering: .sequentiallyConsistent) > 0 {
        allowed.wrappingAdd(-1, ordering: .sequentiallyConsistent)
      }
      given.wrappingAdd(1, ordering: .sequentiallyConsistent)
      defer { number += 1 }
      return try batch([Field("k", .int64)], [[.int(number)]])
    }

    func abandon() { wasAbandoned.set() }
    var count: Int { given.load(ordering: .sequentiallyConsistent) }
  }

  private struct Order: CoProcessFunction {
    let out = OutputColumn<String>("out")
    var onTime = false
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      try tell("\(context.side == .left ? "L" : "R")\(key)", context)
      if onTime { try context.registerEventTimeTimer(key.int64) }
    }
    func onTimer(key: Key, fireTime: Int64, context: Context) throws { try tell("T\(fireTime)", context) }
    func tell(_ text: String, _ context: Context) throws {
      out.set(text)
      try context.emit()
    }
  }

  private func next(_ job: Job) throws -> [String] {
    try job.next()?.rows.map { row in
      if case .bytes(let bytes) = row[0] { String(decoding: bytes, as: UTF8.self) } else { "?" }
    } ?? ["END"]
  }

  private func job(
    _ left: Tap, _ right: Tap, idle: Int64 = 0, timestamp: String? = nil, _ function: Order = Order()
  ) throws -> Job {
    let a = Stream(left, name: "left", timestamp: timestamp, isLive: true)
    let b = Stream(right, name: "right", timestamp: timestamp, isLive: true, idleTimeout: idle)
    return try connectStreams(a, b, "k", function).job()
  }

  @Test func asTheyCome() throws {
    let (left, right) = (Tap(), Tap(from: 100))
    let job = try job(left, right)
    for (tap, text) in [(right, "R100"), (left, "L0"), (left, "L1"), (right, "R101"), (left, "L2")] {
      tap.allow(1)
      #expect(try next(job) == [text])
    }
    left.closes.set()
    right.allow(1)
    #expect(try next(job) == ["R102"])
    right.closes.set()
    #expect(try next(job) == ["END"])
    #expect(job.report.recordsIn == 6)
  }

  /// A source that always has something does not keep another one waiting, and is not read ahead.
  @Test func noneStarves() throws {
    let (endless, rare) = (Tap(allowed: -1), Tap(from: 100, allowed: 1))
    let job = try job(endless, rare)
    var seen: [String] = []
    while !seen.contains("R100"), seen.count < 10_000 { seen += try next(job) }
    #expect(seen.contains("R100"))
    let lefts = seen.count { $0.hasPrefix("L") }
    // What was taken, one batch that waits and one that is being read.
    #expect(endless.count <= lefts + 2)
    for _ in 0..<50 { shortSleep() }
    #expect(endless.count <= lefts + 2)
    try job.close()
  }

  /// A side that gives nothing holds time back until its timeout, and counts again with its next record.
  @Test func idleness() throws {
    let (left, right) = (Tap(from: 10, allowed: 3), Tap(from: 100))
    let begin = monotonicMilliseconds()
    let job = try job(left, right, idle: 500, timestamp: "k", Order(onTime: true))
    var seen: [String] = []
    while !seen.contains("T10") { seen += try next(job) }
    // Long enough for the other side's records to come before it also on a busy machine.
    #expect(monotonicMilliseconds() - begin >= 500)
    #expect(seen == ["L10", "L11", "L12", "T10", "T11"] || seen == ["L10", "L11", "L12", "T10"])
    right.allow(1)
    while !seen.contains("R100") { seen += try next(job) }
    left.allow(1)
    while !seen.contains("T12") { seen += try next(job) }
    #expect(seen.filter { !$0.hasPrefix("T1") } == ["L10", "L11", "L12", "R100", "L13"])
    left.closes.set()
    right.closes.set()
    var rest: [String] = []
    while rest.last != "END" { rest += try next(job) }
    #expect(rest == ["T13", "T100", "END"])
  }

  /// A live source beside a bounded one whose records come first where it is a broadcast's rules.
  @Test func boundedRulesComeFirst() throws {
    struct Rules: BroadcastProcessFunction {
      let rules = BroadcastState<Int64, Int64>("rules")
      let out = OutputColumn<String>("out")
      func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
        out.set("E\(key) \(rules.count)")
        try context.emit()
      }
      func onBroadcast(batch: Record, row: Int, context: Context) throws { try rules.put(try batch.int64("k")!, 1) }
    }
    let live = Tap(allowed: 2)
    let rules = try batches([Field("k", .int64)], (0..<20_000).map { [.int($0)] }, sizes: [5000])
    let job = try broadcastStream(
      Stream(live, isLive: true), Stream(ListSource(rules)).broadcast(BroadcastState<Int64, Int64>("rules")), key: "k",
      Rules()
    ).job()
    #expect(try next(job) == ["E0 20000"])
    #expect(try next(job) == ["E1 20000"])
    live.closes.set()
    #expect(try next(job) == ["END"])
  }

  /// The end of a job does not wait for sources that do.
  @Test func closingWhileBothWait() throws {
    let (left, right) = (Tap(allowed: 1), Tap(from: 100))
    let job = try job(left, right)
    #expect(try next(job) == ["L0"])
    struct Stop: Error {}
    var polls = 0
    job.poll = {
      polls += 1
      if polls == 3 { throw Stop() }
    }
    #expect(throws: Stop.self) { try job.next() }
    #expect(left.wasAbandoned.isSet && right.wasAbandoned.isSet)
  }
}
