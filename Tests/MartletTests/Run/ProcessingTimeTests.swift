import Synchronization
import Testing

@testable import Martlet

/// Processing time through whole jobs, most of them with a clock that is set by hand.
@Suite struct ProcessingTimeTests {
  private struct Boom: Error, Equatable { var at: Int64 }

  /// Set by one thread, seen by another.
  private final class Flag: Sendable {
    private let value = Atomic<Bool>(false)
    var isSet: Bool { value.load(ordering: .sequentiallyConsistent) }
    func set() { value.store(true, ordering: .sequentiallyConsistent) }
  }

  private static let fields = [Field("k", .utf8), Field("pt", .int64)]

  /// Sets the clock before each batch, as a source that comes at its own times would be seen.
  private final class Timed: Source {
    let schema: Schema? = Schema(ProcessingTimeTests.fields)
    private var steps: [(Int64, RecordBatch)]
    private let clock: ManualClock
    private let last: Int64

    init(_ steps: [(Int64, [String])], end: Int64 = 0, _ clock: ManualClock) throws {
      self.clock = clock
      last = end
      self.steps = try steps.map { time, keys in
        (time, try batch(ProcessingTimeTests.fields, keys.map { [.text($0), .int(time)] }))
      }
    }

    func next() throws -> RecordBatch? {
      guard !steps.isEmpty else {
        if last > clock.now() { try clock.advance(to: last) }
        return nil
      }
      let (time, batch) = steps.removeFirst()
      try clock.advance(to: time)
      return batch
    }
  }

  /// Tells what it sees as "key:what@time", and sets a timer 10 ms after each record.
  private struct Watch: EndOfInputFunction {
    let out = OutputColumn<String>("k")
    var ends = true
    var wantsEnd: Bool { ends }

    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      #expect(context.timerDomain == nil && context.timerName == nil)
      try say("\(key.string):event@\(context.processingTime)", context)
      try context.registerProcessingTimeTimer(context.processingTime + 10)
    }

    func onTimer(key: Key, fireTime: Int64, context: Context) throws {
      #expect(context.timerDomain == .processing && context.timestamp == nil && context.recordNumber == nil)
      try say("\(key.string):\(fireTime)@\(context.processingTime)", context)
      if fireTime < 20 { try context.registerProcessingTimeTimer(fireTime + 5) }
    }

    func onEnd(key: Key, context: Context) throws {
      #expect(context.watermark == EventTime.max && context.timestamp == nil && context.timerDomain == nil)
      try say("\(key.string):end", context)
    }

    private func say(_ text: String, _ context: Context) throws {
      out.set(text)
      try context.emit()
    }
  }

  private func run(
    _ steps: [(Int64, [String])], end: Int64 = 0, _ atEnd: TimersAtEnd, ends: Bool = false
  ) throws -> (text: String, report: JobReport) {
    let clock = ManualClock()
    let job = Job(clock: clock, atEnd: atEnd)
    try job.addSource(try Timed(steps, end: end, clock))
    var watch = Watch()
    watch.ends = ends
    try job.addProcess(ProcessSpec("watch", by: "k", watch))
    let (rows, error) = job.drain(minRows: 100)
    #expect(error == nil)
    return (rows.map { $0[0].plain }.joined(separator: " "), job.report)
  }

  @Test func overdueTimersFireBeforeTheNextRecord() throws {
    let (text, report) = try run([(0, ["a", "b"]), (12, ["a"])], .drop)
    #expect(text == "a:event@0 b:event@0 a:10@12 b:10@12 a:event@12")
    #expect(report.timersFired == 2 && report.processingTimersFired == 2 && report.timersPending == 0)
  }

  /// Overdue ones registered by a firing timer fire in the same pass.
  @Test func inTheSamePass() throws {
    #expect(try run([(0, ["a"]), (17, ["b"])], .drop).text == "a:event@0 a:10@17 a:15@17 b:event@17")
  }

  @Test func atTheEnd() throws {
    #expect(
      try run([(0, ["b", "a"])], .fire).text == "b:event@0 a:event@0 a:10@10 b:10@10 a:15@15 b:15@15 a:20@20 b:20@20")
    #expect(try run([(0, ["a"])], .drop).text == "a:event@0")
    let (text, report) = try run([(0, ["a"])], .keep)
    #expect(text == "a:event@0")
    #expect(report.timersPending == 1 && report.processingTimersPending == 1)
    // Those that the clock has passed by then are not "pending at the end".
    #expect(try run([(0, ["a"])], end: 11, .drop).text == "a:event@0 a:10@11")
  }

  @Test func keysThatStillHaveTimersAreEnded() throws {
    #expect(try run([(0, ["b", "a"])], .keep, ends: true).text == "b:event@0 a:event@0 a:end b:end")
    #expect(try run([(0, ["b", "a"])], .drop, ends: true).text == "b:event@0 a:event@0")
  }

  /// In a chain too, where a timer fires does not depend on how the input is cut.
  @Test func chainsDoNotDependOnBatches() throws {
    struct MovesClock: ProcessFunction {
      let clock: ManualClock
      func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
        try clock.advance(to: clock.now() + 4)
        try context.emit(batch)
      }
    }
    let rows: [[Value]] = (0..<20).map { [.text(["a", "b", "c"][$0 % 3]), .int(0)] }
    var results: [[String]] = []
    for sizes in [[1], [20], [3, 7]] {
      let clock = ManualClock()
      let job = Job(clock: clock, atEnd: .fire)
      try job.addSource(BatchSource(try batches(ProcessingTimeTests.fields, rows, sizes: sizes)))
      try job.addProcess(ProcessSpec("mover", by: "k", MovesClock(clock: clock)))
      var watch = Watch()
      watch.ends = false
      try job.addProcess(ProcessSpec("watch", by: "k", watch))
      results.append(job.drain(minRows: 1000).rows.map { $0[0].plain })
    }
    #expect(results[0] == results[1] && results[1] == results[2])
    #expect(results[0].contains { $0.hasPrefix("a:14@") })
  }

  /// A source that waits until it is told to go on.
  private final class Gate: Source, @unchecked Sendable {
    // The batches are touched by whoever reads, one at a time; the rest is atomic.
    let schema: Schema? = Schema(ProcessingTimeTests.fields)
    private var batches: [RecordBatch]
    private let failure: (any Error)?
    let mayPass = Flag()
    let isWaiting = Flag()
    let wasAbandoned = Flag()
    let ended: Flag

    init(_ keys: [String], then failure: (any Error)? = nil, _ ended: Flag = Flag()) throws {
      batches = try keys.map { try batch(ProcessingTimeTests.fields, [[.text($0), .int(0)]]) }
      self.failure = failure
      self.ended = ended
    }

    deinit { ended.set() }

    func next() throws -> RecordBatch? { try nextInBackground() }

    func nextInBackground() throws -> RecordBatch? {
      if batches.count == 1 {
        isWaiting.set()
        while !mayPass.isSet { shortSleep() }
        if let failure { throw failure }
      }
      return batches.isEmpty ? nil : batches.removeFirst()
    }

    func abandon() { wasAbandoned.set() }
  }

  private struct Soon: ProcessFunction {
    let out = OutputColumn<String>("k")
    var gate: Gate?
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      if key.string != "quiet" { try context.registerProcessingTimeTimer(context.processingTime + 5) }
      out.set("\(key.string):event")
      try context.emit()
    }
    func onTimer(key: Key, fireTime: Int64, context: Context) throws {
      #expect(fireTime <= context.processingTime)
      out.set("\(key.string):timer")
      try context.emit()
      gate?.mayPass.set()
    }
  }

  private func gated(_ gate: Gate, opens: Bool) throws -> Job {
    let job = Job(atEnd: .drop)
    try job.addSource(gate)
    var soon = Soon()
    soon.gate = opens ? gate : nil
    try job.addProcess(ProcessSpec("soon", by: "k", soon))
    return job
  }

  /// The source only goes on once the timer has fired, so this ends only if timers fire while the source waits.
  @Test func timersFireWhileTheSourceWaits() throws {
    let job = try gated(try Gate(["a", "quiet"]), opens: true)
    let (rows, error) = job.drain()
    #expect(error == nil)
    #expect(rows.map { $0[0].plain } == ["a:event", "a:timer", "quiet:event"])
  }

  /// The source only goes on once what has expired is gone, which nobody touches.
  @Test func expiredStateGoesWhileTheSourceWaits() throws {
    struct Keeps: ProcessFunction {
      let values = ValueState<Int64>("values", ttl: try! StateTTL(milliseconds: 5))
      let lists = ListState<String>("lists", ttl: try! StateTTL(milliseconds: 5))
      let maps = MapState<String, Int64>("maps", ttl: try! StateTTL(milliseconds: 5))
      func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
        values.set(1)
        lists.extend(["one", "two"])
        maps.put(key.string, 2)
        // So that the job wakes now and then; it stays pending.
        try context.registerProcessingTimeTimer(context.processingTime + 3_600_000)
      }
    }
    let gate = try Gate(["a", "b", "c"])
    let job = Job(atEnd: .keep)
    try job.addSource(gate)
    try job.addProcess(ProcessSpec("keeps", by: "k", Keeps()))
    var entries: [Int64] = []
    job.poll = { [unowned job] in
      guard gate.isWaiting.isSet else { return }
      entries.append(job.report.stateEntries)
      if entries.last == 0 { gate.mayPass.set() }
    }
    let (_, error) = job.drain()
    #expect(error == nil && entries.last == 0 && job.report.timersPending == 3)
  }

  @Test func anErrorOfTheSourceReachesTheJobsThread() throws {
    let job = try gated(try Gate(["a", "b"], then: Boom(at: 3)), opens: true)
    let (rows, error) = job.drain()
    #expect(rows.count == 2 && error as? Boom == Boom(at: 3))
  }

  @Test func pollingStopsTheJob() throws {
    let ended = Flag()
    let gate = try Gate(["a", "b"], ended)
    let job = try gated(gate, opens: false)
    job.poll = { if gate.isWaiting.isSet { throw Boom(at: 1) } }
    let (_, error) = job.drain(minRows: 100)
    #expect(error as? Boom == Boom(at: 1))
    #expect(gate.wasAbandoned.isSet)
    gate.mayPass.set()
  }

  /// A job does not wait for a source that does not come back; the source ends when it does.
  @Test func closingWhileTheSourceWaits() throws {
    let ended = Flag()
    var gate: Gate? = try Gate(["a", "b"], ended)
    let job = try gated(gate!, opens: false)
    #expect(try job.next()?.numRows == 1)
    #expect(try job.next()?.numRows == 1)  // The timer, while the source waits.
    while !gate!.isWaiting.isSet { shortSleep() }
    try job.close()
    #expect(gate!.wasAbandoned.isSet)
    #expect(!ended.isSet)
    gate!.mayPass.set()
    gate = nil
    while !ended.isSet { shortSleep() }
  }
}
