/// Processing time in a job: when its timers are looked at, and how long the source may be waited for.
///
/// While processing-time timers are pending, each operator looks at the clock after every record it is given (and after the event-time
/// timers that the record made due), and all of them do before a chunk, at the end of the input, and, with a clock that runs by
/// itself, while the source waits. Nothing fires in the middle of a callback.
///
/// An operator further down gets what a chunk gave when the chunk is done. So that its timers do not wait for a slow function
/// before it, chunks get shorter then; with a `ManualClock` a chunk is one record, and where a timer fires does not depend on how
/// the input is cut.
extension Job {
  /// How long a chunk may take while operators further down have processing-time timers, in milliseconds.
  private static let chunkTime: Int64 = 4

  /// How long a chunk may take whose keys are looked up in a store, in milliseconds: a checkpoint that is due waits for its end, and so
  /// does whoever stops the job.
  private static let lookUpTime: Int64 = 500

  /// Fires the processing-time timers that are due, of every operator, and passes on what they emit.
  func tick() throws {
    for index in operators.indices where !endedOperators[index] {
      do {
        guard try operators[index].tick() else { continue }
      } catch {
        try failed(index)
        throw error
      }
      try flush(index)
    }
  }

  /// How long the source may be waited for, in milliseconds; nil: as long as it takes, on this thread.
  var timeToNextTick: Int64? {
    guard clock.runsByItself else { return nil }
    var wait: Int64?
    for (index, one) in operators.enumerated() where !endedOperators[index] {
      guard let time = one.timeToNextTick else { continue }
      wait = min(wait ?? time, time)
    }
    return wait
  }

  /// Gives a source's chunk to what it feeds.
  func pushFromSource(_ chunk: Chunk, _ number: Int) throws {
    guard !operators.isEmpty else { return try passThrough(chunk) }
    guard let stores, stores.areShort else { return try push(chunk, from: number, most: SourceStage.chunkRows) }
    let start = monotonicMilliseconds()
    try push(chunk, from: number, most: stores.chunkRows)
    let elapsed = max(monotonicMilliseconds() - start, 1)
    stores.setChunkRows(Int(Int64(chunk.selection.count) * Job.lookUpTime / elapsed))
  }

  private func push(_ chunk: Chunk, from number: Int, most: Int) throws {
    let source = sources[number]
    guard operators.count > 1, clock.runsByItself else {
      // Not where it is 1, for a clock that is moved by hand.
      if source.rowLimit >= SourceStage.chunkRows { source.rowLimit = most }
      return try pushToFeeds(chunk, number)
    }
    guard operators.dropFirst().contains(where: { $0.timeToNextTick != nil }) else {
      source.rowLimit = most
      return try pushToFeeds(chunk, number)
    }
    let start = clock.now()
    try pushToFeeds(chunk, number)
    let elapsed = max(clock.now() - start, 1)
    let rows = Int64(chunk.selection.count)
    source.rowLimit = Int(min(max(rows * Job.chunkTime / elapsed, 1), Int64(most)))
  }

  private func pushToFeeds(_ chunk: Chunk, _ number: Int) throws {
    for feed in feeds[number] { try push(chunk, into: feed) }
  }
}
