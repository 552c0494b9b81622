import Synchronization
import Testing

@testable import Martlet

/// Who is called when: open, the records, close.
@Suite struct LifecycleTests {
  final class Log { var entries: [String] = [] }
  struct Failure: Error {}

  /// Notes every call; fails in the one named.
  struct Noting: ProcessFunction {
    let name: String
    let log: Log
    var failing = ""
    func open(context: Context) throws { try note("open", context) }
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      try note("event", context)
      try context.emit(batch)
    }
    func close(context: Context) throws { try note("close", context) }
    func willProcess(batch: RecordBatch?, context: Context) throws { try note("will", context) }
    func didProcess(context: Context) { log.entries.append("\(name).did") }
    private func note(_ call: String, _ context: Context) throws {
      #expect((context.key != nil) == (call == "event"))
      log.entries.append("\(name).\(call)")
      if call == failing { throw Failure() }
    }
  }

  private func job(_ functions: [Noting], rows: Int = 2, batches count: Int = 1) throws -> Job {
    let job = Job()
    let rows = (0..<rows).map { [Value.int(Int64($0))] }
    try job.addSource(ListSource(try (0..<count).map { _ in try batch([Field("k", .int64)], rows) }))
    for function in functions { try job.addProcess(ProcessSpec(function.name, by: "k", function)) }
    return job
  }

  @Test func wholeLife() throws {
    let log = Log()
    let job = try job([Noting(name: "a", log: log), Noting(name: "b", log: log)])
    #expect(job.drain().rows.count == 2)
    #expect(
      log.entries == [
        "a.open", "a.will", "a.event", "a.event", "a.did", "b.open", "b.will", "b.event", "b.event", "b.did", "b.close",
        "a.close",
      ])
    try job.close()
    #expect(log.entries.count == 12, "closing again does nothing")
  }

  /// Without a record every function is opened and closed all the same.
  @Test(arguments: [0, 1])
  func emptyInput(batches: Int) throws {
    let log = Log()
    let job = try job([Noting(name: "a", log: log), Noting(name: "b", log: log)], rows: 0, batches: batches)
    #expect(job.drain().rows.isEmpty)
    #expect(
      log.entries.filter { !$0.hasSuffix("will") && !$0.hasSuffix("did") } == [
        "a.open", "b.open", "b.close", "a.close",
      ])
  }

  @Test(arguments: ["open", "will", "event"])
  func closedAfterFailure(call: String) throws {
    let log = Log()
    let job = try job([Noting(name: "a", log: log), Noting(name: "b", log: log, failing: call)])
    let (rows, error) = job.drain()
    #expect(rows.isEmpty)
    let failure = try #require(error as? ProcessFunctionError)
    #expect(failure.operatorName == "b" && failure.underlying is Failure)
    #expect(failure.record == (call == "event" ? 0 : nil) && failure.key == (call == "event" ? "0" : nil))
    #expect(log.entries.suffix(2) == ["b.close", "a.close"])
    #expect(log.entries.count { $0 == "b.will" } == log.entries.count { $0 == "b.did" } + (call == "will" ? 1 : 0))
    #expect(throws: EngineError.self) { try job.next() }
    try job.close()
    #expect(log.entries.count { $0.hasSuffix("close") } == 2)
  }

  /// An error of `close` comes at the end, once, and does not keep others from being closed.
  @Test func failingClose() throws {
    let log = Log()
    let job = try job([Noting(name: "a", log: log), Noting(name: "b", log: log, failing: "close")])
    let (rows, error) = job.drain()
    #expect(rows.count == 2 && (error as? ProcessFunctionError)?.operatorName == "b")
    #expect(log.entries.suffix(2) == ["b.close", "a.close"])
  }

  @Test func closingEarly() throws {
    let log = Log()
    let job = try job([Noting(name: "a", log: log)], batches: 3)
    #expect(try job.next()?.numRows == 2)
    try job.close()
    #expect(log.entries == ["a.open", "a.will", "a.event", "a.event", "a.did", "a.close"])
    let error = #expect(throws: EngineError.self) { try job.next() }
    #expect(error?.kind == .closed)
  }

  @Test func droppingAJobClosesIt() throws {
    let log = Log()
    do {
      let job = try job([Noting(name: "a", log: log)], batches: 3)
      _ = try job.next()
    }
    #expect(log.entries.last == "a.close")
  }

  @Test func closingBeforeTheStart() throws {
    let log = Log()
    try job([Noting(name: "a", log: log)]).close()
    #expect(log.entries.isEmpty)
  }

  @Test func reentrantUseIsRefused() throws {
    final class Loop { var job: Job? }
    struct Reentrant: ProcessFunction {
      let loop: Loop
      func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
        let close = #expect(throws: EngineError.self) { try loop.job?.close() }
        #expect(close?.kind == .busy)
        _ = try loop.job?.next()
      }
    }
    let loop = Loop()
    let job = Job(name: "loop")
    try job.addSource(ListSource([try batch([Field("k", .int64)], [[.int(1)]])]))
    try job.addProcess(ProcessSpec("reentrant", by: "k", Reentrant(loop: loop)))
    loop.job = job
    let error = job.drain().error as? EngineError
    loop.job = nil
    #expect(error?.kind == .busy && error?.operatorName == "reentrant" && error.says("'loop'"))
  }

  @Test func buildingMistakes() throws {
    func kind(_ body: () throws -> Void) -> EngineError.Kind? {
      do { try body() } catch { return (error as? EngineError)?.kind }
      return nil
    }
    let log = Log()
    let spec = try ProcessSpec("a", by: "k", Noting(name: "a", log: log))
    #expect(kind { try Job().addProcess(spec) } == .invalidArgument)
    #expect(kind { _ = try Job().next() } == .invalidArgument)
    let source = ListSource([])
    let job = Job()
    #expect(kind { try job.addSource(source, maxOutOfOrderness: -1) } == .invalidArgument)
    try job.addSource(source)
    var keyless = spec
    keyless.keyColumns = []
    #expect(kind { try job.addProcess(keyless) } == .invalidArgument)
    #expect(try job.next() == nil)
    #expect(kind { try job.addProcess(spec) } == .closed)
  }

  /// A stream without functions gives its input; a described stream runs afresh each time.
  @Test func streams() throws {
    let rows = (0..<10_000).map { [Value.int($0)] }
    let input = try batches([Field("k", .int64)], rows, sizes: [700])
    #expect(try Stream(BatchSource(input)).rows() == rows)
    let log = Log()
    let stream = applyProcessFunction(Stream(BatchSource(input)), "k", Noting(name: "a", log: log), name: "named")
    #expect(try stream.rows() == rows && stream.rows() == rows)
    #expect(log.entries.count { $0 == "a.open" } == 2 && log.entries.count { $0 == "a.event" } == 20_000)
  }
}
