import Testing

@testable import Martlet

/// Random programs against the reference model: one operator and chains, whatever the batches.
@Suite struct RandomProgramTests {
  private func program(_ random: inout SeededGenerator, rows: Int) -> [[Value]] {
    var now = Int64.random(in: -50...50, using: &random)
    let keys = Int64.random(in: 1...12, using: &random)
    return (0..<rows).map { _ in
      now += Int64.random(in: -6...8, using: &random)
      return [
        random.chance(4) ? .null : .int(Int64.random(in: 0..<keys, using: &random)),
        .int(Int64.random(in: 0..<6, using: &random)), .int(Int64.random(in: 0..<20, using: &random)),
        random.chance(4) ? .null : .int(now),
      ]
    }
  }

  @Test(arguments: UInt64(1)...60)
  func sameAsTheModel(seed: UInt64) throws {
    var random = SeededGenerator(seed)
    let rows = program(&random, rows: Int.random(in: 0...400, using: &random))
    let bound = Int64.random(in: 0...10, using: &random)
    let chain = Int.random(in: 1...3, using: &random)
    let expected = ModelOperator.run(rows, bound: bound, operators: chain)
    for sizes in [[rows.count + 1], [1], [0, 3, 1, 0, 17, 64]] {
      for minRows in [1, 1000] {
        let job = try machines(chain, try batches(Machine.fields, rows, sizes: sizes), bound)
        let (output, error) = job.drain(minRows: minRows)
        #expect(error == nil, "seed \(seed)")
        let difference = zip(output, expected.rows).enumerated().first { $0.element.0 != $0.element.1 }
        #expect(output.count == expected.rows.count, "seed \(seed), batches of \(sizes)")
        #expect(difference == nil, "seed \(seed), batches of \(sizes), row \(difference?.offset ?? 0)")
        let report = job.report
        #expect(report.timersFired == Int64(expected.operators.reduce(0) { $0 + $1.fired }), "seed \(seed)")
        #expect(report.late == Int64(expected.operators.reduce(0) { $0 + $1.late }), "seed \(seed)")
        #expect(report.recordsIn == Int64(rows.count) && report.recordsOut == Int64(output.count), "seed \(seed)")
        #expect(report.nullKeys == Int64(rows.count { $0[0] == .null }), "seed \(seed)")
        #expect(report.nullTimestamps == Int64(rows.count { $0[3] == .null }), "seed \(seed)")
        #expect(report.timersPending == 0 && report.watermark == EventTime.max, "seed \(seed)")
      }
    }
  }

  /// More rows than a chunk has, cut in several ways.
  @Test(arguments: UInt64(1)...3)
  func cutsDoNotShow(seed: UInt64) throws {
    var random = SeededGenerator(seed)
    let rows = program(&random, rows: 20_000)
    let expected = ModelOperator.run(rows, bound: 3, operators: 2).rows
    let rounds = [[20_000], [8192], [8193, 8191], (0..<9).map { _ in Int.random(in: 1...4000, using: &random) }]
    for sizes in rounds {
      let job = try machines(2, try batches(Machine.fields, rows, sizes: sizes), 3)
      #expect(job.drain().rows == expected, "seed \(seed), batches of \(sizes)")
    }
  }

  private func machines(_ count: Int, _ batches: [RecordBatch], _ bound: Int64) throws -> Job {
    let job = Job(nullKeys: .drop, nullTimestamps: .process)
    try job.addSource(ListSource(batches), timestamp: "t", maxOutOfOrderness: bound)
    for number in 0..<count { try job.addProcess(ProcessSpec("machine \(number)", by: "k", Machine())) }
    return job
  }
}
