@testable import Martlet

/// Rows that can be read again from any of them, in batches of sizes that go round. Its offset is the number of a row.
final class ReplaySource: Source {
  let schema: Schema?
  private let rows: [[Value]]
  private let fields: [Field]
  private let sizes: [Int]
  private var row = 0
  private var batches = 0
  /// Called with the number of the batch before it is given.
  var onRead: (Int) throws -> Void = { _ in }

  init(_ fields: [Field], _ rows: [[Value]], sizes: [Int]) {
    (self.fields, self.rows, self.sizes) = (fields, rows, sizes)
    schema = Schema(fields)
  }

  func next() throws -> RecordBatch? {
    guard row < rows.count else { return nil }
    try onRead(batches)
    let end = min(rows.count, row + sizes[batches % sizes.count])
    defer { (row, batches) = (end, batches + 1) }
    return try batch(fields, Array(rows[row..<end]))
  }

  var offset: SourceOffset? {
    var writer = ByteWriter()
    writer.integer(Int64(row))
    writer.integer(Int64(batches))
    return SourceOffset(writer.bytes)
  }

  func restore(_ offset: SourceOffset) throws {
    try offset.bytes.withUnsafeBytes {
      var reader = ByteReader($0)
      row = Int(try reader.integer(Int64.self))
      batches = Int(try reader.integer(Int64.self))
    }
  }
}

/// A run of one job in several lives, each going on from the checkpoint of the one before.
struct Lives {
  /// Per output, all rows.
  var rows: [[[Value]]]
  var checkpoints = 0
  /// The bytes of every checkpoint's operators.
  var last: Checkpoint?

  /// The run that nothing interrupts.
  init(uninterrupted job: Job, outputs: Int) throws {
    rows = Array(repeating: [], count: outputs)
    while let batch = try job.next() { rows[0] += batch.rows }
    for output in 1..<max(outputs, 1) { while let batch = try job.next(from: output) { rows[output] += batch.rows } }
  }

  /// `make` gives the job of a life, from 0. Its sources call `job.pause()` now and then.
  init(_ random: inout SeededGenerator, outputs: Int, most: Int = 6, make: (Int, inout SeededGenerator) throws -> Job)
    throws
  {
    rows = Array(repeating: [], count: outputs)
    var life = 0
    while true {
      let job = try make(life, &random)
      job.staysOpenAtEnd = true
      if let last { try job.restore(last) }
      var stops = Int.random(in: 1...12, using: &random)
      var hasEnded = false
      while !hasEnded, stops > 0 || life >= most {
        if let batch = try job.next(minRows: random.chance(50) ? 1 : 7) {
          rows[0] += batch.rows
        } else {
          hasEnded = !job.isPaused
        }
        try takeReady(job)
        stops -= 1
      }
      try takeReady(job)
      last = try Lives.copied(job.checkpoint(id: Int64(life + 1), sink: [1, 2, 3]))
      checkpoints += 1
      life += 1
      try job.close()
      // One more life after the end, in which nothing comes.
      if hasEnded, stops == -1 || life > most { return }
      if hasEnded, random.chance(50) { return }
    }
  }

  private mutating func takeReady(_ job: Job) throws {
    for output in rows.indices { while let batch = try job.takeReady(from: output) { rows[output] += batch.rows } }
  }

  /// As it comes back from its files.
  static func copied(_ checkpoint: Checkpoint) throws -> Checkpoint {
    let files = MemoryFileSystem()
    try files.makeDirectories("/state")
    try checkpoint.write(to: "/state/savepoint", files)
    return try Checkpoint(reading: "/state/savepoint", files)
  }

  /// Where two runs differ first, for messages.
  func difference(from other: Lives) -> String? {
    for (output, (mine, others)) in zip(rows, other.rows).enumerated() {
      for (position, (row, expected)) in zip(mine, others).enumerated() where row != expected {
        return "output \(output), row \(position): \(row) instead of \(expected)"
      }
      if mine.count != others.count { return "output \(output) has \(mine.count) rows instead of \(others.count)" }
    }
    return nil
  }
}
