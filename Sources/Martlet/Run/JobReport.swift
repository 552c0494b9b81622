/// What a job has done so far, or in all once it has ended.
public struct JobReport: Sendable {
  public var recordsIn: Int64
  public var recordsOut: Int64
  public var batchesIn: Int64
  public var batchesOut: Int64
  /// Records dropped for a null key.
  public var nullKeys: Int64
  /// Records with a null timestamp that were dropped, or delivered without one.
  public var nullTimestamps: Int64
  /// Records at or behind the watermark, whatever became of them.
  public var late: Int64
  /// Those of them that were left out under `LatePolicy.drop`.
  public var lateDropped: Int64
  /// Records and timers whose calls failed and were taken back.
  public var errors: Int64
  /// Rows of side outputs that were taken, or wait to be.
  public var sideRecords: Int64
  /// Rows of outputs that nobody asked for.
  public var sideDropped: Int64
  /// Values, list elements and map entries that states hold; what has expired counts until it is cleaned away.
  public var stateEntries: Int64
  /// Of the input: the last before its end.
  public var inputWatermark: Int64
  public var timersFired: Int64
  public var timersPending: Int64
  /// Keys that hold state or timers.
  public var keys: Int64
  /// Memory of keys, state and timers.
  public var stateBytes: Int64
  /// Of the last operator.
  public var watermark: Int64
  /// Those of `timersFired` and `timersPending` that wait for processing time.
  public var processingTimersFired: Int64
  public var processingTimersPending: Int64

  init(
    recordsIn: Int64, recordsOut: Int64, batchesIn: Int64, batchesOut: Int64, nullTimestamps: Int64,
    sideRecords: Int64, inputWatermark: Int64, counters: [OperatorCounters]
  ) {
    self.recordsIn = recordsIn
    self.recordsOut = recordsOut
    self.batchesIn = batchesIn
    self.batchesOut = batchesOut
    self.nullTimestamps = nullTimestamps
    self.sideRecords = sideRecords
    self.inputWatermark = inputWatermark
    lateDropped = counters.reduce(0) { $0 + $1.lateDropped }
    errors = counters.reduce(0) { $0 + $1.errors }
    sideDropped = counters.reduce(0) { $0 + $1.sideDropped }
    stateEntries = counters.reduce(0) { $0 + Int64($1.stateEntries) }
    nullKeys = counters.reduce(0) { $0 + $1.nullKeys }
    late = counters.reduce(0) { $0 + $1.late }
    timersFired = counters.reduce(0) { $0 + $1.timersFired }
    timersPending = counters.reduce(0) { $0 + Int64($1.timersPending) }
    keys = counters.reduce(0) { $0 + Int64($1.keys) }
    stateBytes = counters.reduce(0) { $0 + Int64($1.stateBytes) }
    watermark = counters.last?.watermark ?? EventTime.min
    processingTimersFired = counters.reduce(0) { $0 + $1.processingTimersFired }
    processingTimersPending = counters.reduce(0) { $0 + Int64($1.processingTimersPending) }
  }
}
