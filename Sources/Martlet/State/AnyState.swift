import CMartlet

/// A declared state, whatever its kind. The handle is bound to one operator instance while that is open.
///
/// Using one outside of a callback is a programming error and stops the program with a message.
public class AnyState {
  public let name: String
  let ttl: StateTTL?
  // Final, so that other modules load it instead of asking the class for it.
  /// Where the current key's slot stands: in the context of the operator, outside of one in `noSlot`.
  @exclusivity(unchecked) @usableFromInline final var currentSlotAddress: UnsafePointer<UInt32>
  private let noSlot: UnsafeMutablePointer<UInt32>
  /// Not retained: the operator that bound it outlives the binding.
  @exclusivity(unchecked) private var column: Unmanaged<StateColumn>?

  init(_ name: String, ttl: StateTTL?) {
    self.name = name
    self.ttl = ttl
    noSlot = .allocate(capacity: 1)
    noSlot.initialize(to: Slot.none)
    currentSlotAddress = UnsafePointer(noSlot)
  }

  deinit { noSlot.deallocate() }

  func descriptor() throws(EngineError) -> StateDescriptor { preconditionFailure("every state kind has a descriptor") }

  /// Called at open, and again whenever the columns moved.
  func bind(_ column: StateColumn, _ cursor: UnsafePointer<martlet_context>) {
    self.column = .passUnretained(column)
    currentSlotAddress = cursor.pointer(to: \.slot).unsafelyUnwrapped
  }

  /// Of a broadcast state, after `bind` with a cursor that shows its slot: the callback that runs.
  func bindBroadcast(_ call: UnsafePointer<martlet_context>) {}

  func unbind() {
    column = nil
    currentSlotAddress = UnsafePointer(noSlot)
  }

  /// The current key's slot, `Slot.none` where there is none.
  @inlinable @inline(__always)
  final var slotOrNone: UInt32 { currentSlotAddress.pointee }

  @inlinable @inline(__always)
  final var currentSlot: UInt32 {
    let slot = slotOrNone
    guard slot != Slot.none else { misused() }
    return slot
  }

  @usableFromInline
  final func misused() -> Never {
    preconditionFailure("state '\(name)' was used where there is no current key: use it inside onEvent or onTimer")
  }

  /// Runs `body` with the column and the current slot, without counting a reference.
  @inline(__always)
  final func withColumn<Column: StateColumn, Result>(_: Column.Type, _ body: (Column, UInt32) -> Result) -> Result {
    guard let column else { misused() }
    let slot = currentSlot
    return column._withUnsafeGuaranteedRef { body(unsafeDowncast($0, to: Column.self), slot) }
  }

  final func clearColumn() { withColumn(StateColumn.self) { $0.clear($1) } }
  final func existsInColumn() -> Bool { withColumn(StateColumn.self) { $0.exists($1) } }

  // The steps of typed handles that know nothing of their types.

  @usableFromInline
  final func appendElement(_ cell: StateCell) { withColumn(ListStateColumn.self) { $0.append($1, cell) } }

  @usableFromInline
  final func putEntry(_ key: StateCell, _ value: StateCell) {
    withColumn(MapStateColumn.self) { $0.put($1, key, value) }
  }

  @usableFromInline
  final func findEntry(_ key: StateCell) -> StateCell? { withColumn(MapStateColumn.self) { $0.get($1, key) } }

  @usableFromInline
  final func removeEntry(_ key: StateCell) -> Bool { withColumn(MapStateColumn.self) { $0.remove($1, key) } }

  @usableFromInline
  final func hasEntry(_ key: StateCell) -> Bool { withColumn(MapStateColumn.self) { $0.contains($1, key) } }
}
