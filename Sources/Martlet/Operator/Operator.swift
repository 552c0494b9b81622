/// A node of a running job: takes chunks, puts rows into its output.
protocol Operator: AnyObject {
  var name: String { get }
  var output: OutputBuilder { get }
  /// The main output.
  var lane: OutputLane { get }
  var sides: SideOutputs { get }
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
  var lateDropped: Int64 = 0
  var errors: Int64 = 0
  var sideDropped: Int64 = 0
  var stateEntries = 0
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
  /// Leave the record out, count it, and send it to the side output "errors" of the operator that it came to.
  case deadLetter = 3
}
