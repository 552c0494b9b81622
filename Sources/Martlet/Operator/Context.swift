import CMartlet

/// What a callback knows and can do: time, timers, output. One per operator instance.
///
/// The fields that change with every record live in a `martlet_context`, so that functions behind the C interface read the
/// same memory.
public final class Context {
  @usableFromInline package let raw: UnsafeMutablePointer<martlet_context>
  /// The main output.
  public let output: OutputBuilder
  let operatorName: String
  let clock: Clock
  @exclusivity(unchecked) var timerHandles: TimerHandles?
  private(set) var keySpace: KeySpace?
  /// Only with a store; the operator's.
  weak var writeBack: WriteBack?
  /// Only in a parallel instance.
  var orders: OrderCursor?
  /// Where the record loop next looks at its timers; see `RecordLoop`.
  private let nextMark: UnsafeMutablePointer<Int>?
  /// At the end of the input, the time of the processing-time timer that fires before it was due.
  @exclusivity(unchecked) var leastProcessingTime = Int64.min
  /// Shows the one slot of broadcast states, whatever the current key is.
  let broadcastCursor: UnsafeMutablePointer<martlet_context>
  /// The declared states, for bindings. Empty while the operator is not open.
  package internal(set) var states: [StateHandle] = []
  /// The main output, for bindings.
  package var mainPort: OutputPort { lane.port }
  private(set) lazy var lane = OutputLane(nil, output, self)
  private(set) lazy var sides = SideOutputs(self, reserved: reservedTags)
  private let reservedTags: [String]
  /// The timestamps of the current slice's records; nil outside of `onBatch`, and without event time.
  @exclusivity(unchecked) var sliceTimes: UnsafePointer<Int64>?
  /// How many timers, each registered by the one before, led to the current callback within one pass.
  @exclusivity(unchecked) var chainDepth: UInt32 = 0

  init(
    operatorName: String, output: OutputBuilder, reservedTags: [String] = [], clock: Clock = .system,
    nextMark: UnsafeMutablePointer<Int>? = nil
  ) {
    self.nextMark = nextMark
    self.operatorName = operatorName
    self.reservedTags = reservedTags
    self.output = output
    self.clock = clock
    raw = .allocate(capacity: 1)
    raw.initialize(to: martlet_context())
    broadcastCursor = .allocate(capacity: 1)
    broadcastCursor.initialize(to: martlet_context())
    raw.pointee.parallelism = 1
    raw.pointee.watermark = EventTime.min
    clearCall()
    raw.pointee.engine = Unmanaged.passUnretained(self).toOpaque()
  }

  deinit {
    raw.deallocate()
    broadcastCursor.deallocate()
  }

  func bind(keys: KeySpace, timers: TimerService) {
    keySpace = keys
    raw.pointee.key = UnsafePointer(keys.parts)
    raw.pointee.key_parts = Int64(keys.partCount)
    timerHandles = TimerHandles(timers)
  }

  func unbind() {
    states = []
    timerHandles = nil
    keySpace = nil
  }

  /// The error with the place it happened at, as far as it has none yet.
  func located(_ error: EngineError) -> EngineError {
    var error = error
    error.operatorName = error.operatorName ?? operatorName
    error.record = error.record ?? recordNumber
    error.key = error.key ?? key?.description
    return error
  }

  /// Leaves the current callback: no key, no record.
  @usableFromInline
  func clearCall() {
    raw.pointee.slot = Slot.none
    raw.pointee.batch = nil
    raw.pointee.row = -1
    raw.pointee.record = -1
    raw.pointee.timestamp = EventTime.none
    raw.pointee.fire_time = 0
    raw.pointee.timer_domain = Int32(MARTLET_NOT_A_TIMER.rawValue)
    raw.pointee.is_late = 0
    raw.pointee.rows = 0
    raw.pointee.side = Context.noSide
    sliceTimes = nil
    raw.pointee.timer_name = nil
  }

  /// The timestamp of the record in `onEvent`, of the timer in `onTimer`, in milliseconds; nil if there is none.
  @inlinable
  public var timestamp: Int64? {
    raw.pointee.timestamp == EventTime.none ? nil : raw.pointee.timestamp
  }

  /// The current watermark: `EventTime.min` before the first, `EventTime.max` at the end of the input.
  @inlinable
  public var watermark: Int64 { raw.pointee.watermark }

  /// The job's clock, in milliseconds since the Unix epoch. When processing-time timers that are not due yet fire because the
  /// input has ended, it shows the time of the timer.
  public var processingTime: Int64 { max(clock.now(), leastProcessingTime) }

  /// Which of the parallel instances this is, from 0.
  public var instance: Int { Int(raw.pointee.instance) }

  /// How many parallel instances there are; each has its own share of the keys.
  public var parallelism: Int { Int(raw.pointee.parallelism) }

  /// Whether the record's timestamp is not after the watermark.
  @inlinable
  public var isLate: Bool { raw.pointee.is_late != 0 }

  /// The record's number in the operator's input, from 0; nil outside of `onEvent`.
  public var recordNumber: Int64? { raw.pointee.record < 0 ? nil : raw.pointee.record }

  /// The current key; nil in `open` and `close`.
  public var key: Key? {
    raw.pointee.slot == Slot.none ? nil : Key(raw.pointee.key, Int(raw.pointee.key_parts))
  }

  /// Emits the record as it is, by reference. It carries the current timestamp.
  @inlinable @inline(__always)
  public func emit(_ record: Record) throws(EngineError) {
    try output.emitRow(record.batch, record.row, timestamp: raw.pointee.timestamp)
  }

  /// Emits the row that was set through `OutputColumn`s; columns that were not set are null.
  @inlinable @inline(__always)
  public func emit() throws(EngineError) {
    try output.endBuiltRow(timestamp: raw.pointee.timestamp)
  }

  /// Emits a whole batch, in order; every row carries the current timestamp.
  public func emit(batch: RecordBatch) throws(EngineError) {
    try output.emitBatch(batch, timestamp: raw.pointee.timestamp)
  }

  /// Makes the record loop look at the clock after this record: it does so only while processing-time timers are pending.
  func watchClock() { nextMark?.pointee = 0 }
}
