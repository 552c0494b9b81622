@testable import Martlet

/// One batch of a source with partitions.
struct PartitionedItem {
  var partition: String?
  var isLast = false
  var times: [Int64?]
  /// Milliseconds that pass while the source gives it.
  var takes: Int64 = 0
}

/// Gives the items in batches of sizes that go round. Its offset is the number of an item and of a row in it.
final class PartitionedSource: Source {
  static let fields = [Field("k", .int64), Field("t", .int64)]
  let schema: Schema? = Schema(PartitionedSource.fields)
  var mayWait: Bool { false }
  private let items: [PartitionedItem]
  private let sizes: [Int]
  private var (item, row, batches) = (0, 0, 0)
  private var given: PartitionedItem?
  var onRead: (PartitionedItem?) throws -> Void = { _ in }

  init(_ items: [PartitionedItem], sizes: [Int] = [1000]) { (self.items, self.sizes) = (items, sizes) }

  func next() throws -> RecordBatch? {
    try onRead(item < items.count ? items[item] : nil)
    guard item < items.count else { return nil }
    let one = items[item]
    let end = min(one.times.count, row + sizes[batches % sizes.count])
    batches += 1
    given = one
    let rows = one.times[row..<end].map { [.int(0), $0.map { .int($0) } ?? .null] as [Value] }
    (item, row) = end == one.times.count ? (item + 1, 0) : (item, end)
    return try batch(PartitionedSource.fields, rows)
  }

  var partition: SourcePartition? {
    given.flatMap { one in one.partition.map { SourcePartition($0, isLast: one.isLast) } }
  }

  var offset: SourceOffset? {
    var writer = ByteWriter()
    for number in [item, row, batches] { writer.integer(Int64(number)) }
    return SourceOffset(writer.bytes)
  }

  func restore(_ offset: SourceOffset) throws {
    try offset.bytes.withUnsafeBytes {
      var reader = ByteReader($0)
      item = Int(try reader.integer(Int64.self))
      row = Int(try reader.integer(Int64.self))
      batches = Int(try reader.integer(Int64.self))
    }
  }
}

/// Tells the time, watermark and lateness of every record, and sets a timer for each; the timers tell theirs.
struct WatermarkTeller: ProcessFunction {
  let time = OutputColumn<Int64>("time")
  let watermark = OutputColumn<Int64>("watermark")
  let kind = OutputColumn<String>("kind")

  func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
    time.set(context.timestamp ?? -1)
    watermark.set(context.watermark)
    kind.set(context.isLate ? "late" : "in time")
    try context.emit()
    if let timestamp = context.timestamp { try context.registerEventTimeTimer(timestamp + 3) }
  }

  func onTimer(key: Key, fireTime: Int64, context: Context) throws {
    time.set(fireTime)
    watermark.set(context.watermark)
    kind.set("timer")
    try context.emit()
  }

  /// The same by hand, a record at a time, for a source whose partitions never fall silent.
  static func model(_ items: [PartitionedItem], bound: Int64) -> [[Value]] {
    var rows: [[Value]] = []
    var timers: Set<Int64> = []
    var watermark = EventTime.min
    // The greatest timestamp of each partition that counts.
    var greatest: [String: Int64?] = [:]
    var ending: String?
    func emit(_ time: Int64, _ kind: String) { rows.append([.int(time), .int(watermark), .text(kind)]) }
    func advance() {
      let all = greatest.values.map { $0.map { $0 - bound - 1 } ?? EventTime.min }
      guard let least = all.min(), least > watermark else { return }
      watermark = least
      fire()
    }
    func fire() {
      let due = timers.filter { $0 <= watermark }.sorted()
      timers.subtract(due)
      for time in due { emit(time, "timer") }
    }
    for item in items {
      let name = item.partition.map { "p" + $0 } ?? "none"
      if let last = ending, last != name { greatest[last] = nil }
      ending = item.isLast ? name : nil
      if item.partition != nil || !item.times.isEmpty { greatest.updateValue(greatest[name] ?? nil, forKey: name) }
      advance()
      for time in item.times {
        emit(time ?? -1, time.map { $0 <= watermark } ?? false ? "late" : "in time")
        guard let time else { continue }
        timers.insert(time + 3)
        greatest[name] = max((greatest[name] ?? nil) ?? time, time)
        advance()
      }
    }
    watermark = EventTime.max
    fire()
    return rows
  }
}
