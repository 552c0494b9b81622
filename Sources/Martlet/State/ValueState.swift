import CMartlet

/// One value per key.
///
/// Declare it as a property of a process function; inside a callback it reads and writes the value of the current key.
/// (Flink's `ValueState`.)
///
/// ```swift
/// struct Counter: ProcessFunction {
///   let count = ValueState<Int64>("count")
///   func onEvent(key: Key, batch: Record, row: Int, context: Context) {
///     count.set((count.get() ?? 0) + 1)
///   }
/// }
/// ```
///
/// Using it outside of a callback is a programming error and stops the program with a message.
public final class ValueState<Value: StateValue>: AnyState {
  public let name: String
  // Exempt from the run-time check for overlapping access: loaded as a whole, and no access calls out.
  @exclusivity(unchecked) @usableFromInline var access: Value.Access?
  @exclusivity(unchecked) @usableFromInline var cursor: UnsafePointer<martlet_context>?
  private weak var column: StateColumn?

  public init(_ name: String) { self.name = name }

  /// The current key's value, nil if there is none.
  @inlinable @inline(__always)
  public func get() -> Value? {
    guard let access else { misused() }
    return Value.get(access, currentSlot)
  }

  /// Sets the current key's value.
  @inlinable @inline(__always)
  public func set(_ value: Value) {
    guard let access else { misused() }
    Value.set(access, currentSlot, value)
  }

  /// Forgets the current key's value; a key without values and timers takes no memory.
  public func clear() {
    guard let column else { misused() }
    column.clear(currentSlot)
  }

  /// Whether the current key has a value.
  public func exists() -> Bool {
    guard let column else { misused() }
    return column.isSet(currentSlot)
  }

  @inlinable @inline(__always)
  var currentSlot: UInt32 {
    guard let slot = cursor?.pointee.slot, slot != Slot.none else { misused() }
    return slot
  }

  @usableFromInline
  func misused() -> Never {
    preconditionFailure("state '\(name)' was used where there is no current key: use it inside onEvent or onTimer")
  }

  override func descriptor() throws(EngineError) -> StateDescriptor {
    try StateDescriptor(name, .typed(Value.dataType))
  }

  override func bind(_ column: StateColumn, _ cursor: UnsafePointer<martlet_context>) {
    self.column = column
    self.cursor = cursor
    access = Value.access(to: column)
  }

  override func unbind() {
    column = nil
    access = nil
    cursor = nil
  }
}

/// A declared state, whatever its kind. The handle is bound to one operator instance while that is open.
public class AnyState {
  init() {}
  func descriptor() throws(EngineError) -> StateDescriptor { preconditionFailure("every state kind has a descriptor") }
  /// Called at open, and again whenever the columns moved.
  func bind(_ column: StateColumn, _ cursor: UnsafePointer<martlet_context>) {}
  func unbind() {}
}
