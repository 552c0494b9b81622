/// A place in a source between two records, as the source itself writes it down: the number of a batch, a file and a position in it, a
/// position per partition. Nobody else looks into the bytes.
///
/// It is asked for before the first `next` and after each one, and promises: a source of the same kind over the same input, given the
/// offset by `restore`, gives the same records in the same order as this one gave after it. They may be cut into other batches.
public struct SourceOffset: Hashable, Sendable {
  public var bytes: [UInt8]

  public init(_ bytes: [UInt8]) { self.bytes = bytes }
}

extension Source {
  public var offset: SourceOffset? { nil }
  public var partition: SourcePartition? { nil }

  public func restore(_ offset: SourceOffset) throws {
    throw EngineError(
      .sourceFailed,
      "the checkpoint has a place in this source, and the source cannot go to one: give it `offset` and `restore`, or read the input it "
        + "had with the source it had")
  }
}

/// What one `next` gave.
struct SourceRead {
  let batch: RecordBatch
  /// After the batch.
  let offset: SourceOffset?
  /// Of the batch.
  let partition: SourcePartition?
}

extension Source {
  /// One batch, read on the engine's own thread or on the job's.
  func read(inBackground: Bool) throws -> SourceRead? {
    guard let batch = try inBackground ? nextInBackground() : next() else { return nil }
    return SourceRead(batch: batch, offset: try offset, partition: try partition)
  }
}

/// Where a source stood when a checkpoint was taken: so many rows after an offset.
struct SourcePosition {
  /// Nil: the source has none.
  var offset: SourceOffset?
  /// Rows behind the offset that were processed.
  var rows: Int64
  /// The number of the first record behind the offset.
  var firstRecord: Int64
}

/// Follows a source's offsets while it is read.
struct SourceTrack {
  /// Before the current batch.
  private var before: SourceOffset?
  /// Behind it.
  private var after: SourceOffset?
  private var isAsked = false
  /// Rows that were processed in an earlier life.
  private(set) var rowsToSkip: Int64 = 0

  /// To be called before anything is read.
  mutating func begin(_ source: any Source) throws {
    guard !isAsked else { return }
    after = try source.offset
    isAsked = true
  }

  /// A batch has come; how many of its rows are to be left out.
  mutating func pass(_ read: SourceRead) -> Int {
    (before, after) = (after, read.offset)
    let skipped = Int(min(rowsToSkip, Int64(read.batch.numRows)))
    rowsToSkip -= Int64(skipped)
    return skipped
  }

  /// Within the current batch, or behind it.
  func position(rows: Int, of count: Int, firstRecord: Int64, nextRecord: Int64) -> SourcePosition {
    rows < count
      ? SourcePosition(offset: before, rows: Int64(rows), firstRecord: firstRecord)
      : SourcePosition(offset: after, rows: rowsToSkip, firstRecord: nextRecord)
  }

  mutating func restore(_ position: SourcePosition, _ source: any Source) throws {
    // What gave no offset is read from wherever it begins now.
    guard let offset = position.offset else { return }
    try source.restore(offset)
    (after, isAsked, rowsToSkip) = (offset, true, position.rows)
  }
}
