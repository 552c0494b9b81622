import CMartlet
import Martlet

/// A source behind a function pointer.
final class CallbackSource: Source {
  private typealias Next =
    @convention(c) (
      UnsafeMutableRawPointer?, UnsafeMutablePointer<ArrowArray>?, UnsafeMutablePointer<ArrowSchema>?,
      UnsafeMutablePointer<martlet_error>?
    ) -> Int32

  private let nextPointer: Next
  private let nextInBackgroundPointer: Next?
  private let abandonPointer: (@convention(c) (UnsafeMutableRawPointer?) -> Void)?
  private let offsetPointer:
    (
      @convention(c) (
        UnsafeMutableRawPointer?, UnsafeMutablePointer<UnsafePointer<UInt8>?>?, UnsafeMutablePointer<Int>?,
        UnsafeMutablePointer<martlet_error>?
      ) -> Int32
    )?
  private let seekPointer:
    (
      @convention(c) (
        UnsafeMutableRawPointer?, UnsafePointer<UInt8>?, Int, UnsafeMutablePointer<martlet_error>?
      ) -> Int32
    )?
  private let partitionPointer:
    (
      @convention(c) (
        UnsafeMutableRawPointer?, UnsafeMutablePointer<UnsafePointer<CChar>?>?, UnsafeMutablePointer<Int>?,
        UnsafeMutablePointer<Int32>?, UnsafeMutablePointer<martlet_error>?
      ) -> Int32
    )?
  private let lifetime: CallbackLifetime
  private var known: Schema?
  /// The first batch, when it was read for its schema.
  private var ahead: RecordBatch?
  /// Before that batch.
  private var offsetAhead: SourceOffset?
  private var hasEnded = false

  /// Moves the callback.
  init(moving source: martlet_source) throws(EngineError) {
    lifetime = CallbackLifetime(source.context, source.destroy)
    guard source.struct_size >= MemoryLayout<martlet_source>.size else {
      throw EngineError(.invalidArgument, "martlet_source.struct_size is too small: set it to sizeof(martlet_source)")
    }
    guard let next = source.next else { throw EngineError(.invalidArgument, "martlet_source.next is NULL") }
    nextPointer = next
    nextInBackgroundPointer = source.next_background
    abandonPointer = source.abandon
    guard (source.offset == nil) == (source.seek == nil) else {
      throw EngineError(
        .invalidArgument, "martlet_source.\(source.offset == nil ? "offset" : "seek") is NULL: set both or none")
    }
    offsetPointer = source.offset
    seekPointer = source.seek
    partitionPointer = source.partition
  }

  var schema: Schema? {
    get throws {
      if known == nil, !hasEnded {
        offsetAhead = try askOffset()
        ahead = try read(nextPointer)
      }
      return known
    }
  }

  func next() throws -> RecordBatch? { try next(nextPointer) }

  var mayWait: Bool { nextInBackgroundPointer != nil }

  func nextInBackground() throws -> RecordBatch? { try next(nextInBackgroundPointer ?? nextPointer) }

  func abandon() { abandonPointer?(lifetime.context) }

  var offset: SourceOffset? {
    get throws { ahead == nil ? try askOffset() : offsetAhead }
  }

  private func askOffset() throws -> SourceOffset? {
    guard let offsetPointer else { return nil }
    var bytes: UnsafePointer<UInt8>?
    var length = 0
    guard offsetPointer(lifetime.context, &bytes, &length, lifetime.error) == 0 else { throw lifetime.failure() }
    guard let bytes, length > 0 else { return nil }
    return SourceOffset(Array(UnsafeBufferPointer(start: bytes, count: length)))
  }

  /// A batch that was read for its schema is still the last one that was given.
  var partition: SourcePartition? {
    get throws {
      guard let partitionPointer else { return nil }
      var name: UnsafePointer<CChar>?
      var (length, isLast) = (0, Int32(0))
      let status = partitionPointer(lifetime.context, &name, &length, &isLast, lifetime.error)
      guard status == 0 else { throw lifetime.failure() }
      guard let name else { return nil }
      let text = UnsafeRawBufferPointer(start: name, count: max(0, length))
      return SourcePartition(String(decoding: text, as: UTF8.self), isLast: isLast != 0)
    }
  }

  func restore(_ offset: SourceOffset) throws {
    guard let seekPointer else {
      throw EngineError(
        .sourceFailed,
        "the checkpoint has a place in this source, which has no martlet_source.seek; read the input it had with the source it had"
      )
    }
    // What was read for its schema comes again, if it comes.
    (ahead, offsetAhead, hasEnded) = (nil, nil, false)
    let status = offset.bytes.withUnsafeBufferPointer {
      seekPointer(lifetime.context, $0.baseAddress, $0.count, lifetime.error)
    }
    if status != 0 { throw lifetime.failure() }
  }

  private func next(_ pointer: Next) throws -> RecordBatch? {
    if let first = ahead {
      ahead = nil
      return first
    }
    return hasEnded ? nil : try read(pointer)
  }

  private func read(_ pointer: Next) throws -> RecordBatch? {
    var array = ArrowArray()
    var arrowSchema = ArrowSchema()
    let status = pointer(lifetime.context, &array, &arrowSchema, lifetime.error)
    defer {
      arrowSchema.release?(&arrowSchema)
      array.release?(&array)
    }
    if status != 0 { throw lifetime.failure() }
    var schema = known
    if arrowSchema.release != nil { schema = try Schema(importing: &arrowSchema) }
    if known == nil { known = schema }
    guard array.release != nil else {
      hasEnded = true
      return nil
    }
    guard let schema else {
      throw EngineError(.invalidArgument, "the source gave its first batch without a schema")
    }
    // The array is moved: its release is NULL afterwards.
    return try RecordBatch(moving: &array, schema: schema)
  }
}
