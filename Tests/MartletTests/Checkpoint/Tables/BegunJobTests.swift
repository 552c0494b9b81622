import Testing

@testable import Martlet

/// Jobs that begin with state that was written from tables, before anything is known of their input.
@Suite struct BegunJobTests {
  private struct Sum: ProcessFunction {
    let sum = ValueState<Int64>("sum")
    let v = InputColumn<Int64>("v")
    let out = OutputColumn<String>("out")

    mutating func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      sum.set((sum.get() ?? 0) + (batch[v] ?? 0))
      out.set("\(key.string) \(sum.get() ?? 0)")
      try context.emit()
    }

    mutating func onTimer(key: Key, fireTime: Int64, context: Context) throws {
      out.set("\(key.string) at \(fireTime): \(sum.get() ?? -1)")
      try context.emit()
    }
  }

  /// Tells its schema with its first batch only.
  private final class Shy: Source {
    let schema: Schema? = nil
    private var batches: [RecordBatch]
    init(_ batches: [RecordBatch]) { self.batches = batches.reversed() }
    func next() throws -> RecordBatch? { batches.popLast() }
  }

  private static let fields = [Field("v", .int64), Field("k", .largeUtf8), Field("t", .int64)]

  private func job(_ rows: [[Value]], threads: Int) throws -> Job {
    let job = Job(name: "begun", clock: ManualClock(100))
    job.parallelism = try Parallelism(threads)
    let source = rows.isEmpty ? [] : try batches(BegunJobTests.fields, rows, sizes: [1, 2])
    try job.addSource(Shy(source), name: "numbers", timestamp: "t")
    try job.addProcess(.parallel("sum", by: "k") { Sum() })
    return job
  }

  private func begun() throws -> Checkpoint {
    let files = try CheckpointTableTests.disk()
    let builder = try StateBuilder("/state/one", template: job([], threads: 1), files)
    let keys = Field("k", .utf8)
    try builder.add(
      operator: nil, table: "sum",
      batch([Field("value", .int32), keys], (0..<9).map { [.int(100 * $0), .text("k\($0)")] }))
    try builder.add(
      operator: nil, table: "timers",
      batch(
        [keys, Field("domain", .utf8), Field("time", .int64)],
        [
          [.text("k1"), .text("event"), .int(15)], [.text("other"), .text("event"), .int(3)],
          [.text("k2"), .text("processing"), .int(99)],
        ]))
    try builder.finish()
    return try Checkpoint(reading: "/state/one", files)
  }

  @Test(arguments: [1, 3])
  func timersFireBeforeAndBetweenTheFirstRecords(threads: Int) throws {
    let rows: [[Value]] = [
      [.int(1), .text("k1"), .int(10)], [.int(2), .text("k8"), .int(20)], [.int(3), .text("k1"), .int(30)],
    ]
    let job = try job(rows, threads: threads)
    try job.restore(begun())
    let drained = job.drain()
    #expect(drained.error == nil)
    #expect(
      drained.rows.map(\.[0]) == [
        .text("k2 at 99: 200"), .text("k1 101"), .text("other at 3: -1"), .text("k8 802"), .text("k1 at 15: 101"),
        .text("k1 104"),
      ])
  }

  @Test(arguments: [1, 3])
  func timersFireWithoutARecord(threads: Int) throws {
    let job = try job([], threads: threads)
    try job.restore(begun())
    #expect(
      job.drain().rows.map(\.[0]) == [.text("k2 at 99: 200"), .text("other at 3: -1"), .text("k1 at 15: 100")])
  }

  /// From before the first record to another life, with another parallelism.
  @Test(arguments: [1, 3])
  func aCheckpointBeforeTheFirstRecordHasEverything(threads: Int) throws {
    let first = try job([], threads: threads)
    try first.restore(begun())
    first.staysOpenAtEnd = true
    let second = try job([[.int(7), .text("k3"), .int(1)]], threads: 4 - threads)
    try second.restore(Lives.copied(first.checkpoint(id: 2)))
    let rows = second.drain().rows.map(\.[0])
    #expect(rows.contains(.text("k3 307")) && rows.contains(.text("k1 at 15: 100")))
  }

  @Test(arguments: [1, 3])
  func aKeyOfAnotherTypeIsSaid(threads: Int) throws {
    let job = Job(name: "begun", clock: ManualClock(100))
    job.parallelism = try Parallelism(threads)
    let rows = try batch([Field("k", .int64), Field("v", .int64), Field("t", .int64)], [[.int(1), .int(2), .int(3)]])
    try job.addSource(Shy([rows]), name: "numbers", timestamp: "t")
    try job.addProcess(.parallel("sum", by: "k") { Sum() })
    try job.restore(begun())
    let error = job.drain().error as? EngineError
    #expect(error?.kind == .keyType)
    #expect(
      error?.message.contains("'k' is int64, and the state that the job began with has keys of type utf8") ?? false)
  }
}
