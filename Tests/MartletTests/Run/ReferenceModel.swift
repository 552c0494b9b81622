@testable import Martlet

/// What an operator that runs `Machine` does, written as plainly as possible: a dictionary of counts and a list of timers.
struct ModelOperator {
  enum Event: Equatable {
    case record(key: Int64?, op: Int64, arg: Int64, timestamp: Int64?, watermark: Int64)
    case watermark(Int64)
  }

  private var counts: [Int64: Int64] = [:]
  private var timers = NaiveTimers()
  private var watermark = EventTime.min
  private(set) var fired = 0
  private(set) var late = 0

  mutating func take(_ event: Event) -> [Event] {
    switch event {
    case .record(nil, _, _, _, _): return []
    case .record(let key?, let op, let arg, let timestamp, _):
      if let timestamp, timestamp <= watermark { late += 1 }
      return process(key, op, arg, timestamp)
    case .watermark(let time): return advance(to: time)
    }
  }

  private mutating func process(_ key: Int64, _ op: Int64, _ arg: Int64, _ timestamp: Int64?) -> [Event] {
    let n = (counts[key] ?? 0) + arg
    switch op {
    case 0, 1:
      counts[key] = n
      return [emitted(MachineRow(key, afterEventWith: n), timestamp)]
    case 2: _ = timers.register(key: key, time: (timestamp ?? 0) + arg)
    case 3: _ = timers.delete(key: key, time: (timestamp ?? 0) + arg)
    case 4: counts[key] = nil
    default:
      counts[key] = n
      _ = timers.register(key: key, time: (timestamp ?? 0) - arg)
    }
    return []
  }

  private mutating func advance(to time: Int64) -> [Event] {
    guard time > watermark else { return [] }
    watermark = time
    var events: [Event] = []
    while let timer = timers.pop(at: watermark) {
      fired += 1
      let n = counts[timer.key] ?? 0
      events.append(emitted(MachineRow(timer.key, afterTimerAt: timer.time, with: n), timer.time))
      if n % 3 == 1 {
        counts[timer.key] = n + 1
        _ = timers.register(key: timer.key, time: timer.time + n % 5)
      } else if n % 4 == 0 {
        counts[timer.key] = nil
      }
    }
    return events + [.watermark(watermark)]
  }

  private func emitted(_ row: MachineRow, _ timestamp: Int64?) -> Event {
    .record(key: row.key, op: row.op, arg: row.arg, timestamp: timestamp, watermark: watermark)
  }

  /// The events of a source: a watermark after each record that moves it, and the end.
  static func source(_ rows: [[Value]], bound: Int64) -> [Event] {
    func int(_ value: Value) -> Int64? { if case .int(let number) = value { number } else { nil } }
    var events: [Event] = []
    var watermark = EventTime.min
    for row in rows {
      let time = int(row[3])
      events.append(.record(key: int(row[0]), op: int(row[1])!, arg: int(row[2])!, timestamp: time, watermark: 0))
      if let time, time - bound - 1 > watermark {
        watermark = time - bound - 1
        events.append(.watermark(watermark))
      }
    }
    return events + [.watermark(EventTime.max)]
  }

  /// The output rows of a chain of machines.
  static func run(_ rows: [[Value]], bound: Int64, operators: Int) -> (rows: [[Value]], operators: [ModelOperator]) {
    var events = source(rows, bound: bound)
    var done: [ModelOperator] = []
    for _ in 0..<operators {
      var one = ModelOperator()
      events = events.flatMap { event in one.take(event) }
      done.append(one)
    }
    let output = events.compactMap { event -> [Value]? in
      guard case .record(let key?, let op, let arg, let timestamp, let watermark) = event else { return nil }
      return [.int(key), .int(op), .int(arg), .int(timestamp ?? -1), .int(watermark)]
    }
    return (output, done)
  }
}
