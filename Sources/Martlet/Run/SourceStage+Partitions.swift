/// Watermarks per partition, of a source that names them.
extension SourceStage {
  /// A batch has come, and says which partition it belongs to.
  func follow(_ read: SourceRead) {
    guard isTimed, partitions != nil || read.partition != nil else { return }
    if partitions == nil {
      // Records before the first that has a partition were those of one without a name.
      let unnamed = PartitionWatermarks.Partition(name: nil, watermark: watermark)
      partitions = PartitionWatermarks(
        bound: tracker.bound, watermark: watermark, recordsIn > 0 ? [unnamed] : [])
    }
    partitions?.begin(read.partition, rows: read.batch.numRows)
  }

  /// Whether the clock is looked at: partitions that may fall silent do not hold up the others.
  var watchesPartitions: Bool { isLive && idleTimeout > 0 && isTimed && partitions != nil }

  /// Asks for the next rows, and counts how long partitions have given nothing. A watermark that moved without a record comes as an arrival of
  /// its own.
  func nextChunk(within wait: Int64?, _ clock: Clock) throws -> Arrival {
    let asked = watchesPartitions ? clock.now() : nil
    let (batches, records) = (batchesIn, recordsIn)
    let arrival = try nextChunk(within: wait)
    var isNothing = false
    if case .notYet = arrival { isNothing = true }
    // Rows of a batch that was there already say nothing of the source.
    if let asked, isNothing || batchesIn != batches { look(asked, clock.now(), hasRows: recordsIn != records) }
    guard isNothing else { return arrival }
    partitions?.advance()
    return partitions?.takeAdvance().map { .watermark($0) } ?? arrival
  }

  /// The time inside of the source counts in full. Of that between two questions, when the job was at work or nobody took its output,
  /// at most a quarter of the timeout counts: the records of a partition may lie ready and only not have been asked for.
  private func look(_ asked: Int64, _ now: Int64, hasRows: Bool) {
    let inside = max(0, now.saturatingSubtracting(asked))
    let between = lastLook.map { max(0, asked.saturatingSubtracting($0)) } ?? 0
    lastLook = now
    partitions?.pass(
      inside.saturatingAdding(min(between, max(1, idleTimeout / 4))), timeout: idleTimeout, butNotCurrent: hasRows)
  }
}
