import BenchSupport
import Foundation
import Martlet
import MartletRocksDB

/// Counts rows, and keeps no transaction.
private final class CountingSink: Sink {
  private(set) var rows = 0
  func recover(_ checkpoint: Int64?) {}
  func write(_ batch: RecordBatch) { rows += batch.numRows }
  func prepare(_ checkpoint: Int64) {}
  func commit(_ checkpoint: Int64) {}
  func abort(_ checkpoint: Int64) {}
  func close() {}
}

/// The running count with its state made safe, beside the same in memory alone.
func reportDurable(records: Int) throws {
  let cardinality = 100_000
  let input = try integerBatch(IntegerKeys(count: records, cardinality: cardinality).values)
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-bench-\(UUID().uuidString)")
  defer { try? FileManager.default.removeItem(at: folder) }
  func run(_ backend: StateBackend?, interval: Duration = .seconds(1)) throws {
    var config = Stream.Config.default
    if let backend {
      config.stateDirectory = folder.path
      config.stateBackend = backend
    }
    config.checkpointInterval = interval
    let sink = CountingSink()
    let stream = Stream(BatchSource([input]), config: config)
    try applyProcessFunction(stream, "user_id", IntegerCounter()).run(into: sink, minRows: 65_536)
    precondition(sink.rows == records, "emitted \(sink.rows) rows")
  }
  // Each run begins anew.
  let clean = {
    if FileManager.default.fileExists(atPath: folder.path) { try FileManager.default.removeItem(at: folder) }
  }
  let timings = try Contest([
    .init("in memory") { try run(nil) },
    .init("in memory, a checkpoint at the end", prepare: clean) { try run(.memory) },
    .init("in memory, checkpoints every 20 ms", prepare: clean) { try run(.memory, interval: .milliseconds(20)) },
    .init("RocksDB, a checkpoint at the end", prepare: clean) { try run(.rocksDB) },
    .init("RocksDB, checkpoints every 20 ms", prepare: clean) { try run(.rocksDB, interval: .milliseconds(20)) },
  ]).run()
  report("Durable running count, \(cardinality) int keys", records: records, peer: "in memory", timings)
}
