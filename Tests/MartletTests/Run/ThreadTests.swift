import Synchronization
import Testing

@testable import Martlet

/// A job is used by one thread at a time, and different jobs know nothing of one another.
@Suite struct ThreadTests {
  /// Where the threads of a test meet.
  private final class Meeting: Sendable {
    let isInside = Atomic<Bool>(false)
    let mayGoOn = Atomic<Bool>(false)

    func enter() {
      isInside.store(true, ordering: .releasing)
      while !mayGoOn.load(ordering: .acquiring) { shortSleep() }
    }

    func waitUntilInside() {
      while !isInside.load(ordering: .acquiring) { shortSleep() }
    }

    func goOn() { mayGoOn.store(true, ordering: .releasing) }
  }

  private struct Meets: ProcessFunction {
    let meeting: Meeting
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      meeting.enter()
      try context.emit(batch)
    }
  }

  @Test func theSecondThreadIsRefused() throws {
    let meeting = Meeting()
    let job = Job(name: "shared")
    try job.addSource(ListSource([try batch([Field("k", .int64)], [[.int(1)]])]))
    try job.addProcess(ProcessSpec("meets", by: "k", Meets(meeting: meeting)))
    var drained: (rows: [[Value]], error: (any Error)?) = ([], nil)
    let first = SecondThread { drained = job.drain() }
    meeting.waitUntilInside()
    for use in [{ _ = try job.next() }, { try job.close() }] {
      let error = #expect(throws: EngineError.self) { try use() }
      #expect(error?.kind == .busy && error.says("'shared'") && error.says("two threads"))
    }
    meeting.goOn()
    first.join()
    #expect(drained.rows == [[.int(1)]] && drained.error == nil)
    // The first one is through: the job is anybody's again.
    #expect(throws: EngineError.self) { try job.next() }
    try job.close()
  }

  private struct Numbers: ProcessFunction {
    let count = ValueState<Int64>("count")
    let names = MapState<String, Int64>("names")
    let all = ListState<Int64>("all")
    let key = OutputColumn<Int64>("k")
    let n = OutputColumn<Int64>("n")

    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      let number = (count.get() ?? 0) + 1
      count.set(number)
      names.put("a name too long to lie inside: \(number % 10)", number)
      all.add(number)
      if number % 50 == 0 { try context.registerEventTimeTimer(context.timestamp! + 500) }
      self.key.set(key.int64)
      n.set(number)
      try context.emit()
    }

    func onTimer(key: Key, fireTime: Int64, context: Context) throws {
      self.key.set(key.int64)
      n.set(Int64(all.count + names.count))
      try context.emit()
      all.clear()
    }
  }

  private static func numbers(_ keys: Int64) throws -> Job {
    let rows: [[Value]] = (0..<4_000).map { [.int($0 * 7 % keys), .int($0)] }
    let job = Job()
    let input = try batches([Field("k", .int64), Field("t", .int64)], rows, sizes: [700])
    try job.addSource(BatchSource(input), timestamp: "t")
    try job.addProcess(ProcessSpec("numbers", by: "k", Numbers()))
    return job
  }

  /// Two jobs in two threads at once give what each gives alone.
  @Test func twoJobsAtOnce() throws {
    let expected = try [Int64(13), 40].map { try Self.numbers($0).drain().rows }
    let jobs = try [Int64(13), 40].map(Self.numbers)
    // Written by one thread each, read after both have ended.
    let found = UnsafeMutablePointer<[[Value]]>.allocate(capacity: 2)
    found.initialize(repeating: [], count: 2)
    defer {
      found.deinitialize(count: 2)
      found.deallocate()
    }
    let threads = (0..<2).map { index in SecondThread { found[index] = jobs[index].drain().rows } }
    for thread in threads { thread.join() }
    #expect(expected[0].count > 4_000 && expected[1].count > 4_000)
    #expect(found[0] == expected[0] && found[1] == expected[1])
  }
}
