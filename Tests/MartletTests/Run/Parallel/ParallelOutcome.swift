@testable import Martlet

/// Batches that move a manual clock when they are read, so that processing time is part of the input.
final class ClockworkSource: Source {
  let schema: Schema?
  private var batches: [(batch: RecordBatch, time: Int64)]
  private let clock: ManualClock

  init(_ batches: [(batch: RecordBatch, time: Int64)], _ clock: ManualClock) {
    self.batches = batches.reversed()
    self.clock = clock
    schema = batches.first?.batch.schema
  }

  func next() throws -> RecordBatch? {
    guard let (batch, time) = batches.popLast() else { return nil }
    try clock.advance(to: max(time, clock.now()))
    return batch
  }
}

/// All that can be seen of a run.
struct ParallelOutcome: Equatable {
  var main: [[Value]] = []
  var sides: [String: [[Value]]] = [:]
  var error: String?
  var counters: [Int64] = []

  /// Runs a job to its end: its output 0 and the side outputs of operator `process`.
  init(_ job: Job, sides tags: [String], of process: Int = 0, minRows: Int = 1) throws {
    let last = try present(job.selected)
    try job.addOutput(last)
    for tag in tags { try job.addOutput(OutputSelector(process: process, tag: tag)) }
    let (rows, failure) = job.drain(minRows: minRows)
    main = rows
    error = failure.map { "\($0)" }
    for (number, tag) in tags.enumerated() {
      var rows: [[Value]] = []
      do { while let batch = try job.next(from: number + 1) { rows += batch.rows } } catch {
        if "\(error)" != self.error { rows.append([.text("another error: \(error)")]) }
      }
      sides[tag] = rows
    }
    let report = job.report
    counters = [report.recordsIn, report.recordsOut, report.sideRecords, report.watermark]
    // After an error instances may have gone further than the record that failed.
    if failure == nil {
      counters += [
        report.nullKeys, report.late, report.lateDropped, report.errors, report.sideDropped, report.stateEntries,
        report.timersFired, report.timersPending, report.keys, report.processingTimersFired,
        report.processingTimersPending,
      ]
    } else {
      counters.removeLast()
      counters.removeFirst()
    }
  }

  /// Where two runs differ first, for messages.
  func difference(from other: ParallelOutcome) -> String? {
    if self == other { return nil }
    if error != other.error { return "errors \(error ?? "none") and \(other.error ?? "none")" }
    if let difference = ParallelOutcome.difference(main, other.main) { return "main " + difference }
    for (tag, rows) in sides {
      if let difference = ParallelOutcome.difference(rows, other.sides[tag] ?? []) {
        return "side \(tag) " + difference
      }
    }
    return "counters \(counters) and \(other.counters)"
  }

  private static func difference(_ mine: [[Value]], _ others: [[Value]]) -> String? {
    for (position, (row, other)) in zip(mine, others).enumerated() where row != other {
      return "row \(position): \(text(row)) and \(text(other))"
    }
    return mine.count == others.count ? nil : "has \(mine.count) and \(others.count) rows"
  }

  private static func text(_ row: [Value]) -> String {
    row.map { value in
      switch value {
      case .null: "null"
      case .int(let value): "\(value)"
      case .double(let value): "\(value)"
      case .bytes(let bytes): String(decoding: bytes, as: UTF8.self)
      case .nested(let values): text(values)
      }
    }.joined(separator: ", ")
  }
}

struct MissingValue: Error {}

func present<Wrapped>(_ value: Wrapped?) throws -> Wrapped {
  guard let value else { throw MissingValue() }
  return value
}
