/// A node of a running job: takes chunks, puts rows into its output.
protocol Operator: AnyObject {
  var name: String { get }
  var kind: OperatorKind { get }
  var output: OutputBuilder { get }
  /// The main output.
  var lane: OutputLane { get }
  var sides: SideOutputs { get }
  var counters: OperatorCounters { get }

  /// Called once before `process`; the schema is nil if the input ended without ever having one.
  func open(inputSchema: Schema?) throws
  func process(_ chunk: Chunk) throws
  /// The same for an operator of two inputs. Either schema may be nil while no record of that side has come.
  func open(left: Schema?, right: Schema?) throws
  func process(_ merged: MergedChunk) throws
  /// A watermark that comes without records.
  func finish(watermark: Int64) throws
  /// Fires the processing-time timers that the clock has passed; false if there are none.
  func tick() throws -> Bool
  /// While the input is idle: frees some of the state that has expired.
  func sweepExpired()
  /// Milliseconds until `tick` may have something to do, at least; nil if no processing-time timer is pending.
  var timeToNextTick: Int64? { get }
  /// The input has ended: fires what is left and ends the keys. The last watermark is not passed on: every operator of a chain
  /// is told of the end itself, after what the one before it emitted.
  func endInput(_ atEnd: TimersAtEnd) throws
  /// After `endInput` or a failure; does nothing unless open.
  func close() throws

  /// Several watermarks without records.
  func finish(_ marks: UnsafeBufferPointer<WatermarkMark>) throws
  /// Whether work was taken whose results are not in the outputs yet. Only with parallel instances.
  var hasWorkUnderWay: Bool { get }
  /// Waits for the results of the work that was taken first, of all work that was taken.
  func collectOldest() throws
  func collectAll() throws
}

extension Operator {
  func finish(_ marks: UnsafeBufferPointer<WatermarkMark>) throws {
    for mark in marks { try finish(watermark: mark.watermark) }
  }

  // For operators of one input.
  func open(left: Schema?, right: Schema?) throws { preconditionFailure("operator '\(name)' has one input") }
  func process(_ merged: MergedChunk) throws { preconditionFailure("operator '\(name)' has one input") }
  var hasWorkUnderWay: Bool { false }
  func collectOldest() throws {}
  func collectAll() throws {}
}

/// What an operator counts.
struct OperatorCounters: BitwiseCopyable {
  var nullKeys: Int64 = 0
  var late: Int64 = 0
  var lateDropped: Int64 = 0
  var errors: Int64 = 0
  var sideDropped: Int64 = 0
  var stateEntries = 0
  /// Of both domains.
  var timersFired: Int64 = 0
  var timersPending = 0
  var processingTimersFired: Int64 = 0
  var processingTimersPending = 0
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

/// What becomes of processing-time timers that are pending when a bounded input ends. (Event-time timers always fire.)
public enum TimersAtEnd: Int32, Sendable {
  /// They fire, in order of time; the context's processing time shows the time of each.
  case fire = 0
  /// They are forgotten.
  case drop = 1
  /// They stay pending, and are counted in the report.
  case keep = 2
}
