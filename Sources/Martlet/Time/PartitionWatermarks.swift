/// The watermark of a source whose records belong to *partitions*, each with records in an order of its own: partitions of a topic, files of
/// devices.
///
/// Each partition has a watermark as a stream without partitions has (`WatermarkTracker`), and the source's is the least of those
/// that count. So a partition that is read far ahead of another does not make the other's records late. One that is *idle*, since nothing came
/// of it for long, does not count until its next record, and one that has ended no more at all. The source's watermark never goes
/// back: a partition that is new, or comes back, holds it where it is until it has caught up. While all partitions are idle it stays.
///
/// The rules are those of Flink's `WatermarkOutputMultiplexer` with one output per split, evaluated after every record.
struct PartitionWatermarks {
  struct Partition: Equatable {
    /// Nil: of the records that come without a partition, between others that have one.
    var name: String?
    var watermark = EventTime.min
    var isIdle = false
    /// Its last batch is there: it ends when something else comes.
    var isEnding = false
    /// Milliseconds without a record.
    var quietFor: Int64 = 0
  }

  let bound: Int64
  private(set) var watermark: Int64
  /// In the order in which they came.
  private(set) var all: [Partition]
  /// The one whose records come now.
  private var current: Int?
  private var hasAdvanced = false

  init(bound: Int64, watermark: Int64, _ all: [Partition] = []) {
    (self.bound, self.watermark, self.all) = (bound, watermark, all)
  }

  /// The next batch is of that partition, which is there from now on, also if the batch has no rows. A batch that has none and names no
  /// partition belongs to none.
  mutating func begin(_ partition: SourcePartition?, rows: Int) {
    let name = partition?.name
    all.removeAll { $0.isEnding && $0.name != name }
    current = nil
    if name != nil || rows > 0 {
      let place = all.firstIndex { $0.name == name } ?? all.endIndex
      if place == all.endIndex { all.append(Partition(name: name)) }
      all[place].isEnding = partition?.isLast ?? false
      if rows > 0 { (all[place].isIdle, all[place].quietFor) = (false, 0) }
      current = place
    }
    advance()
  }

  /// So many milliseconds have passed; partitions without a record for `timeout` are idle from now on. The current one is left out if its
  /// rows came only now. What that makes of the source's watermark is told with the next batch, or by `advance`.
  mutating func pass(_ milliseconds: Int64, timeout: Int64, butNotCurrent: Bool) {
    for place in all.indices where !all[place].isIdle && !(butNotCurrent && place == current) {
      all[place].quietFor = all[place].quietFor.saturatingAdding(milliseconds)
      all[place].isIdle = all[place].quietFor >= timeout
    }
  }

  /// The source's watermark, if it advanced without a record.
  mutating func takeAdvance() -> Int64? {
    defer { hasAdvanced = false }
    return hasAdvanced ? watermark : nil
  }

  /// Takes the times of records of the current partition. The watermark after each record that moved it goes to `marks`, before all of them what
  /// moved without a record: at most one more than records. Returns how many.
  mutating func mark(
    _ times: UnsafePointer<Int64>, _ count: Int, into marks: UnsafeMutablePointer<WatermarkMark>
  ) -> Int {
    var markCount = 0
    if let watermark = takeAdvance() {
      marks[0] = WatermarkMark(position: 0, watermark: watermark)
      markCount = 1
    }
    guard let current else { return markCount }
    var limit = EventTime.max
    for place in all.indices where place != current && !all[place].isIdle { limit = min(limit, all[place].watermark) }
    var (own, combined) = (all[current].watermark, watermark)
    for row in 0..<count where times[row] != EventTime.none {
      let candidate = times[row].saturatingSubtracting(bound).saturatingSubtracting(1)
      guard candidate > own else { continue }
      own = candidate
      guard min(own, limit) > combined else { continue }
      combined = min(own, limit)
      marks[markCount] = WatermarkMark(position: row &+ 1, watermark: combined)
      markCount &+= 1
    }
    (all[current].watermark, watermark) = (own, combined)
    return markCount
  }

  mutating func advance() {
    var least = EventTime.max
    var counts = false
    for partition in all where !partition.isIdle {
      least = min(least, partition.watermark)
      counts = true
    }
    guard counts, least > watermark else { return }
    (watermark, hasAdvanced) = (least, true)
  }
}
