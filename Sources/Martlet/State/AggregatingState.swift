import CMartlet

/// An accumulator per key that values are added to and a result is read from. (Flink's `AggregatingState`.)
///
/// ```swift
/// let lengths = AggregatingState<String, Int64, Int64>("lengths", create: { 0 }, add: { $0 + Int64($1.count) }, result: { $0 })
/// ```
public final class AggregatingState<Input, Accumulator: StateValue, Output>: AnyState {
  private let create: () throws -> Accumulator
  private let addition: (Accumulator, Input) throws -> Accumulator
  private let result: (Accumulator) throws -> Output
  private let merging: ((Accumulator, Accumulator) throws -> Accumulator)?
  private var access: Accumulator.Access?

  /// `create()` makes the accumulator of a key's first value, `add(accumulator, value)` gives the next, `result(accumulator)` what
  /// `get` returns, `merge(a, b)` one accumulator out of two.
  public init(
    _ name: String, ttl: StateTTL? = nil, create: @escaping () throws -> Accumulator,
    add: @escaping (Accumulator, Input) throws -> Accumulator, result: @escaping (Accumulator) throws -> Output,
    merge: ((Accumulator, Accumulator) throws -> Accumulator)? = nil
  ) {
    self.create = create
    addition = add
    self.result = result
    merging = merge
    super.init(name, ttl: ttl)
  }

  public func add(_ value: Input) throws {
    guard let access else { misused() }
    let slot = currentSlot
    let old = Accumulator.get(access, slot)
    Accumulator.set(access, slot, try addition(try old ?? create(), value))
  }

  /// The result, nil if nothing was added.
  public func get() throws -> Output? {
    guard let access else { misused() }
    return try Accumulator.get(access, currentSlot).map(result)
  }

  /// Takes in another accumulator. `.invalidArgument` if the state was declared without `merge`.
  public func merge(_ accumulator: Accumulator) throws {
    guard let access else { misused() }
    guard let merging else {
      throw EngineError(.invalidArgument, "aggregating state '\(name)' was declared without merge")
    }
    let slot = currentSlot
    let old = Accumulator.get(access, slot)
    Accumulator.set(access, slot, try old.map { try merging($0, accumulator) } ?? accumulator)
  }

  public func clear() { clearColumn() }

  override func descriptor() throws(EngineError) -> StateDescriptor {
    try StateDescriptor(name, .typed(Accumulator.dataType), kind: .aggregating, ttl: ttl)
  }

  override func bind(_ column: StateColumn, _ cursor: UnsafePointer<martlet_context>) {
    super.bind(column, cursor)
    access = Accumulator.access(to: column)
  }

  override func unbind() {
    super.unbind()
    access = nil
  }
}
