import CMartlet

/// One value per key that every added value is folded into. (Flink's `ReducingState`.)
///
/// ```swift
/// let total = ReducingState<Int64>("total", .sum)
/// let longest = ReducingState<String>("longest") { $0.count >= $1.count ? $0 : $1 }
/// ```
public final class ReducingState<Value: StateValue>: AnyState {
  private let reducer: Reducer
  private let reduce: ((Value, Value) throws -> Value)?
  private var access: Value.Access?
  private var handle: StateHandle?

  /// With a built-in reducer. A count is an `Int64`, whatever is counted.
  public init(_ name: String, _ reducer: Reducer, ttl: StateTTL? = nil) {
    self.reducer = reducer
    reduce = nil
    super.init(name, ttl: ttl)
  }

  /// `reduce(old, added)` gives the new value; it is not called for a key's first.
  public init(_ name: String, ttl: StateTTL? = nil, reduce: @escaping (Value, Value) throws -> Value) {
    reducer = .custom
    self.reduce = reduce
    super.init(name, ttl: ttl)
  }

  /// Folds a value in. Throws what `reduce` throws, and `.valueRange` if a sum overflows; the state is then as it was.
  public func add(_ value: Value) throws {
    try fold(value) { handle, cell throws(EngineError) in try handle.add(cell) }
  }

  /// Folds in what another state of this kind has: a count adds it up, the others take it as one more value.
  public func merge(_ value: Value) throws {
    try fold(value) { handle, cell throws(EngineError) in try handle.merge(cell) }
  }

  private func fold(_ value: Value, _ builtIn: (StateHandle, StateCell) throws(EngineError) -> Void) throws {
    guard let access, let handle else { misused() }
    if let reduce {
      let slot = currentSlot
      Value.set(access, slot, try Value.get(access, slot).map { try reduce($0, value) } ?? value)
      return
    }
    let failure = value.withCell { cell -> EngineError? in
      do throws(EngineError) { try builtIn(handle, cell) } catch { return error }
      return nil
    }
    if let failure { throw failure }
  }

  /// The value, nil if nothing was added.
  public func get() -> Value? {
    guard let access else { misused() }
    return Value.get(access, currentSlot)
  }

  public func clear() { clearColumn() }

  override func descriptor() throws(EngineError) -> StateDescriptor {
    try StateDescriptor(name, .typed(Value.dataType), kind: .reducing(reducer), ttl: ttl)
  }

  override func bind(_ column: StateColumn, _ cursor: UnsafePointer<martlet_context>) {
    super.bind(column, cursor)
    access = Value.access(to: column)
    handle = StateHandle(column, cursor: UnsafeMutablePointer(mutating: cursor))
  }

  override func unbind() {
    super.unbind()
    access = nil
    handle = nil
  }
}
