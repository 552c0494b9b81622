import Testing

@testable import Martlet

/// Watermarks of sources with partitions: the least of those that count, against a model by hand, in any chunks and lives.
@Suite struct PartitionWatermarkTests {
  private static func items(_ random: inout SeededGenerator) -> [PartitionedItem] {
    let names = [nil, "a", "b", "c", ""].shuffled(using: &random).prefix(Int.random(in: 1...4, using: &random))
    var clocks = Array(repeating: Int64(0), count: names.count)
    var items: [PartitionedItem] = []
    // Partitions whose first batch has no rows are there from the beginning.
    if random.chance(50) { items = names.map { PartitionedItem(partition: $0, times: []) } }
    for _ in 0..<Int.random(in: 0...25, using: &random) {
      let place = Int.random(in: 0..<names.count, using: &random)
      let times = (0..<Int.random(in: 0...8, using: &random)).map { _ -> Int64? in
        clocks[place] += Int64.random(in: 0...6, using: &random)
        return random.chance(8) ? nil : clocks[place] - Int64.random(in: 0...4, using: &random)
      }
      items.append(PartitionedItem(partition: names[place], isLast: random.chance(8), times: times))
      if names[place] == nil { items[items.count - 1].isLast = false }
    }
    return items
  }

  private func job(_ source: PartitionedSource, bound: Int64, _ parallelism: Int = 1) throws -> Job {
    let job = Job(name: "job", nullTimestamps: .process)
    job.parallelism = try Parallelism(parallelism)
    try job.addSource(source, timestamp: "t", maxOutOfOrderness: bound)
    try job.addProcess(.parallel("tell", by: "k") { WatermarkTeller() })
    return job
  }

  @Test(arguments: UInt64(1)...150)
  func asTheModelSays(seed: UInt64) throws {
    var random = SeededGenerator(seed)
    let items = PartitionWatermarkTests.items(&random)
    let bound = Int64.random(in: 0...3, using: &random)
    let expected = WatermarkTeller.model(items, bound: bound)
    for sizes in [[1000], [1], [3, 1, 2]] {
      let rows = try job(PartitionedSource(items, sizes: sizes), bound: bound).drain().rows
      #expect(rows == expected, "seed \(seed), sizes \(sizes)")
    }
    var hooks = SeededGenerator(seed + 1000)
    let lives = try Lives(&random, outputs: 1) { _, random in
      let source = PartitionedSource(items, sizes: [[1000], [1], [2, 3]][Int.random(in: 0..<3, using: &random)])
      let job = try job(source, bound: bound, [1, 1, 2][Int.random(in: 0..<3, using: &random)])
      source.onRead = { [unowned job] _ in if hooks.chance(30) { job.pause() } }
      return job
    }
    #expect(lives.rows[0] == expected, "seed \(seed), \(lives.checkpoints) checkpoints")
  }

  /// What a record of each item, one after the other, sees as watermark.
  private func watermarks(_ items: [PartitionedItem], timeout: Int64) throws -> [[Value]] {
    let clock = ManualClock()
    let source = PartitionedSource(items)
    source.onRead = { if let item = $0 { try clock.advance(to: clock.now() + item.takes) } }
    var options = SourceOptions(timestamp: "t")
    (options.isLive, options.idleTimeout) = (true, timeout)
    let job = Job(name: "job", clock: clock)
    try job.addSource(source, name: "s", options)
    try job.addProcess(.parallel("tell", by: "k") { WatermarkTeller() })
    return job.drain().rows.filter { $0[2] != .text("timer") }
  }

  private func row(_ time: Int64, _ watermark: Int64, _ kind: String = "in time") -> [Value] {
    [.int(time), .int(watermark), .text(kind)]
  }

  @Test func silentPartitionsDoNotCount() throws {
    func item(_ partition: String?, _ times: Int64?..., takes: Int64 = 0) -> PartitionedItem {
      PartitionedItem(partition: partition, times: times, takes: takes)
    }
    let items = [
      item("a", 10), item("b", 20), item("b", 30, takes: 400), item("b", 40, takes: 500), item("b", 50, takes: 100),
      item("b", 51), item("a", 12), item("b", 60), item("a", 55), item("b", 70),
    ]
    // a has been silent for 1000 ms when 51 is asked for.
    #expect(
      try watermarks(items, timeout: 1000) == [
        row(10, EventTime.min), row(20, 9), row(30, 9), row(40, 9), row(50, 9), row(51, 49),
        row(12, 50, "late"), row(60, 50), row(55, 50), row(70, 54),
      ])
    #expect(try watermarks(items, timeout: 0).last == row(70, 54))
    #expect(try watermarks(items, timeout: 0)[5] == row(51, 9))
    // While none counts, the watermark stays; it moves without a record when the source says that it has nothing.
    #expect(
      try watermarks(
        [item("a", 10), item("b", 20), item("b", takes: 600), item("b", 21), item(nil, takes: 600), item("a", 15)],
        timeout: 1000) == [row(10, EventTime.min), row(20, 9), row(21, 9), row(15, 20, "late")])
    #expect(
      try watermarks([item("a", 10), item("b", 20), item(nil, takes: 2000), item("a", 15)], timeout: 1000)
        == [row(10, EventTime.min), row(20, 9), row(15, 9)])
  }

  /// Nobody took output for an hour: that is not the partitions' silence.
  @Test func timeOutsideOfTheSourceCountsLittle() {
    var watermarks = PartitionWatermarks(bound: 0, watermark: EventTime.min)
    watermarks.begin(SourcePartition("a"), rows: 1)
    watermarks.begin(SourcePartition("b"), rows: 1)
    for _ in 0..<3 { watermarks.pass(250, timeout: 1000, butNotCurrent: true) }
    #expect(watermarks.all.map(\.isIdle) == [false, false])
    watermarks.pass(250, timeout: 1000, butNotCurrent: true)
    #expect(watermarks.all.map(\.isIdle) == [true, false])
    watermarks.begin(SourcePartition("a"), rows: 0)
    #expect(watermarks.all.map(\.isIdle) == [true, false], "a batch without rows is no record")
  }

  /// Partitions are in the checkpoint, in a version of the format that only such jobs write.
  @Test func theGoldenFileHasPartitions() throws {
    let source = PartitionedSource([
      PartitionedItem(partition: "a", times: [10, 20]), PartitionedItem(partition: "b", isLast: true, times: [15]),
      PartitionedItem(partition: "c", times: []), PartitionedItem(partition: nil, times: [30]),
    ])
    let job = try job(source, bound: 2)
    job.staysOpenAtEnd = true
    while try job.next() != nil {}
    let now = try job.checkpoint(id: 1).job
    #expect(now.sources[0].partitions.map(\.name) == ["a", "c", nil])
    var saved = now
    saved.processingTime = 5
    let golden = try SnapshotTests.hexFile("Tests/Golden/job-state-3.hex")
    #expect(saved.encoded() == golden)
    let read = try JobSnapshot(decoding: golden, "golden")
    #expect(read.sources[0].partitions == now.sources[0].partitions && read.encoded() == golden)
    for length in golden.indices {
      #expect(throws: EngineError.self) { try JobSnapshot(decoding: Array(golden[..<length]), "g") }
    }
  }
}
