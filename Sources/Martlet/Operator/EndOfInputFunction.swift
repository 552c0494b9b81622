/// A process function that wants to know when its input has ended: once for every key that still has state or timers.
///
/// Conform to it instead of `ProcessFunction`. At the end of a bounded input, after the last record and the timers, `onEnd` is
/// called per key in the order of key bytes. What it emits has no timestamp; `context.watermark` is `EventTime.max`. Timers it
/// registers fire afterwards, and do not lead to another `onEnd`.
public protocol EndOfInputFunction: ProcessFunction {
  mutating func onEnd(key: Key, context: Context) throws
  /// Whether `onEnd` is to be called at all; true unless you say otherwise.
  var wantsEnd: Bool { get }
}

extension EndOfInputFunction {
  public var wantsEnd: Bool { true }
}

extension FunctionCalls {
  @usableFromInline
  static func onEnd<Function: ProcessFunction>(_ box: FunctionBox<Function>) -> ((Key, Context) throws -> Void)? {
    guard let ending = Function.self as? any EndOfInputFunction.Type else { return nil }
    return onEnd(ending, box)
  }

  private static func onEnd<Function: EndOfInputFunction>(
    _: Function.Type, _ box: AnyObject
  ) -> ((Key, Context) throws -> Void)? {
    let box = unsafeDowncast(box, to: FunctionBox<Function>.self)
    guard box.function.pointee.wantsEnd else { return nil }
    return { try box.function.pointee.onEnd(key: $0, context: $1) }
  }
}
