/// Where rows come from in a running job: an operator's main output or one of its side outputs.
public struct OutputSelector: Hashable, Sendable {
  /// The operator's number in the job, from 0, in the order they were added.
  public var process: Int
  /// Nil: the main output.
  public var tag: String?

  public init(process: Int, tag: String? = nil) {
    self.process = process
    self.tag = tag
  }
}

/// An output of a job that somebody takes: batches wait here, at the latest when they are large, until they are asked for.
final class JobOutput {
  static let largeBatch = 65_536

  let selector: OutputSelector
  private var waiting: [RecordBatch] = []
  private var next = 0
  private(set) var waitingRows = 0
  /// Whether the end, or the error, was told.
  var hasEnded = false

  init(_ selector: OutputSelector) { self.selector = selector }

  func add(_ batch: RecordBatch) {
    waiting.append(batch)
    waitingRows += batch.numRows
  }

  func takeWaiting() -> RecordBatch? {
    guard next < waiting.count else { return nil }
    let batch = waiting[next]
    next += 1
    waitingRows -= batch.numRows
    if next == waiting.count { (waiting, next) = ([], 0) }
    return batch
  }
}
