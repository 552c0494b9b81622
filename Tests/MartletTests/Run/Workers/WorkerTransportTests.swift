import CMartlet
import Testing

@testable import Martlet

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Work to workers and results back, over sockets and shared memory. The workers are threads, so that a sanitizer sees both ends.
@Suite(.serialized) struct WorkerTransportTests {
  /// Echoes what came: every row as a row of the input, every other one as a row of its own.
  private static func echo(_ chunk: InstanceChunk) throws -> InstanceResult {
    var result = InstanceResult()
    let rows = Array(chunk.rows)
    result.lanes = [lane(chunk.batch, rows: rows)]
    let own = BatchFrame(chunk.batch, rows: 0..<chunk.batch.numRows)
    let memory = FrameMemory(own)
    result.lanes.append(
      lane(try memory.received.batch(chunk.batch.schema), rows: rows.filter { $0 % 2 == 0 }, tag: "own"))
    result.counters.late = Int64(chunk.recordCount)
    result.counters.watermark = chunk.marks.last?.watermark ?? 0
    result.nextWake = chunk.firstRecord
    return result
  }

  private func rows(of lane: InstanceLane) -> [[Value]] {
    let all = lane.batch.rows
    return lane.rows.map { $0.values.map { all[Int($0)] } } ?? all
  }

  @Test(arguments: [1, 2, 3])
  func everyTypeThereAndBack(workers: Int) throws {
    let before = openDescriptors()
    var random = SeededGenerator(UInt64(workers))
    let test = try TestWorkers(workers) { _, work in
      guard case .chunk(let chunk) = work else { return InstanceResult() }
      return try Self.echo(chunk)
    }
    for (number, type) in SampleTypes.all.enumerated() where number % 5 == workers {
      let fields = [Field("x", type), Field("n", .int64)]
      let data = (0..<40).map { _ in fields.map { random.value($0) } }
      let batch = try ArrowFixture(tally: Tally()).batch(fields, data)
      for span in [5..<25, 25..<40] {
        var mine: [[Int32]] = Array(repeating: [], count: workers)
        for row in span { mine[Int.random(in: 0..<workers, using: &random)].append(Int32(row)) }
        for (worker, rows) in mine.enumerated() {
          try test.links[worker].send(
            .chunk(chunk(batch, rows, span: span, marks: [WatermarkMark(position: 1, watermark: 77)])), now: nil)
        }
        for (worker, rows) in mine.enumerated() {
          let result = try #require(try test.links[worker].receive(within: nil))
          #expect(result.lanes.count == 2 && result.lanes[1].tag == "own" && result.lanes[0].tag == nil)
          #expect(self.rows(of: result.lanes[0]) == rows.map { data[Int($0)] })
          let even = rows.filter { ($0 - Int32(span.lowerBound)) % 2 == 0 }
          #expect(self.rows(of: result.lanes[1]) == even.map { data[Int($0)] })
          // What was passed on as it came was not sent back.
          #expect(result.lanes[0].batch.owner === batch.owner)
          #expect(result.lanes[0].orders.values.elementsEqual((0..<rows.count).map { UInt32(2 * $0 + 1) }))
          #expect(result.lanes[0].orders.keyBytes == [1, 2, 3] && result.lanes[0].orders.details[0].time == 7)
          #expect(result.lanes[0].timestamps!.values.elementsEqual((0..<rows.count).map { Int64($0) }))
          #expect(result.counters.late == 40 && result.counters.watermark == 77)
          #expect(result.nextWake == 1000 + Int64(span.lowerBound))
        }
      }
    }
    test.end()
    #expect(test.endings.allSatisfy { $0 == nil })
    withExtendedLifetime(test) {}
    #expect(openDescriptors() <= before)
  }

  @Test func memoryIsUsedAgain() throws {
    let test = try TestWorkers(2) { _, work in
      guard case .chunk(let chunk) = work else { return InstanceResult() }
      return try Self.echo(chunk)
    }
    let fields = [Field("x", .int64), Field("t", .utf8)]
    var kept: [InstanceResult] = []
    for round in 0..<300 {
      let batch = try ArrowFixture(tally: Tally()).batch(fields, (0..<20).map { [.int($0), .text("text \(round)")] })
      for link in test.links { try link.send(.chunk(chunk(batch, [1, 3, 5], span: 0..<20)), now: nil) }
      for link in test.links {
        let result = try #require(try link.receive(within: nil))
        if round % 100 == 0 { kept.append(result) }
      }
    }
    #expect(test.transport.blocks.made <= 12)
    #expect(kept.count == 6)
    for (number, result) in kept.enumerated() {
      #expect(rows(of: result.lanes[0])[1] == [.int(3), .text("text \(number / 2 * 100)")])
    }
    test.end()
    // The connection is gone and the memory still there.
    #expect(rows(of: kept[0].lanes[1]).isEmpty == kept[0].lanes[1].orders.values.isEmpty)
  }

  @Test func aLargeDictionaryIsSentOnce() throws {
    let type = DataType.dictionary(index: .int32, value: .utf8, ordered: false)
    let test = try TestWorkers(2) { _, work in
      guard case .chunk(let chunk) = work else { return InstanceResult() }
      return try Self.echo(chunk)
    }
    for name in ["first", "second"] {
      let data: [[Value]] = (0..<2000).map { [.text("\(name) \($0 % 1500)")] }
      let batch = try ArrowFixture(tally: Tally()).batch([Field("d", type)], data)
      for start in stride(from: 0, to: 2000, by: 100) {
        let rows = (start..<(start + 100)).map { Int32($0) }
        for link in test.links { try link.send(.chunk(chunk(batch, rows, span: start..<(start + 100))), now: nil) }
        for link in test.links {
          let result = try #require(try link.receive(within: nil))
          #expect(self.rows(of: result.lanes[0]) == Array(data[start..<(start + 100)]))
          #expect(self.rows(of: result.lanes[1]).first == data[start])
        }
      }
    }
    test.end()
    #expect(test.endings.allSatisfy { $0 == nil })
  }

  @Test func everyKindOfWorkArrives() throws {
    let seen = Seen()
    let test = try TestWorkers(1) { _, work in
      seen.add("\(work)")
      if case .declare(let tag, let schema) = work {
        var result = InstanceResult()
        result.schemas = [(tag, schema), (nil, schema)]
        result.timersLeft = true
        result.clockAtLeast = 5
        return result
      }
      return InstanceResult()
    }
    let schema = Schema([Field("a", .int8, isNullable: false, metadata: [0, 0, 0, 0])])
    let lanes = [InstanceOpening.LaneUse(tag: "x", needsTimestamps: true), .init(tag: nil, needsTimestamps: false)]
    let work: [InstanceWork] = [
      .open(InstanceOpening(left: schema, right: nil, lanes: lanes)), .watermarks([1, 2, .max]), .tick,
      .declare(tag: "t", schema), .endTimers(.keep, clockAtLeast: .min), .endKeys(clockAtLeast: 3), .close,
    ]
    for piece in work { try test.links[0].send(piece, now: 9) }
    var results: [InstanceResult] = []
    for _ in work { results.append(try #require(try test.links[0].receive(within: nil))) }
    #expect(results[3].schemas.map(\.tag) == ["t", nil] && results[3].schemas[1].schema == schema)
    #expect(results[3].timersLeft && results[3].clockAtLeast == 5 && results[2].clockAtLeast == .min)
    #expect(seen.texts == work.map { "\($0)" })
    #expect(try test.links[0].receive(within: 1) == nil)
    test.end()
  }

  @Test func aFailureComesWithItsPlaceAndCause() throws {
    let test = try TestWorkers(1, cause: [9, 0, 7]) { _, _ in
      var result = InstanceResult()
      var error = EngineError(.callbackFailed, "no luck")
      (error.operatorName, error.record, error.key) = ("op", 41, "k")
      result.failure = InstanceFailure(
        order: 83, detail: OrderDetail(firstRow: 0, rowCount: 0, phase: 1, time: 2, keyStart: 0, keyCount: 3),
        key: [1, 2, 3], error: error)
      return result
    }
    try test.links[0].send(.tick, now: nil)
    let failure = try #require(try test.links[0].receive(within: nil)?.failure)
    let error = try #require(failure.error as? EngineError)
    #expect(failure.order == 83 && failure.detail?.time == 2 && failure.key == [1, 2, 3])
    #expect(error.kind == .callbackFailed && error.message == "no luck" && error.operatorName == "op")
    #expect(error.record == 41 && error.key == "k" && error.cause == [9, 0, 7])
    test.end()
  }

  @Test func bothSidesMaySayMuchAtOnce() throws {
    let long = String(repeating: "x", count: 400_000)
    let test = try TestWorkers(2) { _, _ in
      var result = InstanceResult()
      result.failure = InstanceFailure(order: 0, detail: nil, key: [], error: EngineError(.callbackFailed, long))
      return result
    }
    for round in 0..<10 {
      let schema = Schema([Field("\(round)" + long, .int8)])
      for link in test.links { try link.send(.declare(tag: nil, schema), now: nil) }
    }
    for _ in 0..<10 {
      for link in test.links {
        let failure = try link.receive(within: nil)?.failure
        #expect((failure?.error as? EngineError)?.message.utf8.count == long.utf8.count)
      }
    }
    test.end()
  }

  @Test func aWorkerThatGoesIsAnError() throws {
    let (mine, theirs) = socketPair()
    let transport = try ProcessTransport(moving: [mine])
    let link = try transport.link(process: 0, InstancePlace(instance: 0, parallelism: 1, maxParallelism: 128))
    try link.send(.tick, now: nil)
    _ = close(theirs)
    let error = #expect(throws: EngineError.self) { try link.receive(within: nil) }
    #expect(error?.kind == .workerDied && error.says("worker process 0 of 1"))
    // For ever after.
    #expect(throws: EngineError.self) { try link.send(.tick, now: nil) }
    transport.shutDown()
  }

  @Test func whatIsNotOursIsAnError() throws {
    let (mine, theirs) = socketPair()
    let transport = try ProcessTransport(moving: [mine])
    let link = try transport.link(process: 0, InstancePlace(instance: 0, parallelism: 1, maxParallelism: 128))
    _ = "HTTP/1.1 200 OK\r\n".withCString { write(theirs, $0, 17) }
    #expect(throws: EngineError.self) { try link.receive(within: nil) }
    _ = close(theirs)
    #expect(throws: EngineError.self) { try ProcessTransport(moving: [-1]) }
    #expect(throws: EngineError.self) { try ProcessTransport(moving: []) }
  }

  @Test func aWaitCanBeGivenUp() throws {
    struct Interrupt: Error {}
    let (mine, theirs) = socketPair()
    let transport = try ProcessTransport(moving: [mine])
    var calls = 0
    transport.poll = {
      calls += 1
      if calls == 3 { throw Interrupt() }
    }
    let link = try transport.link(process: 0, InstancePlace(instance: 0, parallelism: 1, maxParallelism: 128))
    let begin = monotonicMilliseconds()
    #expect(throws: Interrupt.self) { try link.receive(within: nil) }
    #expect(monotonicMilliseconds() - begin < 2000)
    _ = close(theirs)
    transport.shutDown()
  }

  @Test func waitingWorkCanBeSkipped() throws {
    let seen = Seen()
    let (inside, proceed) = socketPair()
    let test = try TestWorkers(1) { _, work in
      seen.add("\(work)")
      if seen.texts.count == 1 {
        var byte: UInt8 = 0
        _ = read(inside, &byte, 1)
      }
      return InstanceResult()
    }
    try test.links[0].send(.tick, now: nil)
    while seen.texts.isEmpty { usleep(1000) }
    for _ in 0..<5 { try test.links[0].send(.tick, now: nil) }
    test.links[0].skipWaitingWork()
    try test.links[0].send(.close, now: nil)
    _ = "x".withCString { write(proceed, $0, 1) }
    for _ in 0..<7 { _ = try #require(try test.links[0].receive(within: nil)) }
    #expect(seen.texts == ["tick", "close"])
    test.end()
    for end in [inside, proceed] { _ = close(end) }
  }

  @Test func theWatchSeesTheOtherEndGo() throws {
    let (mine, theirs) = socketPair()
    let seen = Seen()
    let watch = try HangUpWatch(mine) { seen.add("gone") }
    usleep(20_000)
    #expect(seen.texts.isEmpty)
    _ = close(theirs)
    for _ in 0..<500 where seen.texts.isEmpty { usleep(1000) }
    #expect(seen.texts == ["gone"])
    watch.stop()

    let (other, end) = socketPair()
    let calm = try HangUpWatch(other) { seen.add("wrong") }
    calm.stop()
    usleep(20_000)
    _ = close(end)
    usleep(300_000)
    #expect(seen.texts == ["gone"])
    for socket in [mine, other] { _ = close(socket) }
  }
}

/// Texts from several threads.
private final class Seen: Sendable {
  private let all = Locked<[String]>([])
  func add(_ text: String) { all.withLock { $0.append(text) } }
  var texts: [String] { all.withLock { $0 } }
}
