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
  // Exempt from the run-time check for overlapping access: loaded as a whole, and no access calls out.
  @exclusivity(unchecked) @usableFromInline var access: Value.Access?

  public override init(_ name: String, ttl: StateTTL? = nil) { super.init(name, ttl: ttl) }

  /// The current key's value, nil if there is none.
  @inlinable @inline(__always)
  public func get() -> Value? {
    guard let access else { misused() }
    // The optimiser calls the conformances of the standard library's types through their witness tables, which made 2 of the
    // 10 ns of a counter's record; this comparison it decides when it specialises.
    if Value.self == Int64.self {
      let value = unsafeBitCast(access, to: FixedStateAccess<Int64>.self).get(currentSlot)
      return unsafeBitCast(value, to: Value?.self)
    }
    return Value.get(access, currentSlot)
  }

  /// Sets the current key's value.
  @inlinable @inline(__always)
  public func set(_ value: Value) {
    guard let access else { misused() }
    if Value.self == Int64.self {
      unsafeBitCast(access, to: FixedStateAccess<Int64>.self).set(currentSlot, unsafeBitCast(value, to: Int64.self))
      return
    }
    Value.set(access, currentSlot, value)
  }

  /// Forgets the current key's value; a key without values and timers takes no memory.
  public func clear() { clearColumn() }

  /// Whether the current key has a value.
  public func exists() -> Bool { existsInColumn() }

  override func descriptor() throws(EngineError) -> StateDescriptor {
    try StateDescriptor(name, .typed(Value.dataType), ttl: ttl)
  }

  override func bind(_ column: StateColumn, _ cursor: UnsafePointer<martlet_context>) {
    super.bind(column, cursor)
    access = Value.access(to: column)
  }

  override func unbind() {
    super.unbind()
    access = nil
  }
}
