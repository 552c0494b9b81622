import CMartlet
import Martlet

/// A process function behind function pointers. The record loop is specialised for it, so a record costs one indirect call.
struct CallbackFunction: EndOfInputFunction, TwoInputFunction {
  private let table: martlet_process_function
  private typealias Callback =
    @convention(c) (
      UnsafeMutableRawPointer?, UnsafeMutablePointer<martlet_context>?, UnsafeMutablePointer<martlet_error>?
    ) -> Int32
  private let onEventPointer: Callback
  private let onRightPointer: Callback
  private let onBatchPointer: Callback?
  private let error: UnsafeMutablePointer<martlet_error>
  /// Destroys the callback's context with the last copy of this struct.
  private let lifetime: CallbackLifetime

  /// Moves the callback: its `destroy` runs exactly once, also when this throws.
  init(moving table: martlet_process_function) throws(EngineError) {
    lifetime = CallbackLifetime(table.context, table.destroy)
    guard table.struct_size >= MemoryLayout<martlet_process_function>.size else {
      throw EngineError(
        .invalidArgument,
        "martlet_process_function.struct_size is too small: set it to sizeof(martlet_process_function)")
    }
    guard let onEvent = table.on_event ?? table.on_batch else {
      throw EngineError(.invalidArgument, "martlet_process_function.on_event is NULL, and so is on_batch")
    }
    self.table = table
    onEventPointer = onEvent
    onRightPointer = table.on_right ?? onEvent
    onBatchPointer = table.on_batch
    error = lifetime.error
  }

  func open(context: Context) throws { try check(table.open?(table.context, context.raw, error)) }

  func willProcess(batch: RecordBatch?, context: Context) throws {
    let handle = batch.map { Handle.borrowed($0) }
    try check(table.batch_begin?(table.context, context.raw, handle, error))
  }

  @inline(__always)
  func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
    let status = onEventPointer(table.context, context.raw, error)
    if status != 0 { throw lifetime.failure(status) }
  }

  @inline(__always)
  func onLeft(key: Key, batch: Record, row: Int, context: Context) throws {
    try onEvent(key: key, batch: batch, row: row, context: context)
  }

  @inline(__always)
  func onRight(key: Key, batch: Record, row: Int, context: Context) throws {
    let status = onRightPointer(table.context, context.raw, error)
    if status != 0 { throw lifetime.failure(status) }
  }

  /// The function of another parallel instance; nil if there can be none.
  var makeInstance: ((Int32) throws(EngineError) -> CallbackFunction)? {
    guard let instantiate = table.instantiate else { return nil }
    return { instance throws(EngineError) in
      var made = martlet_process_function()
      made.struct_size = UInt32(MemoryLayout<martlet_process_function>.size)
      let status = instantiate(table.context, instance, &made, error)
      guard status == 0 else { throw lifetime.failure(status) }
      return try CallbackFunction(moving: made)
    }
  }

  var hasOnRight: Bool { table.on_right != nil }

  var takesSlices: Bool { onBatchPointer != nil }

  func onBatch(key: Key, batch: RecordSlice, context: Context) throws {
    if let status = onBatchPointer?(table.context, context.raw, error), status != 0 { throw lifetime.failure(status) }
  }

  func describe(_ failure: any Error, context: Context) -> FailureDetails {
    var details = FailureDetails(type: "error", message: (failure as? EngineError)?.message ?? "\(failure)")
    var told = martlet_failure()
    table.on_failure?(table.context, context.raw, &told)
    if let type = utf8Text(told.error_type, told.error_type_length) { details.type = type }
    if let message = utf8Text(told.message, told.message_length) { details.message = message }
    details.traceback = utf8Text(told.traceback, told.traceback_length)
    return details
  }

  func onTimer(key: Key, fireTime: Int64, context: Context) throws {
    try check(table.on_timer?(table.context, context.raw, error))
  }

  func onEnd(key: Key, context: Context) throws {
    try check(table.on_end?(table.context, context.raw, error))
  }

  var wantsEnd: Bool { table.on_end != nil }

  func didProcess(context: Context) { table.batch_end?(table.context, context.raw) }

  func close(context: Context) throws { try check(table.close?(table.context, context.raw, error)) }

  private func check(_ status: Int32?) throws(EngineError) {
    if let status, status != 0 { throw lifetime.failure(status) }
  }
}

/// Owns the context of a callback and the buffer it reports errors in.
final class CallbackLifetime {
  let context: UnsafeMutableRawPointer?
  let error: UnsafeMutablePointer<martlet_error>
  private let destroy: (@convention(c) (UnsafeMutableRawPointer?) -> Void)?

  init(_ context: UnsafeMutableRawPointer?, _ destroy: (@convention(c) (UnsafeMutableRawPointer?) -> Void)?) {
    self.context = context
    self.destroy = destroy
    error = .allocate(capacity: 1)
    error.initialize(to: martlet_error())
  }

  deinit {
    destroy?(context)
    error.deallocate()
  }

  /// What the callback said about its failure.
  func failure(_ status: Int32 = Int32(MARTLET_CALLBACK_FAILED.rawValue)) -> EngineError {
    let message = withUnsafeBytes(of: error.pointee.message) { bytes in
      String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    let isFatal = status == Int32(MARTLET_CALLBACK_FATAL.rawValue)
    return EngineError(
      isFatal ? .callbackFatal : .callbackFailed, message.isEmpty ? "the callback failed without a message" : message)
  }
}
