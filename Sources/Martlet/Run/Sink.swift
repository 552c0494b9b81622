/// Where a stream's output goes, in transactions numbered by the checkpoint that they belong to.
///
/// The life of a sink: `recover`, then `write` … `prepare(1)`, `commit(1)`, `write` … `prepare(2)` and so on, and `close`. Between
/// `prepare(n)` and `commit(n)` checkpoint n becomes durable. A process may die at any point; the next one makes a new sink and begins
/// with `recover`. A job without a state directory is one transaction, 1.
///
/// What a call throws ends the run. Calls come from the thread that runs the stream.
public protocol Sink: AnyObject {
  /// First: the last checkpoint that is durable, nil if the job begins anew. As `abort`, for what an earlier process left.
  func recover(_ checkpoint: Int64?) throws
  func write(_ batch: RecordBatch) throws
  /// Makes all that was written since the last `prepare` durable as transaction `checkpoint`, which nobody can read yet.
  func prepare(_ checkpoint: Int64) throws
  /// Makes the transactions up to `checkpoint` readable. Those that are already stay so.
  func commit(_ checkpoint: Int64) throws
  /// Goes back to the last durable checkpoint, 0 if there is none: what was written or prepared after it is given up, it itself is committed
  /// if need be.
  func abort(_ checkpoint: Int64) throws
  /// Last. What was not prepared is given up, what was prepared stays for `recover`.
  func close() throws
}
