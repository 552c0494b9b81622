/// One instance of one operator, as its coordinator sees it: work goes in, one result for each piece of work comes out, in order.
///
/// Instances run on threads of this process (`ThreadLink`) or in processes of their own. Used by the job's thread alone.
protocol InstanceLink: AnyObject {
  /// Hands work over; `now` is what the instance's clock shows while it does it, nil for the system's clock. May wait while the
  /// instance is far behind. Throws only when the instance is gone.
  func send(_ work: InstanceWork, now: Int64?) throws
  /// The next result; nil if it has not come within that time. Without a time it waits until it comes. Throws only when the instance
  /// is gone: what its function throws is `InstanceResult.failure`.
  func receive(within milliseconds: Int64?) throws -> InstanceResult?
  /// Work that was sent and not begun need not be done: its results may be empty. Before `close`, after a failure or an early end.
  func skipWaitingWork()
}

/// Makes the links of a job's operators: `ThreadTransport`, or one to worker processes.
protocol InstanceTransport: AnyObject {
  /// The link to instance `place.instance` of operator number `process` of the job. Called when the job begins, once for each.
  func link(process: Int, _ place: InstancePlace) throws -> any InstanceLink
  /// No more work comes; every operator was closed. Ends what the transport started.
  func shutDown()
}

/// Which of how many instances.
struct InstancePlace: Hashable, Sendable {
  var instance: Int32
  var parallelism: Int32
  var maxParallelism: Int32
}

/// What an instance is told to do. Every piece of work has one result.
enum InstanceWork {
  /// First, once.
  case open(InstanceOpening)
  case chunk(InstanceChunk)
  case merged(InstanceMergedChunk)
  /// Watermarks without records.
  case watermarks([Int64])
  /// Fire the processing-time timers that the clock has passed.
  case tick
  /// The output's schema was decided by what another instance emitted.
  case declare(tag: String?, Schema)
  /// The input has ended: one round of what is left of timers, event time, then processing time. `clockAtLeast` is the greatest
  /// `InstanceResult.clockAtLeast` of the round before, `Int64.min` in the first. Repeated while any instance has `timersLeft`.
  case endTimers(TimersAtEnd, clockAtLeast: Int64)
  /// `on_end` of every key; then rounds of timers again.
  case endKeys(clockAtLeast: Int64)
  /// Last, once.
  case close
  /// After `open`, before any record: keys of the instance, as a snapshot. Several times if they are many.
  case restore([UInt8], forgetting: [String])
  /// Write all keys as a snapshot: to a file, or into `InstanceResult.snapshot`.
  case snapshot(SnapshotTarget)
  /// Put down what changed, for the store of the process (`InstanceStorage.flush`), and give what a snapshot has beside the keys.
  case flush
}

/// What an instance is told before anything else.
struct InstanceOpening {
  /// Of the input (left, main); nil if it ended without ever having one, or, of two, is not known yet.
  let left: Schema?
  /// The same of the right or broadcast side of an operator with two inputs.
  let right: Schema?
  /// The outputs that somebody takes. Rows of others are counted and dropped by the instance.
  let lanes: [LaneUse]

  struct LaneUse: Equatable {
    /// Nil: the main output.
    let tag: String?
    let needsTimestamps: Bool
  }
}

/// An instance's records of one chunk. The pointers are good as long as `owner` lives.
struct InstanceChunk: @unchecked Sendable {
  // Written by the coordinator before it is sent, read by the instances.

  /// Of all instances.
  let batch: RecordBatch
  /// The number, in the operator's input, of row 0 of the batch.
  let firstRecord: Int64
  /// The instance's rows of the batch, rising.
  let rows: UnsafeBufferPointer<Int32>
  /// The position of each of them in the whole chunk.
  let positions: UnsafeBufferPointer<UInt32>
  /// Of each of them; nil if no record has one.
  let timestamps: UnsafePointer<Int64>?
  /// All watermarks of the whole chunk, at positions of the whole chunk.
  let marks: UnsafeBufferPointer<WatermarkMark>
  /// How many records the whole chunk has.
  let recordCount: Int
  let owner: AnyObject
  /// The rows of the batch from the chunk's first record to its last, of all instances: what worker processes are sent. Nil: from the
  /// first to the last of `rows`.
  var span: Range<Int>?
}

/// The same for two inputs. Broadcast records are in the chunk of every instance.
struct InstanceMergedChunk: @unchecked Sendable {
  // Written by the coordinator before it is sent, read by the instances.

  /// Those of the whole chunk, also where none of the instance's records is in one.
  let left: RecordBatch?
  let right: RecordBatch?
  let firstLeft: Int64
  let firstRight: Int64
  /// As `MergedChunk.rows`.
  let rows: UnsafeBufferPointer<UInt32>
  let positions: UnsafeBufferPointer<UInt32>
  let timestamps: UnsafePointer<Int64>?
  let marks: UnsafeBufferPointer<WatermarkMark>
  let recordCount: Int
  let owner: AnyObject
  /// As `InstanceChunk.span`, of either side.
  let leftSpan: Range<Int>
  let rightSpan: Range<Int>
}

/// What came of one piece of work.
struct InstanceResult {
  /// Rows, for outputs that somebody takes and that got some.
  var lanes: [InstanceLane] = []
  /// Schemas of outputs that became known with this work.
  var schemas: [(tag: String?, schema: Schema)] = []
  /// Of the operator so far.
  var counters = OperatorCounters()
  /// Before this time of its clock no processing-time timer of the instance falls due; nil if none is pending.
  var nextWake: Int64?
  /// After `endTimers`: another round has something to do.
  var timersLeft = false
  /// At the end of the input, the time of the last processing-time timer that fired before it was due; `Int64.min` if none did.
  var clockAtLeast = Int64.min
  /// What `snapshot` or `flush` asked for, if not in a file.
  var snapshot: [UInt8]?
  /// Why the keys could not be written. The instance goes on all the same.
  var snapshotFailure: EngineError?
  /// The work ended with an error; the lanes have what was emitted before it.
  var failure: InstanceFailure?
}

/// Rows that one instance emitted to one output.
struct InstanceLane {
  let tag: String?
  let batch: RecordBatch
  /// Which rows of the batch, in the order they were emitted; nil: all of them.
  let rows: RowNumbers?
  /// One per emitted row; nil if nobody needs them.
  let timestamps: RowTimestamps?
  let orders: RowOrders

  var count: Int { orders.values.count }
}

/// An error of an instance and where it stands in the order of a serial run.
struct InstanceFailure {
  let order: UInt32
  /// Of the timer or key that failed; its `firstRow` and `rowCount` mean nothing, `keyStart` is 0. Nil if a record failed.
  let detail: OrderDetail?
  let key: [UInt8]
  let error: any Error
}
