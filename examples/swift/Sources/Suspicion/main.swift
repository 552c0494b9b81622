// Two streams and one state: sign-ins that failed make a user suspicious for a minute, and payments made meanwhile are held back.
// The rules, how many failures it takes per country, come as a third stream that every instance sees.
import Martlet

/// Left: payments. Right: failed sign-ins. Both keyed by user.
struct HoldBack: CoProcessFunction {
  let failures = ValueState<Int64>("failures")
  let until = ValueState<Int64>("until")
  let amount = InputColumn<Double>("amount")
  let user = OutputColumn<String>("user")
  let held = OutputColumn<Double>("held")
  let count = OutputColumn<Int64>("failures")

  func onLeft(key: Key, batch: Record, row: Int, context: Context) throws {
    guard let seen = failures.get(), let amount = batch[amount], let time = context.timestamp else { return }
    // Time moves on after a record: the first payment of a calm minute may come before the timer.
    guard time < until.get() ?? 0 else { return }
    user.set(key.string)
    held.set(amount)
    count.set(seen)
    try context.emit()
  }

  func onRight(key: Key, batch: Record, row: Int, context: Context) throws {
    guard let time = context.timestamp else { return }
    failures.set(time < until.get() ?? 0 ? (failures.get() ?? 0) + 1 : 1)
    until.set(time + 60_000)
    // One timer per user: another failure moves it.
    try context.registerEventTimeTimer(time + 60_000, name: "calm")
  }

  func onTimer(key: Key, fireTime: Int64, context: Context) throws {
    // A user without state and timers takes no memory.
    failures.clear()
    until.clear()
  }
}

/// Lets through what was held back after at least so many failures; the number is a rule that may change while it runs.
struct AboveLimit: BroadcastProcessFunction {
  let rules = BroadcastState<String, Int64>("rules")
  let failures = InputColumn<Int64>("failures", side: .left)
  let limit = InputColumn<Int64>("limit", side: .right)

  func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
    guard let failures = batch[failures], failures >= rules["limit"] ?? 1 else { return }
    try context.emit(batch)
  }

  func onBroadcast(batch: Record, row: Int, context: Context) throws {
    if let limit = batch[limit] { try rules.put("limit", limit) }
  }
}

/// Rows of (user, number, seconds) as a batch with these column names.
func table(_ text: String, _ number: Field, _ rows: [(String, Double, Int64)]) throws -> RecordBatch {
  let builder = try BatchBuilder(Schema([Field(text, .utf8), number, Field("ts", .int64)]))
  for (user, value, second) in rows {
    let user = Array(user.utf8)
    try user.withUnsafeBytes { user in try builder.columns[0].append(bytes: user) }
    if number.type == .float64 {
      try builder.columns[1].append(double: value)
    } else {
      try builder.columns[1].append(int64: Int64(value))
    }
    try builder.columns[2].append(int64: second * 1000)
    try builder.endRow()
  }
  return try builder.finish()
}

let payments = try table(
  "user", Field("amount", .float64),
  [
    ("ann", 10, 5), ("bob", 20, 12), ("ann", 30, 20), ("ann", 40, 31), ("bob", 50, 40), ("ann", 60, 130),
    ("bob", 70, 140),
  ])
let signIns = try table(
  "account", Field("attempt", .int64), [("ann", 1, 10), ("ann", 2, 30), ("bob", 1, 35), ("bob", 2, 120)])
let limits = try table("rule", Field("limit", .int64), [("limit", 1, 0), ("limit", 2, 38)])

let held = Stream(BatchSource([payments]), timestamp: "ts").keyBy("user")
  .connect(Stream(BatchSource([signIns]), timestamp: "ts").keyBy("account"))
  .process(HoldBack())
let rules = Stream(BatchSource([limits]), timestamp: "ts").broadcast(BroadcastState<String, Int64>("rules"))
let stopped = held.keyBy("user").connect(rules).process(AboveLimit())

var rows: [String] = []
try stopped.run { batch in
  for row in 0..<batch.numRows {
    let user = String(decoding: batch.columns[0].bytes(row), as: UTF8.self)
    rows.append("\(user) \(batch.columns[1].double(row)) after \(batch.columns[2].int64(row))")
  }
}
print(rows.joined(separator: "\n"))
// Ann at 20 s has one failure, which is enough until 38 s, and at 31 s two; Bob's one failure is not enough at 40 s. At 130 s Ann is calm
// again, and so is Bob, whose failure at 120 s is his first of a new minute and not enough.
precondition(rows == ["ann 30.0 after 1", "ann 40.0 after 2"], "two payments are stopped")
