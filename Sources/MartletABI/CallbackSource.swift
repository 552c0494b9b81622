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
  private let lifetime: CallbackLifetime
  private var known: Schema?
  /// The first batch, when it was read for its schema.
  private var ahead: RecordBatch?
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
  }

  var schema: Schema? {
    get throws {
      if known == nil, !hasEnded { ahead = try read(nextPointer) }
      return known
    }
  }

  func next() throws -> RecordBatch? { try next(nextPointer) }

  var mayWait: Bool { nextInBackgroundPointer != nil }

  func nextInBackground() throws -> RecordBatch? { try next(nextInBackgroundPointer ?? nextPointer) }

  func abandon() { abandonPointer?(lifetime.context) }

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
