/// Drives one job to its end, with checkpoints in between, and its output into a sink, each record once over all lives of the job.
final class DurableRun {
  private let job: Job
  private let sink: any Sink
  private let directory: StateDirectory
  /// The last checkpoint that is durable; 0 for none.
  private var last: Int64
  private var underWay: Int64?
  /// What came out since the checkpoint under way was begun.
  private var held: [RecordBatch] = []
  private var heldRows = 0
  private var nextTime: Int64
  private let interval: Int64

  /// So much output waits in memory for a checkpoint; then the job waits for it too.
  private static let mostHeldRows = 1 << 19

  /// `interval` is in milliseconds.
  init(
    _ job: Job, _ sink: any Sink, _ directory: StateDirectory, from: String?, _ forgetting: Forgetting, interval: Int64
  )
    throws
  {
    (self.job, self.sink, self.directory, self.interval) = (job, sink, directory, interval)
    nextTime = monotonicMilliseconds().saturatingAdding(interval)
    job.staysOpenAtEnd = true
    last = try directory.attach(job, from: from, forgetting: forgetting).id
    try sink.recover(last == 0 ? nil : last)
  }

  func run(minRows: Int) throws {
    let timer = try PauseTimer(job, every: min(interval, 1 << 40))
    defer { timer.stop() }
    do {
      while true {
        if let batch = try job.next(minRows: minRows) {
          try give(batch)
        } else if !job.isPaused {
          break
        }
        if underWay != nil { try finish(waiting: heldRows > DurableRun.mostHeldRows) }
        if underWay == nil, monotonicMilliseconds() >= nextTime { try begin() }
      }
      try finish(waiting: true)
      try begin()
      try finish(waiting: true)
      try job.close()
    } catch {
      try? job.close()
      giveUp()
      throw error
    }
    try sink.close()
  }

  private func give(_ batch: RecordBatch) throws {
    guard underWay != nil else { return try sink.write(batch) }
    held.append(batch)
    heldRows += batch.numRows
  }

  /// The numbered steps of a checkpoint.
  private func begin() throws {
    let id = directory.nextID
    // 1. All output there is goes to the sink. A crash: the checkpoint before; the sink forgets what was not prepared.
    while let batch = try job.takeReady() { try sink.write(batch) }
    // What failed is told by the next `next`.
    guard job.isSound else { return }
    try FaultPoint.sinkBeforePrepare.reach()
    // 2. The sink prepares. A crash: the checkpoint before; the sink forgets transaction `id`.
    try sink.prepare(id)
    try FaultPoint.sinkAfterPrepare.reach()
    // 3. State is put down in memory, and 4. written by a thread. A crash: the same, until `StateDirectory` has renamed the folder.
    try directory.begin(job, id: id)
    underWay = id
    nextTime = monotonicMilliseconds().saturatingAdding(interval)
  }

  private func finish(waiting: Bool) throws {
    guard let id = underWay, try directory.finish(job, waiting: waiting) else { return }
    (underWay, last) = (nil, id)
    try FaultPoint.sinkBeforeCommit.reach()
    // 5. The sink commits. A crash before or in it: the new checkpoint; the sink commits transaction `id` when it recovers.
    try sink.commit(id)
    try FaultPoint.sinkAfterCommit.reach()
    for batch in held { try sink.write(batch) }
    (held, heldRows) = ([], 0)
  }

  /// After an error. What a checkpoint whose end is not known has prepared is left for the next life to decide.
  private func giveUp() {
    if underWay == nil || (try? finish(waiting: true)) != nil { try? sink.abort(last) }
    try? sink.close()
  }
}

extension Stream {
  /// Runs the stream to its end and its output into a sink.
  ///
  /// With `Config.stateDirectory` checkpoints are taken every `checkpointInterval` and at the end, and a later run of the same program goes
  /// on from the last one: over all runs the sink has each record once, if the sources can be read again from where they stood
  /// (`Source.offset`). Without it, all output is one transaction.
  @discardableResult
  public func run(into sink: any Sink, minRows: Int = 1) throws -> JobReport {
    let job = try job()
    guard let path = config.stateDirectory else {
      try runOnce(job, into: sink, minRows: minRows)
      return job.report
    }
    var options = StateDirectory.Options()
    options.backend = config.stateBackend.store
    options.memoryLimit = config.memoryLimit
    options.retained = config.retainedCheckpoints
    let directory = try StateDirectory(path, options)
    let (seconds, attoseconds) = config.checkpointInterval.components
    let interval = min(max(seconds, 0), Int64.max / 2000) * 1000 + attoseconds / 1_000_000_000_000_000
    guard interval > 0 else {
      throw EngineError(
        .invalidArgument, "the checkpoint interval is \(config.checkpointInterval); it must be at least 1 ms")
    }
    let run = try DurableRun(
      job, sink, directory, from: config.restoreFrom, config.forgetting, interval: interval)
    try run.run(minRows: minRows)
    return job.report
  }

  private func runOnce(_ job: Job, into sink: any Sink, minRows: Int) throws {
    if let path = config.restoreFrom { try job.restore(savepoint: path, forgetting: config.forgetting) }
    try sink.recover(nil)
    do {
      while let batch = try job.next(minRows: minRows) { try sink.write(batch) }
      try sink.prepare(1)
    } catch {
      try? sink.abort(0)
      try? sink.close()
      throw error
    }
    try sink.commit(1)
    try sink.close()
  }
}
