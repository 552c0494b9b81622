import Testing

@testable import Martlet

/// The loop without event time: string keys, some of them null, and more of them than are left without fetching ahead.
@Suite struct PlainLoopTests {
  struct Count: ProcessFunction {
    let count = ValueState<Int64>("count")
    let key = OutputColumn<String>("key")
    let n = OutputColumn<Int64>("n")

    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      let next = (count.get() ?? 0) + 1
      count.set(next)
      self.key.set(key.string)
      n.set(next)
      try context.emit()
    }
  }

  @Test(arguments: [7, 6_000]) func countsStringKeysAndLeavesOutNulls(_ cardinality: Int) throws {
    let rows = 20_000
    let builder = try BatchBuilder(Schema([Field("user", .utf8)]))
    var expected: [(String, Int64)] = []
    var counts: [String: Int64] = [:]
    for row in 0..<rows {
      if row % 11 == 3 {
        try builder.columns[0].appendNull()
      } else {
        // Of every length up to more than a slot holds, and alike but for one place.
        let number = row * 7919 % cardinality
        let key = String(repeating: "k", count: number % 70) + "\(number)"
        try key.utf8.withContiguousStorageIfAvailable { bytes in
          try builder.columns[0].append(bytes: UnsafeRawBufferPointer(bytes))
        }
        counts[key, default: 0] += 1
        expected.append((key, counts[key]!))
      }
      try builder.endRow()
    }
    let input = try builder.finish()
    var config = Stream.Config()
    config.nullKeys = .drop
    let job = try applyProcessFunction(Stream(BatchSource([input])), "user", Count(), config: config).job()
    var next = 0
    while let batch = try job.next(minRows: 65_536) {
      for row in 0..<batch.numRows {
        #expect(String(decoding: batch.columns[0].bytes(row), as: UTF8.self) == expected[next].0)
        #expect(batch.columns[1].int64(row) == expected[next].1)
        next += 1
      }
    }
    #expect(next == expected.count)
    #expect(job.report.nullKeys == Int64(rows - expected.count))
  }
}
