@testable import Martlet

/// A process function that does whatever its records say, with every means that a function has: what it emits shows all it can see.
struct Gadget: ProcessFunction, EndOfInputFunction {
  struct Refused: Error, Equatable { let arg: Int64 }

  let total = ValueState<Int64>("total")
  let seen = ListState<Int64>("seen")
  let counts = MapState<Int64, Int64>("counts")
  let op = InputColumn<Int64>("op")
  let arg = InputColumn<Int64>("arg")
  let outK = OutputColumn<Int64>("k")
  let outOp = OutputColumn<Int64>("op")
  let outArg = OutputColumn<Int64>("arg")
  let outTime = OutputColumn<Int64>("t")
  let outText = OutputColumn<String>("text")
  let side = SideOutput("side")
  let sideWhat: OutputColumn<String>
  let records = SideOutput("records")
  /// Whether records are passed on by reference to the side output "records".
  var passesRecords = true

  static let fields = [
    Field("k", .int64), Field("op", .int64), Field("arg", .int64), Field("t", .int64), Field("text", .utf8),
  ]

  init() { sideWhat = OutputColumn("what", of: side) }

  func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
    let arg = batch[arg] ?? 0
    let time = context.timestamp ?? 0
    let n = (total.get() ?? 0) + arg
    switch batch[op] ?? 0 {
    case 0, 1:
      total.set(n)
      try emit(key, n, "record \(context.isLate)", context)
    case 2:
      try context.registerEventTimeTimer(time + arg)
      try context.registerEventTimeTimer(time - arg)
    case 3: try context.deleteEventTimeTimer(time + arg)
    case 4: total.clear()
    case 5:
      seen.add(n)
      try context.registerProcessingTimeTimer(context.processingTime + arg - 10)
    case 6:
      counts.put(arg, (counts.get(arg) ?? 0) + 1)
      for _ in 0..<(arg % 3) { try emit(key, n, "several", context) }
    case 7:
      if passesRecords { try context.emit(batch, to: records) }
      try note("record \(n)", context)
    case 8:
      try context.registerEventTimeTimer(time + 2 * arg, name: "named \(arg % 2)")
      total.set(n)
    default:
      try emit(key, n, "before refusing", context)
      total.set(n + 1)
      throw Refused(arg: arg)
    }
  }

  func onTimer(key: Key, fireTime: Int64, context: Context) throws {
    let n = total.get() ?? 0
    let what = "\(context.timerDomain == .event ? "event" : "processing") \(fireTime) \(context.timerName ?? "")"
    if n % 7 != 6 { try emit(key, n, what, context) }
    try note(what, context)
    if n % 3 == 1 {
      total.set(n + 1)
      try context.registerEventTimeTimer(fireTime + n % 5)
      // Earlier than the one that fires, and so next.
      try context.registerEventTimeTimer(fireTime - 3)
    } else if n % 4 == 0 {
      total.clear()
    } else if n % 5 == 2 {
      total.set(n + 2)
      try context.registerProcessingTimeTimer(context.processingTime + n % 9)
    }
  }

  func onEnd(key: Key, context: Context) throws {
    try emit(key, total.get() ?? -1, "end \(seen.get().count)", context)
    if key.int64 % 3 == 0 {
      try context.registerProcessingTimeTimer(context.processingTime + key.int64 % 5)
      try context.registerEventTimeTimer(key.int64)
      total.set(2)
    }
  }

  private func emit(_ key: Key, _ n: Int64, _ what: String, _ context: Context) throws {
    outK.set((key.int64 &+ n) % 11)
    outOp.set(((n % 9) + 9) % 9)
    outArg.set(((n % 13) + 13) % 13)
    outTime.set(context.timestamp ?? -1)
    outText.set("\(what) of \(key.int64) at \(context.watermark) \(context.processingTime)")
    try context.emit()
  }

  private func note(_ what: String, _ context: Context) throws {
    sideWhat.set("\(what): \(context.key.map(\.description) ?? "") \(context.timestamp ?? -1) \(context.watermark)")
    try context.emit(to: side)
  }
}

/// Shows where records and watermarks of the output before it stand to each other.
struct Witness: ProcessFunction {
  let text = OutputColumn<String>("text")

  func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
    let cells = try batch.string("text") ?? ""
    text.set(
      "\(cells) | \(context.timestamp ?? -1) \(context.watermark) \(context.isLate) \(context.recordNumber ?? -1)")
    try context.emit()
    try context.registerEventTimeTimer((context.timestamp ?? 0) + 7)
  }

  func onTimer(key: Key, fireTime: Int64, context: Context) throws {
    text.set("timer \(fireTime) \(context.watermark)")
    try context.emit()
  }
}

/// As `Gadget` without processing time, which a clock that runs by itself makes different every time.
struct EventGadget: ProcessFunction {
  let total = ValueState<Int64>("total")
  let op = InputColumn<Int64>("op")
  let arg = InputColumn<Int64>("arg")
  let outK = OutputColumn<Int64>("k")
  let outOp = OutputColumn<Int64>("op")
  let outArg = OutputColumn<Int64>("arg")
  let outTime = OutputColumn<Int64>("t")
  let outText = OutputColumn<String>("text")
  let records = SideOutput("records")
  let side = SideOutput("side")

  func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
    let arg = batch[arg] ?? 0
    let time = context.timestamp ?? 0
    let n = (total.get() ?? 0) + arg
    total.set(n)
    switch batch[op] ?? 0 {
    case 0: try emit(key, n, "record", context)
    case 2: try context.registerEventTimeTimer(time + 50 * arg)
    case 3: try context.registerEventTimeTimer(time - arg)
    case 4: try context.emit(batch, to: records)
    case 6: try context.emit(batch, to: side)
    default:
      for _ in 0..<(n % 3) { try emit(key, n, "several", context) }
    }
  }

  func onTimer(key: Key, fireTime: Int64, context: Context) throws {
    try emit(key, total.get() ?? 0, "timer \(fireTime)", context)
  }

  private func emit(_ key: Key, _ n: Int64, _ what: String, _ context: Context) throws {
    outK.set((key.int64 &+ n) % 11)
    outOp.set(n % 9)
    outArg.set(n % 13)
    outTime.set(context.timestamp ?? -1)
    outText.set("\(what) of \(key.int64) at \(context.watermark)")
    try context.emit()
  }
}
