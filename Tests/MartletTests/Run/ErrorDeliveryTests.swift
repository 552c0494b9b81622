import Testing

@testable import Martlet

/// An error comes after everything that was emitted before it, says where it happened, and ends the job: wherever batches are cut.
@Suite struct ErrorDeliveryTests {
  struct Boom: Error, Equatable { var at: Int64 }

  /// Passes records on; throws at the record with this value, or from a timer at this time.
  struct Fuse: ProcessFunction {
    var value: Int64 = -1
    var time: Int64 = -1
    var engineError = false
    let v = InputColumn<Int64>("v")
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      if batch[v] == value {
        if engineError { throw EngineError(.valueRange, "too much") }
        throw Boom(at: value)
      }
      try context.emit(batch)
      if time >= 0 { try context.registerEventTimeTimer(time) }
    }
    func onTimer(key: Key, fireTime: Int64, context: Context) throws { throw Boom(at: fireTime) }
  }

  private let fields = [Field("k", .utf8), Field("v", .int64), Field("t", .int64)]
  private var rows: [[Value]] { (0..<100).map { [.text("key \($0 % 3)"), .int($0), .int($0 * 10)] } }

  private func outcomes(_ specs: () throws -> [ProcessSpec]) throws -> [(
    values: [Int64], error: (any Error)?, job: Job
  )] {
    var outcomes: [(values: [Int64], error: (any Error)?, job: Job)] = []
    for sizes in [[100], [1], [7, 0, 30], [64]] {
      for minRows in [1, 10, 1000] {
        let job = Job()
        try job.addSource(ListSource(try batches(fields, rows, sizes: sizes)), timestamp: "t")
        for spec in try specs() { try job.addProcess(spec) }
        let (rows, error) = job.drain(minRows: minRows)
        outcomes.append((rows.map { if case .int(let value) = $0[1] { value } else { -1 } }, error, job))
      }
    }
    return outcomes
  }

  @Test func inOnEvent() throws {
    for outcome in try outcomes({ [try ProcessSpec("fuse", by: "k", Fuse(value: 40))] }) {
      #expect(outcome.values == Array(0..<40))
      let error = try #require(outcome.error as? ProcessFunctionError)
      #expect(error.operatorName == "fuse" && error.record == 40 && error.key == "'key 1'")
      #expect(error.underlying as? Boom == Boom(at: 40))
      #expect(error.description.contains("operator 'fuse', record 40, key 'key 1'"))
      let closed = #expect(throws: EngineError.self) { try outcome.job.next() }
      #expect(closed?.kind == .closed)
      #expect(outcome.job.report.recordsOut == 40)
    }
  }

  @Test func inOnTimer() throws {
    for outcome in try outcomes({ [try ProcessSpec("fuse", by: "k", Fuse(time: 305))] }) {
      // The record at 310 moves the watermark to 309.
      #expect(outcome.values == Array(0..<32))
      let error = try #require(outcome.error as? ProcessFunctionError)
      #expect(error.record == nil && error.key == "'key 0'" && error.underlying as? Boom == Boom(at: 305))
    }
  }

  @Test func errorsOfTheEngineKeepTheirKind() throws {
    for outcome in try outcomes({ [try ProcessSpec("fuse", by: "k", Fuse(value: 5, engineError: true))] }) {
      #expect(outcome.values == Array(0..<5))
      let error = try #require(outcome.error as? EngineError)
      #expect(error.kind == .valueRange && error.operatorName == "fuse" && error.record == 5 && error.key == "'key 2'")
    }
  }

  /// Of two operators that fail, the one that fails at the earlier record does.
  @Test(arguments: [(40, 30), (30, 40), (35, 35)] as [(Int64, Int64)])
  func inAChain(_ first: Int64, _ second: Int64) throws {
    let expected = min(first, second)
    let specs = {
      [try ProcessSpec("first", by: "k", Fuse(value: first)), try ProcessSpec("second", by: "k", Fuse(value: second))]
    }
    for outcome in try outcomes(specs) {
      #expect(outcome.values == Array(0..<expected))
      let error = try #require(outcome.error as? ProcessFunctionError)
      #expect(error.operatorName == (second < first ? "second" : "first") && error.record == expected)
    }
  }

  @Test func inTheSource() throws {
    let source = ListSource(try batches(fields, rows, sizes: [30]), then: Boom(at: 0))
    let job = try makeJob(source, try ProcessSpec("pass", by: "k", Fuse()))
    let (rows, error) = job.drain(minRows: 1000)
    #expect(rows.count == 100 && error as? Boom == Boom(at: 0))
  }

  @Test func nullKey() throws {
    for sizes in [[100], [1], [13]] {
      var rows = rows
      rows[57][0] = .null
      let job = try makeJob(
        ListSource(try batches(fields, rows, sizes: sizes)), try ProcessSpec("pass", by: "k", Fuse()))
      let (output, error) = job.drain()
      #expect(output.count == 57)
      let failure = try #require(error as? EngineError)
      #expect(failure.kind == .nullKey && failure.record == 57 && failure.key == nil && failure.operatorName == "pass")
      #expect(failure.message.contains("'k'"))
    }
  }

  @Test func nullTimestamp() throws {
    for sizes in [[100], [1], [13]] {
      var rows = rows
      rows[57][2] = .null
      let source = ListSource(try batches(fields, rows, sizes: sizes))
      let job = try makeJob(source, timestamp: "t", try ProcessSpec("pass", by: "k", Fuse()))
      let (output, error) = job.drain()
      #expect(output.count == 57)
      let failure = try #require(error as? EngineError)
      #expect(failure.kind == .nullTimestamp && failure.record == 57 && failure.message.contains("'t'"))
    }
  }

  @Test func schemaChange() throws {
    let other = try batch(
      [Field("k", .utf8), Field("v", .utf8), Field("t", .int64)], [[.text("a"), .text("b"), .int(1)]])
    let job = try makeJob(
      ListSource(try batches(fields, rows, sizes: [50]) + [other]), try ProcessSpec("pass", by: "k", Fuse()))
    let (output, error) = job.drain(minRows: 1000)
    #expect(output.count == 100)
    let failure = try #require(error as? EngineError)
    #expect(failure.kind == .schemaMismatch && failure.message.contains("'v'") && failure.message.contains("batch 3"))
  }
}
