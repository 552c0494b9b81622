import BenchSupport
import Martlet

/// Running count per key, emitting key and count: what the C loop does, as a process function.
/// `@inline(__always)` spares a call for each record where the compiler does not see that it would: 6.4 → 5.6 ns.
struct IntegerCounter: ProcessFunction {
  let count = ValueState<Int64>("count")
  let user = OutputColumn<Int64>("user_id")
  let n = OutputColumn<Int64>("n")

  @inline(__always)
  func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
    let next = (count.get() ?? 0) + 1
    count.set(next)
    user.set(key.int64)
    n.set(next)
    try context.emit()
  }
}

/// The same, emitting the record by reference: what a Python `ctx.emit(batch)` does.
struct RecordCounter: ProcessFunction {
  let count = ValueState<Int64>("count")

  @inline(__always)
  func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
    count.set((count.get() ?? 0) + 1)
    try context.emit(batch)
  }
}

/// The function that does nothing: what the loop around it costs.
struct Nothing: ProcessFunction {
  func onEvent(key: Key, batch: Record, row: Int, context: Context) {}
}

/// A timer per key, a minute after its record.
struct TimerPerKey: ProcessFunction {
  let fired = OutputColumn<Int64>("fired")

  @inline(__always)
  func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
    try context.registerEventTimeTimer(key.int64 & 0xFFFF_FFFF)
  }

  func onTimer(key: Key, fireTime: Int64, context: Context) throws {
    fired.set(fireTime)
    try context.emit()
  }
}

func integerBatch(_ values: [Int64]) throws -> RecordBatch {
  let builder = try BatchBuilder(Schema([Field("user_id", .int64)]))
  for value in values {
    try builder.columns[0].append(int64: value)
    try builder.endRow()
  }
  return try builder.finish()
}

func stringBatch(_ keys: StringKeys) throws -> RecordBatch {
  let builder = try BatchBuilder(Schema([Field("user_id", .utf8)]))
  try keys.bytes.withUnsafeBytes { bytes in
    for row in 0..<(keys.offsets.count - 1) {
      try builder.columns[0].append(
        bytes: UnsafeRawBufferPointer(rebasing: bytes[Int(keys.offsets[row])..<Int(keys.offsets[row + 1])]))
      try builder.endRow()
    }
  }
  return try builder.finish()
}

/// Runs a function over one batch and gives the rows it emitted.
@inline(__always)
func rows(_ stream: Stream) throws -> Int {
  var rows = 0
  try stream.run(minRows: outputRows) { rows += $0.numRows }
  return rows
}
