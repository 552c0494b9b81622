/// Per-record code over a keyed stream, with state and timers of the current key.
///
/// Conform with a struct or a class. States (`ValueState`), typed columns of the input (`InputColumn`) and of the output
/// (`OutputColumn`) are stored properties; they are found by reflection when the function is opened and work inside the
/// callbacks. The compiler specialises the record loop for your type, so a callback costs what its own code costs.
///
/// The model is Flink's `KeyedProcessFunction`.
public protocol ProcessFunction {
  /// Called once, before the first record, on every parallel instance. No key is current.
  mutating func open(context: Context) throws

  /// Called for every record. `batch` is the one record, `row` its index in it: always 0.
  mutating func onEvent(key: Key, batch: Record, row: Int, context: Context) throws

  /// Called when a registered timer is due; it is no longer pending. For an event-time timer `context.watermark` is already the
  /// one that reached it and `context.timestamp` the timer's time; in a processing-time timer (`context.timerDomain`) there is
  /// no timestamp. Calls of one instance never overlap.
  mutating func onTimer(key: Key, fireTime: Int64, context: Context) throws

  /// Called once, after the last record or an error, if `open` was.
  mutating func close(context: Context) throws

  /// Encloses every run of `onEvent` and `onTimer` calls: the place to take a lock for all of them. `didProcess` is called
  /// whenever `willProcess` returned. `batch` is nil at the end of the input, when only timers fire.
  mutating func willProcess(batch: RecordBatch?, context: Context) throws
  mutating func didProcess(context: Context)

  /// Called when the job's `ErrorPolicy` swallows what a callback threw, after everything the call did was taken back: the
  /// place to log it. What it gives is what a dead letter shows.
  mutating func describe(_ failure: any Error, context: Context) -> FailureDetails

  /// Whether records come through `onBatch`; see `BatchProcessFunction`. Does not change once the function is opened.
  var takesSlices: Bool { get }
  mutating func onBatch(key: Key, batch: RecordSlice, context: Context) throws
}

extension ProcessFunction {
  public mutating func open(context: Context) throws {}
  public mutating func onTimer(key: Key, fireTime: Int64, context: Context) throws {}
  public mutating func close(context: Context) throws {}
  @inlinable public mutating func willProcess(batch: RecordBatch?, context: Context) throws {}
  @inlinable public mutating func didProcess(context: Context) {}
  public mutating func describe(_ failure: any Error, context: Context) -> FailureDetails {
    if let error = failure as? EngineError { return FailureDetails(type: "\(error.kind)", message: error.message) }
    return FailureDetails(type: "\(type(of: failure))", message: "\(failure)")
  }
  @inlinable public var takesSlices: Bool { false }
  public mutating func onBatch(key: Key, batch: RecordSlice, context: Context) throws {
    for index in 0..<batch.count { try onEvent(key: key, batch: batch[index], row: 0, context: context) }
  }
}

/// What a callback threw, and where. `underlying` is the error as it was thrown.
public struct ProcessFunctionError: Error, CustomStringConvertible {
  public let operatorName: String
  /// The record's number in the operator's input, from 0; nil outside of `onEvent`.
  public let record: Int64?
  /// The key as text; nil where there was none.
  public let key: String?
  public let underlying: any Error

  public var description: String {
    var place = "operator '\(operatorName)'"
    if let record { place += ", record \(record)" }
    if let key { place += ", key \(key)" }
    return "\(place): \(underlying)"
  }
}
