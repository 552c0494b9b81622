/// Event time in milliseconds since the Unix epoch.
public enum EventTime {
  /// The watermark before any record: no time has passed.
  public static let min = Int64.min
  /// The watermark at the end of a bounded input: all time has passed.
  public static let max = Int64.max
  /// The timestamp of a record that has none.
  public static let none = Int64.min
}

/// The watermark of one input: after each record the greatest timestamp so far, less the bound, less one.
///
/// It never goes back. "Less one" because another record with the same timestamp may still come: with bound 0 a record
/// at 100 moves the watermark to 99, a timer at 100 is not due and a second record at 100 is not late. (Flink's
/// `BoundedOutOfOrdernessWatermarks`, evaluated after every record instead of every 200 ms.)
struct WatermarkTracker {
  /// How much later than the greatest timestamp a record may come, in milliseconds.
  let bound: Int64
  private(set) var watermark = EventTime.min

  init(bound: Int64) { self.bound = bound }

  /// Goes on where another one stood.
  init(bound: Int64, watermark: Int64) {
    self.bound = bound
    self.watermark = watermark
  }

  /// Takes a record's timestamp; the new watermark if it advanced.
  @inline(__always)
  mutating func observe(_ timestamp: Int64) -> Int64? {
    let candidate = timestamp.saturatingSubtracting(bound).saturatingSubtracting(1)
    guard candidate > watermark else { return nil }
    watermark = candidate
    return candidate
  }
}

/// A watermark between two rows of a chunk.
@usableFromInline
struct WatermarkMark: BitwiseCopyable {
  /// The number of rows of the chunk that come before it.
  @usableFromInline var position: Int
  @usableFromInline var watermark: Int64

  @usableFromInline
  init(position: Int, watermark: Int64) {
    self.position = position
    self.watermark = watermark
  }
}
