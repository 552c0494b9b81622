import CMartlet

/// Where a stream's records come from: batches, until there are no more.
///
/// Every batch has the same schema. `schema` may be nil until the first batch has come.
public protocol Source: AnyObject {
  var schema: Schema? { get throws }
  /// The next batch, nil at the end of the input. May wait as long as it likes.
  func next() throws -> RecordBatch?

  /// Whether `next` may wait, for instance for a network. While processing-time timers are pending such a source is read by
  /// `nextInBackground`, so that they fire in time. True unless you say otherwise.
  var mayWait: Bool { get }
  /// `next`, called on a thread of the engine's own. Calls never overlap with others of this source.
  func nextInBackground() throws -> RecordBatch?
  /// The job has ended while `nextInBackground` is still running. Called on the job's thread; the source is released, on the other
  /// thread, once the running call has returned.
  func abandon()

  /// Where the source stands; see `SourceOffset`. Nil, unless you say otherwise: it cannot be read again from a place in its middle.
  var offset: SourceOffset? { get throws }
  /// Goes to a place that `offset` told, here or in another life of the program. Before the first `next`.
  func restore(_ offset: SourceOffset) throws

  /// What the batch that the last `next` gave belongs to, if the source has parts that are each in order by themselves, such as the
  /// partitions of a topic. Each then has a watermark of its own, and the source's is the least of those that have neither ended nor
  /// been silent for the source's idle timeout. A partition counts from its first batch on, which may be one without rows: name those there
  /// are before the first row. Nil, unless you say otherwise.
  var partition: SourcePartition? { get throws }
}

extension Source {
  public var mayWait: Bool { true }
  public func nextInBackground() throws -> RecordBatch? { try next() }
  public func abandon() {}
}

/// Batches that are already there.
public final class BatchSource: Source {
  public let schema: Schema?
  private var batches: ArraySlice<RecordBatch>
  /// How many were given out.
  var position = 0

  public init(_ batches: [RecordBatch]) {
    self.batches = batches[...]
    schema = batches.first?.schema
  }

  public func next() -> RecordBatch? {
    guard let batch = batches.popFirst() else { return nil }
    position += 1
    return batch
  }
  public var mayWait: Bool { false }

  /// The number of the next batch: 8 bytes, little-endian.
  public var offset: SourceOffset? {
    SourceOffset(withUnsafeBytes(of: UInt64(position).littleEndian) { Array($0) })
  }

  public func restore(_ offset: SourceOffset) throws(EngineError) {
    let number = offset.bytes.withUnsafeBytes { $0.count == 8 ? $0.loadUnaligned(as: UInt64.self).littleEndian : .max }
    guard position == 0, number <= UInt64(batches.count) else {
      throw EngineError(
        .sourceFailed,
        "the source has \(batches.count) batches and the checkpoint was taken after more, or by a source of another kind; give the "
          + "job the input it had")
    }
    batches = batches.dropFirst(Int(number))
    position = Int(number)
  }
}

/// An Arrow C stream, which the source owns.
public final class ArrowStreamSource: Source {
  private var stream: ArrowArrayStream
  private var known: Schema?
  private let isReplayable: Bool
  /// How many were given out.
  private var rows: Int64 = 0
  /// Those at the beginning that an earlier life gave out.
  private var rowsToSkip: Int64 = 0

  /// Moves the stream. `isReplayable`: in another life of the program there will be a stream of the same rows, so that the number of
  /// rows is a place in it.
  public init(moving stream: UnsafeMutablePointer<ArrowArrayStream>, isReplayable: Bool = false) {
    self.stream = stream.pointee
    self.isReplayable = isReplayable
    stream.pointee.release = nil
  }

  deinit { stream.release?(&stream) }

  public var schema: Schema? {
    get throws {
      if let known { return known }
      guard let getSchema = stream.get_schema else {
        throw EngineError(.sourceFailed, "the Arrow stream was released before it was read: it can be read only once")
      }
      var schema = ArrowSchema()
      let code = getSchema(&stream, &schema)
      guard code == 0 else { throw failure("its schema", code) }
      defer { schema.release?(&schema) }
      known = try Schema(importing: &schema)
      return known
    }
  }

  public func next() throws -> RecordBatch? {
    guard let schema = try schema, let getNext = stream.get_next else { return nil }
    while true {
      var array = ArrowArray()
      let code = getNext(&stream, &array)
      guard code == 0 else { throw failure("its next batch", code) }
      guard array.release != nil else {
        guard rowsToSkip == 0 else { throw tooShort() }
        return nil
      }
      if rowsToSkip > 0, rowsToSkip >= array.length {
        rowsToSkip -= array.length
        array.release?(&array)
        continue
      }
      let batch = try RecordBatch(moving: &array, schema: schema)
      let skipped = Int(rowsToSkip)
      rowsToSkip = 0
      rows += Int64(batch.numRows - skipped)
      return skipped == 0 ? batch : batch.slice(skipped, batch.numRows - skipped)
    }
  }

  /// The number of rows given out: 8 bytes, little-endian.
  public var offset: SourceOffset? {
    isReplayable ? SourceOffset(withUnsafeBytes(of: UInt64(rows).littleEndian) { Array($0) }) : nil
  }

  public func restore(_ offset: SourceOffset) throws(EngineError) {
    let number = offset.bytes.withUnsafeBytes { $0.count == 8 ? $0.loadUnaligned(as: UInt64.self).littleEndian : .max }
    guard isReplayable, rows == 0, let number = Int64(exactly: number) else {
      throw EngineError(
        .sourceFailed,
        "the checkpoint was taken with a source of another kind than this Arrow stream; give the job the source it had")
    }
    (rows, rowsToSkip) = (number, number)
  }

  private func tooShort() -> EngineError {
    EngineError(
      .sourceFailed,
      "the Arrow stream has \(rows - rowsToSkip) rows, and \(rows) were read of it before the checkpoint; give the job the input it had"
    )
  }

  private func failure(_ what: String, _ code: Int32) -> EngineError {
    let reason = stream.get_last_error?(&stream).map { String(cString: $0) } ?? "error \(code)"
    return EngineError(.sourceFailed, "the Arrow stream could not give \(what): \(reason)")
  }
}
