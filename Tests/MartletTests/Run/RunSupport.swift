import Testing

@testable import Martlet

/// Batches, then an error if there is one.
final class ListSource: Source {
  let schema: Schema?
  private var batches: [RecordBatch]
  private let failure: (any Error)?

  init(_ batches: [RecordBatch], schema: Schema? = nil, then failure: (any Error)? = nil) {
    self.batches = batches.reversed()
    self.schema = schema ?? batches.first?.schema
    self.failure = failure
  }

  func next() throws -> RecordBatch? {
    if let batch = batches.popLast() { return batch }
    if let failure { throw failure }
    return nil
  }
}

/// The rows as one batch.
func batch(_ fields: [Field], _ rows: [[Value]]) throws -> RecordBatch {
  try ArrowFixture(tally: Tally()).batch(fields, rows)
}

/// The rows as batches of these sizes, going round; zero is allowed among them.
func batches(_ fields: [Field], _ rows: [[Value]], sizes: [Int]) throws -> [RecordBatch] {
  var result: [RecordBatch] = []
  var start = 0
  while start < rows.count || result.isEmpty {
    let end = min(rows.count, start + sizes[result.count % sizes.count])
    result.append(try batch(fields, Array(rows[start..<end])))
    start = end
  }
  return result
}

extension Stream {
  /// All output rows.
  func rows() throws -> [[Value]] { try collect().flatMap { batch in batch.rows } }
}

extension Job {
  /// The rows up to the end or an error, as a reader with that `minRows` sees them, and the error.
  func drain(minRows: Int = 1) -> (rows: [[Value]], error: (any Error)?) {
    var rows: [[Value]] = []
    do {
      // A pause may leave it without rows before its end.
      repeat { while let batch = try next(minRows: minRows) { rows += batch.rows } } while isPaused
      return (rows, nil)
    } catch { return (rows, error) }
  }
}

/// A job that reads these batches and applies the functions one after another, each keyed by a column.
func makeJob(
  _ source: any Source, timestamp: String? = nil, bound: Int64 = 0, nullKeys: NullPolicy = .raise,
  nullTimestamps: NullPolicy = .raise, _ specs: ProcessSpec...
) throws -> Job {
  let job = Job(nullKeys: nullKeys, nullTimestamps: nullTimestamps)
  try job.addSource(source, timestamp: timestamp, maxOutOfOrderness: bound)
  for spec in specs { try job.addProcess(spec) }
  return job
}

extension ProcessSpec {
  init(_ name: String, by key: String, _ function: some ProcessFunction) throws {
    try self.init(name: name, keyColumns: [key], function, states: [], outputSchema: nil)
  }
}
