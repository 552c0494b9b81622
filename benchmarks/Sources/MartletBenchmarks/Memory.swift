import BenchSupport
import Glibc
import Martlet

/// Counts per key without emitting, so that what stays is keys and state alone.
struct SilentCounter: ProcessFunction {
  let count = ValueState<Int64>("count")

  func onEvent(key: Key, batch: Record, row: Int, context: Context) {
    count.set((count.get() ?? 0) + 1)
  }
}

/// Batches of new keys, made one at a time so that the input takes no memory.
final class NewKeys: Source {
  let schema: Schema? = Schema([Field("user_id", .int64)])
  private var nextKey: Int64 = 0
  private let total: Int64

  init(_ total: Int64) { self.total = total }

  func next() throws -> RecordBatch? {
    guard nextKey < total else { return nil }
    let end = min(nextKey + 65_536, total)
    // Spread over the whole range, as identifiers are.
    let batch = try integerBatch((nextKey..<end).map { Int64(bitPattern: UInt64($0) &* 0xD6E8_FEB8_6659_FD93) })
    nextKey = end
    return batch
  }
}

/// The resident memory of the process now and at its highest, in bytes.
func residentMemory() -> (now: Int, peak: Int) {
  guard let file = fopen("/proc/self/status", "r") else { return (0, 0) }
  defer { fclose(file) }
  var (now, peak) = (0, 0)
  var line = [CChar](repeating: 0, count: 256)
  while fgets(&line, Int32(line.count), file) != nil {
    let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let number = Int(text.filter(\.isNumber)) ?? 0
    if text.hasPrefix("VmRSS:") { now = number * 1024 }
    if text.hasPrefix("VmHWM:") { peak = number * 1024 }
  }
  return (now, peak)
}

/// Resident bytes per key of 10 M integer keys with one integer state each.
func reportMemory() throws {
  let keys = 10_000_000
  let before = residentMemory().now
  let job = try applyProcessFunction(Stream(NewKeys(Int64(keys))), "user_id", SilentCounter()).job()
  while try job.next() != nil {}
  let report = job.report
  let peak = residentMemory().peak
  precondition(report.keys == keys)
  print("\nMemory of \(keys) int keys with one int state")
  print("  resident at its highest  \(fixed(Double(peak - before) / Double(keys), 1)) bytes a key")
  print("  as the job counts it     \(fixed(Double(report.stateBytes) / Double(keys), 1)) bytes a key")
}
