@testable import Martlet

/// A process function that does whatever its records say, so that random records are random programs. Its output has the columns
/// of its input, so that machines can be chained.
struct Machine: ProcessFunction {
  let count = ValueState<Int64>("count")
  let op = InputColumn<Int64>("op")
  let arg = InputColumn<Int64>("arg")
  let outK = OutputColumn<Int64>("k")
  let outOp = OutputColumn<Int64>("op")
  let outArg = OutputColumn<Int64>("arg")
  let outTime = OutputColumn<Int64>("t")
  let outWatermark = OutputColumn<Int64>("w")

  static let fields = [Field("k", .int64), Field("op", .int64), Field("arg", .int64), Field("t", .int64)]

  func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
    let arg = batch[arg]!
    let n = (count.get() ?? 0) + arg
    let time = context.timestamp ?? 0
    switch batch[op]! {
    case 0, 1:
      count.set(n)
      try emit(MachineRow(key.int64, afterEventWith: n), context)
    case 2: try context.registerEventTimeTimer(time + arg)
    case 3: try context.deleteEventTimeTimer(time + arg)
    case 4: count.clear()
    default:
      count.set(n)
      try context.registerEventTimeTimer(time - arg)
    }
  }

  func onTimer(key: Key, fireTime: Int64, context: Context) throws {
    let n = count.get() ?? 0
    try emit(MachineRow(key.int64, afterTimerAt: fireTime, with: n), context)
    if n % 3 == 1 {
      count.set(n + 1)
      try context.registerEventTimeTimer(fireTime + n % 5)
    } else if n % 4 == 0 {
      count.clear()
    }
  }

  private func emit(_ row: MachineRow, _ context: Context) throws {
    outK.set(row.key)
    outOp.set(row.op)
    outArg.set(row.arg)
    outTime.set(context.timestamp ?? -1)
    outWatermark.set(context.watermark)
    try context.emit()
  }
}

/// What a machine emits.
struct MachineRow {
  var key: Int64
  var op: Int64
  var arg: Int64

  init(key: Int64, op: Int64, arg: Int64) { (self.key, self.op, self.arg) = (key, op, arg) }
  init(_ key: Int64, afterEventWith n: Int64) { self.init(key: (key + n) % 7, op: n % 6, arg: n % 11) }
  init(_ key: Int64, afterTimerAt time: Int64, with n: Int64) {
    self.init(key: key, op: (time & 0xFF) % 6, arg: n % 13)
  }
}
