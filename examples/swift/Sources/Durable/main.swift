// A job that dies on the way and is run again: it goes on from its last checkpoint, and its output has every record once.
//
// The state is in memory and each checkpoint is a copy of it. For state larger than memory add the product `MartletRocksDB` (which needs
// RocksDB with its headers), `import MartletRocksDB`, and set `config.stateBackend = .rocksDB`; nothing else changes.
import Foundation
import Martlet

/// Counts the orders of each customer.
struct OrderCount: ProcessFunction {
  let count = ValueState<Int64>("count")
  let customer = OutputColumn<Int64>("customer")
  let orders = OutputColumn<Int64>("orders")

  func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
    let next = (count.get() ?? 0) + 1
    count.set(next)
    customer.set(key.int64)
    orders.set(next)
    try context.emit()
  }
}

/// 200 batches of 50 orders, by 10 customers in turn. It tells its place, the number of the next batch, and can go to one.
final class Orders: Source {
  struct ConnectionLost: Error {}

  static let batches = 200
  static let rows = 50
  let schema: Schema? = Schema([Field("customer", .int64)])
  private var number = 0
  private let failsAt: Int?

  init(failsAt: Int?) { self.failsAt = failsAt }

  func next() throws -> RecordBatch? {
    if number == failsAt { throw ConnectionLost() }
    guard number < Orders.batches, let schema else { return nil }
    // As from a network, so that there is time for checkpoints.
    Thread.sleep(forTimeInterval: 0.001)
    let builder = try BatchBuilder(schema)
    for row in 0..<Orders.rows {
      try builder.columns[0].append(int64: Int64((number * Orders.rows + row) % 10))
      try builder.endRow()
    }
    number += 1
    return try builder.finish()
  }

  var offset: SourceOffset? { SourceOffset(Array(String(number).utf8)) }

  func restore(_ offset: SourceOffset) throws {
    guard let saved = Int(String(decoding: offset.bytes, as: UTF8.self)) else { throw ConnectionLost() }
    number = saved
  }
}

/// A file of lines for each checkpoint, `7.csv`; `7.part` until the checkpoint is durable.
final class CSVFolder: Sink {
  let folder: URL
  private var lines = ""

  init(_ folder: URL) throws {
    self.folder = folder
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  func recover(_ checkpoint: Int64?) throws { try abort(checkpoint ?? 0) }

  func write(_ batch: RecordBatch) throws {
    let columns = batch.columns
    for row in 0..<batch.numRows { lines += "\(columns[0].int64(row)),\(columns[1].int64(row))\n" }
  }

  func prepare(_ checkpoint: Int64) throws {
    try Data(lines.utf8).write(to: folder.appendingPathComponent("\(checkpoint).part"), options: .atomic)
    lines = ""
  }

  func commit(_ checkpoint: Int64) throws {
    for (number, file) in try files("part") where number <= checkpoint {
      try FileManager.default.moveItem(at: file, to: folder.appendingPathComponent("\(number).csv"))
    }
  }

  func abort(_ checkpoint: Int64) throws {
    lines = ""
    try commit(checkpoint)
    for (_, file) in try files("part") { try FileManager.default.removeItem(at: file) }
  }

  func close() {}

  func files(_ kind: String) throws -> [(Int64, URL)] {
    try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
      .filter { $0.pathExtension == kind }
      .compactMap { file in Int64(file.deletingPathExtension().lastPathComponent).map { ($0, file) } }
      .sorted { $0.0 < $1.0 }
  }
}

let folder = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-durable-\(UUID().uuidString)")
defer { try? FileManager.default.removeItem(at: folder) }

func run(failsAt: Int?) throws -> JobReport {
  var config = Stream.Config.default
  config.name = "orders"
  config.stateDirectory = folder.appendingPathComponent("state").path
  config.checkpointInterval = .milliseconds(20)
  let orders = Stream(Orders(failsAt: failsAt), name: "orders", config: config)
  return try applyProcessFunction(orders, "customer", OrderCount())
    .run(into: CSVFolder(folder.appendingPathComponent("output")))
}

do {
  _ = try run(failsAt: 150)
  preconditionFailure("the source fails")
} catch is Orders.ConnectionLost {
  print("the first run has failed at batch 150")
}
let again = try run(failsAt: nil)
print("the second run has read", again.recordsIn, "records")

let output = try CSVFolder(folder.appendingPathComponent("output"))
let lines = try output.files("csv").flatMap { _, file in
  try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map(String.init)
}
let expected = (0..<Orders.batches * Orders.rows).map { "\($0 % 10),\($0 / 10 + 1)" }
precondition(lines == expected, "every record is counted once, whatever happened in between")
precondition(again.recordsIn < Int64(expected.count), "and the second run went on where the first one had a checkpoint")
print(lines.count, "lines, the last one", lines.last ?? "")
