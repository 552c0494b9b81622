import Testing

@testable import Martlet

/// Event time from columns of every type that can give it, in milliseconds, rounded down.
@Suite struct EventTimeColumnTests {
  static let cases: [(type: DataType, values: [Int64], times: [Int64])] = [
    (.int8, [-3, 100], [-3, 100]), (.uint16, [65535], [65535]), (.int32, [-1, 1], [-1, 1]),
    (.uint32, [4_294_967_295], [4_294_967_295]), (.int64, [.min + 1, .max], [.min + 1, .max]),
    (.uint64, [0, .max], [0, .max]), (.date32, [-1, 1], [-86_400_000, 86_400_000]),
    (.date64, [86_400_001], [86_400_001]),
    (.timestamp(.second, timezone: nil), [-1, 2], [-1000, 2000]),
    (.timestamp(.milli, timezone: "Europe/Berlin"), [-1, 2], [-1, 2]),
    (.timestamp(.micro, timezone: "UTC"), [-1, 1999, -1000, -1001], [-1, 1, -1, -2]),
    (.timestamp(.nano, timezone: nil), [-1, 1_999_999, .min], [-1, 1, -9_223_372_036_855]),
    (.dictionary(index: .int8, value: .int64, ordered: false), [5, 6, 5], [5, 6, 5]),
  ]

  @Test(arguments: cases)
  func milliseconds(_ example: (type: DataType, values: [Int64], times: [Int64])) throws {
    let rows = example.values.flatMap { [[Value.int($0)], [Value.null]] }
    let input = try ArrowFixture(tally: Tally()).batch([Field("t", example.type)], rows, lead: [rows[0]])
    let column = try EventTimeColumn("t", in: input.schema)
    let times = read(column, input)
    #expect(times.read.sawNull && times.read.failure == nil)
    #expect(times.values == example.times.flatMap { [$0, EventTime.none] })
    let dense = try batch([Field("t", example.type)], example.values.map { [Value.int($0)] })
    #expect(read(column, dense).values == example.times)
  }

  @Test func aColumnOfNulls() throws {
    let input = try batch([Field("t", .null)], [[.null], [.null]])
    let times = read(try EventTimeColumn("t", in: input.schema), input)
    #expect(times.read.sawNull && times.values == [EventTime.none, EventTime.none])
  }

  static let outOfRange: [(type: DataType, value: Int64, text: String)] = [
    (.timestamp(.second, timezone: nil), .max, "9223372036854775807"),
    (.timestamp(.second, timezone: "UTC"), .min, "-9223372036854775808"), (.uint64, -1, "18446744073709551615"),
  ]

  /// The records before one whose time cannot be expressed are delivered, however batches are cut.
  @Test(arguments: outOfRange)
  func beyondMilliseconds(_ example: (type: DataType, value: Int64, text: String)) throws {
    let rows = (Int64(0)..<20).map { [Value.int($0), .int($0 == 13 ? example.value : $0)] }
    for sizes in [[20], [1], [6]] {
      let input = try batches([Field("k", .int8), Field("t", example.type)], rows, sizes: sizes)
      let job = try makeJob(
        ListSource(input), timestamp: "t", try ProcessSpec("pass", by: "k", InputCheckTests.Pass()))
      let (output, error) = job.drain()
      #expect(output.count == 13)
      let failure = try #require(error as? EngineError)
      #expect(failure.kind == .valueRange && failure.record == 13)
      #expect(failure.message.contains("'t'") && failure.message.contains(example.text))
    }
  }

  private func read(_ column: EventTimeColumn, _ batch: RecordBatch) -> (values: [Int64], read: EventTimeColumn.Times) {
    var values = Array(repeating: Int64(0), count: batch.numRows)
    let read = column.read(batch, start: 0, count: batch.numRows, into: &values)
    return (values, read)
  }
}
