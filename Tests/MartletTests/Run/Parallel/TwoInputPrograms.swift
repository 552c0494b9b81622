@testable import Martlet

/// A function of two inputs that does what its records say.
struct CoGadget: CoProcessFunction {
  let total = ValueState<Int64>("total")
  let op = InputColumn<Int64>("op")
  let arg = InputColumn<Int64>("arg")
  let text = OutputColumn<String>("text")
  let k = OutputColumn<Int64>("k")
  let records = SideOutput("records")

  struct Refused: Error { let arg: Int64 }

  func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
    let isRight = context.side == .right
    let arg = batch[arg] ?? 0
    let time = context.timestamp ?? 0
    let n = (total.get() ?? 0) + (isRight ? 100 : 1) * arg
    switch batch[op] ?? 0 {
    case 0, 1:
      total.set(n)
      try emit(key, "\(isRight ? "right" : "left") \(n) \(context.isLate) \(context.recordNumber ?? -1)", context)
    case 2:
      try context.registerEventTimeTimer(time + arg)
      try context.registerEventTimeTimer(time - arg)
    case 3: try context.registerProcessingTimeTimer(context.processingTime + arg - 10)
    case 4: if isRight { try context.emit(batch, to: records) } else { total.clear() }
    case 9:
      total.set(n + 5)
      throw Refused(arg: arg)
    default:
      total.set(n)
      for _ in 0..<(arg % 3) { try emit(key, "several", context) }
    }
  }

  func onTimer(key: Key, fireTime: Int64, context: Context) throws {
    let n = total.get() ?? 0
    try emit(key, "timer \(fireTime) \(n)", context)
    if n % 3 == 1 {
      total.set(n + 1)
      try context.registerEventTimeTimer(fireTime - 3)
    }
  }

  private func emit(_ key: Key, _ what: String, _ context: Context) throws {
    k.set(key.int64 * 7 % 5)
    text.set("\(what) of \(key.int64) at \(context.timestamp ?? -1) \(context.watermark) \(context.processingTime)")
    try context.emit()
  }
}

/// A function with a broadcast side whose own output does not depend on how many see it: it emits only where it visits keys.
struct BroadcastGadget: BroadcastProcessFunction {
  let total = ValueState<Int64>("total")
  let rules = BroadcastState<Int64, Int64>("rules")
  let op = InputColumn<Int64>("op")
  let arg = InputColumn<Int64>("arg")
  let text = OutputColumn<String>("text")
  let k = OutputColumn<Int64>("k")

  func onBroadcast(batch: Record, row: Int, context: Context) throws {
    let (op, arg) = (batch[op] ?? 0, batch[arg] ?? 0)
    switch op {
    case 0, 1, 2: try rules.put(arg % 4, arg)
    case 3: try rules.remove(arg % 4)
    default:
      for visit in 0..<(arg % 3) {
        try context.applyToKeyedState(total) { key in
          let n = total.get() ?? 0
          try emit(key, "visit \(visit) \(n) rule \(rules.get(n % 4) ?? -1)", context)
          if n % 2 == 0 { total.set(n + 1) }
        }
      }
    }
  }

  func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
    let arg = batch[arg] ?? 0
    let n = (total.get() ?? 0) + arg
    total.set(n)
    if arg % 4 == 1 { try context.registerEventTimeTimer((context.timestamp ?? 0) + arg) }
    try emit(key, "record \(n) rule \(rules.get(arg % 4) ?? -1) \(context.isLate)", context)
  }

  func onTimer(key: Key, fireTime: Int64, context: Context) throws {
    try emit(key, "timer \(fireTime) \(total.get() ?? 0) rule \(rules.get(fireTime & 3) ?? -1)", context)
    total.clear()
  }

  private func emit(_ key: Key, _ what: String, _ context: Context) throws {
    k.set(key.int64 * 7 % 5)
    text.set("\(what) of \(key.int64) at \(context.timestamp ?? -1) \(context.watermark)")
    try context.emit()
  }
}

/// Without a key: what a rule makes of each record.
struct PlainBroadcastGadget: BroadcastProcessFunction {
  let rules = BroadcastState<Int64, Int64>("rules")
  let op = InputColumn<Int64>("op")
  let arg = InputColumn<Int64>("arg")
  let text = OutputColumn<String>("text")
  let k = OutputColumn<Int64>("k")

  func onBroadcast(batch: Record, row: Int, context: Context) throws { try rules.put(batch[op] ?? 0, batch[arg] ?? 0) }

  func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
    k.set(batch[arg] ?? 0)
    text.set("rule \(rules.get(batch[op] ?? 0) ?? -1) at \(context.timestamp ?? -1) \(context.watermark)")
    try context.emit()
  }
}

extension ProcessSpec {
  static func twoInputs<Function: TwoInputFunction>(
    _ name: String, _ kind: OperatorKind, _ keys: ([String], [String]), _ function: @escaping () -> Function
  ) throws -> ProcessSpec {
    func make() throws -> ProcessSpec {
      let function = function()
      var spec = try ProcessSpec(
        name: name, keyColumns: keys.0, handles: FunctionHandles(of: function, []), outputSchema: nil,
        calls: FunctionCalls(twoInputs: function))
      spec.kind = kind
      spec.rightKeyColumns = keys.1
      return spec
    }
    var spec = try make()
    spec.makeInstance = { _ in try make() }
    return spec
  }
}
