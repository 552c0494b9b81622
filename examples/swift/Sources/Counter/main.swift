// Purchases per user and minute: state that is counted up with every record, and a timer that gives the total out.
import Martlet

struct PurchasesPerMinute: ProcessFunction {
  // What each user has now.
  let current = ValueState<Int64>("minute")
  let count = ValueState<Int64>("count")
  let total = ValueState<Double>("total")
  // The columns this function reads …
  let amount = InputColumn<Double>("amount")
  // … and those of its output.
  let user = OutputColumn<String>("user")
  let minute = OutputColumn<Int64>("minute")
  let purchases = OutputColumn<Int64>("purchases")
  let spent = OutputColumn<Double>("spent")

  func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
    guard let amount = batch[amount], let time = context.timestamp else { return }
    // Time moves on after a record: the first of a new minute may come before the timer that ends the last one.
    if let last = current.get(), last != time / 60_000 { try giveOut(key, context) }
    current.set(time / 60_000)
    count.set((count.get() ?? 0) + 1)
    total.set((total.get() ?? 0) + amount)
    // One timer per user and time, however often it is registered.
    try context.registerEventTimeTimer((time / 60_000 + 1) * 60_000 - 1)
  }

  func onTimer(key: Key, fireTime: Int64, context: Context) throws {
    if current.get() == fireTime / 60_000 { try giveOut(key, context) }
  }

  private func giveOut(_ key: Key, _ context: Context) throws {
    user.set(key.string)
    minute.set(current.get() ?? 0)
    purchases.set(count.get() ?? 0)
    spent.set(total.get() ?? 0)
    try context.emit()
    // A user without state and timers takes no memory.
    current.clear()
    count.clear()
    total.clear()
  }
}

/// 6,000 purchases, one every 100 ms, so ten minutes: by 7 users in turn, of 1 to 5.
func purchases() throws -> RecordBatch {
  let schema = Schema([Field("user", .utf8), Field("amount", .float64), Field("ts", .int64)])
  let builder = try BatchBuilder(schema)
  for number in Int64(0)..<6000 {
    let name = Array("user-\(number % 7)".utf8)
    try name.withUnsafeBytes { name in try builder.columns[0].append(bytes: name) }
    try builder.columns[1].append(double: Double(number % 5 + 1))
    try builder.columns[2].append(int64: number * 100)
    try builder.endRow()
  }
  return try builder.finish()
}

let input = try purchases()
let events = Stream(BatchSource([input]), timestamp: "ts")
let perMinute = applyProcessFunction(events, "user", PurchasesPerMinute())

var rows = 0
var inFirstMinute: Int64 = 0
var counted: Int64 = 0
try perMinute.run { batch in
  let output = batch.columns
  for row in 0..<batch.numRows {
    if rows < 3 {
      print(
        String(decoding: output[0].bytes(row), as: UTF8.self), "minute", output[1].int64(row), "purchases",
        output[2].int64(row), "spent", output[3].double(row))
    }
    rows += 1
    if output[1].int64(row) == 0 { inFirstMinute += output[2].int64(row) }
    counted += output[2].int64(row)
  }
}
print("…\n\(rows) rows, \(counted) purchases")
precondition(rows == 70 && counted == 6000, "ten minutes of seven users, and every purchase once")
precondition(inFirstMinute == 600, "and each in its own minute")
