/// A node of a running job: takes chunks, puts rows into its output.
protocol Operator: AnyObject {
  var name: String { get }
  var output: OutputBuilder { get }
  /// Watermarks passed since the output was last taken, at the number of output rows before each. Kept only while
  /// `forwardsWatermarks` is set.
  var forwardedMarks: [WatermarkMark] { get set }
  var forwardsWatermarks: Bool { get set }
  var counters: OperatorCounters { get }

  /// Called once before `process`; the schema is nil if the input ended without ever having one.
  func open(inputSchema: Schema?) throws
  func process(_ chunk: Chunk) throws
  /// The input has ended: passes `watermark`, the last one.
  func finish(watermark: Int64) throws
  /// After `finish` or a failure; does nothing unless open.
  func close() throws
}

/// What an operator counts.
struct OperatorCounters {
  var nullKeys: Int64 = 0
  var late: Int64 = 0
  var timersFired: Int64 = 0
  var timersPending = 0
  var keys = 0
  var stateBytes = 0
  var watermark = EventTime.min
}

/// What to do with a record whose key or timestamp is null.
public enum NullPolicy: Int32, Sendable {
  /// Stop with an error that names the record.
  case raise = 0
  /// Leave the record out and count it.
  case drop = 1
  /// Timestamps only: deliver the record without a timestamp; it does not move the watermark.
  case process = 2
}
