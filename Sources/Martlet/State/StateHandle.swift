import CMartlet

/// A state as a binding uses it: checked access to the current key's value, by storage rather than by type.
public final class StateHandle {
  let column: StateColumn
  let storage: StateStorage
  /// The same; nil for a list or map, whose storage is that of its elements.
  private let valueStorage: StateStorage?
  /// Inside a visit of elements or entries, which must not change them.
  @exclusivity(unchecked) var isVisiting = false
  private let cursor: UnsafeMutablePointer<martlet_context>

  init(_ column: StateColumn, cursor: UnsafeMutablePointer<martlet_context>) {
    self.column = column
    self.cursor = cursor
    storage = StateStorage(column.descriptor.type) ?? .bytes
    valueStorage = column is ValueStateColumn ? storage : nil
  }

  public var name: String { column.descriptor.name }

  public func getInteger() throws(EngineError) -> Int64? {
    try integers().get(currentSlot())
  }

  public func setInteger(_ value: Int64) throws(EngineError) {
    let integers = try integers()
    if case .integer(let range) = storage, !range.contains(value) { throw outOfRange(value) }
    if case .unsigned = storage, value < 0 { throw outOfRange(value) }
    integers.set(try currentSlot(), value)
  }

  /// A uint64 state, whose upper half an Int64 cannot express. Reading one with `getInteger` gives its bits.
  public func setUnsigned(_ value: UInt64) throws(EngineError) {
    if case .unsigned = storage {
      try integers().set(currentSlot(), Int64(bitPattern: value))
    } else if value <= UInt64(Int64.max) {
      try setInteger(Int64(value))
    } else {
      throw outOfRange(value)
    }
  }

  public func getDouble() throws(EngineError) -> Double? {
    try doubles().get(currentSlot())
  }

  public func setDouble(_ value: Double) throws(EngineError) {
    let stored = if case .float = storage { Double(Float(value)) } else { value }
    try doubles().set(currentSlot(), stored)
  }

  /// The bytes are valid until the next write to this state.
  public func getBytes() throws(EngineError) -> UnsafeRawBufferPointer? {
    try byteStrings().get(currentSlot())
  }

  public func setBytes(_ bytes: UnsafeRawBufferPointer) throws(EngineError) {
    let column = try byteStrings()
    let slot = try currentSlot()
    try checkBytes(bytes, storage, column.descriptor.type)
    column.set(slot, bytes)
  }

  /// Whether the state holds something for the key; of every kind.
  public func exists() throws(EngineError) -> Bool {
    try checkNotVisiting()
    return column.exists(try currentSlot())
  }

  /// Forgets what the state holds for the key; of every kind.
  public func clear() throws(EngineError) {
    try checkNotVisiting()
    column.clear(try currentSlot())
  }

  @inline(__always)
  func checkNotVisiting() throws(EngineError) {
    if isVisiting {
      throw EngineError(
        .busy, "state '\(name)' is used while its content is being read; use what was read after the read has ended")
    }
  }

  @inline(__always)
  func currentSlot() throws(EngineError) -> UInt32 {
    let slot = cursor.pointee.slot
    if slot == Slot.none { throw noKey() }
    return slot
  }

  @inline(__always)
  func integers() throws(EngineError) -> FixedStateColumn<Int64> {
    switch valueStorage {
    case .integer, .unsigned: return unsafeDowncast(column, to: FixedStateColumn<Int64>.self)
    default: throw wrongStorage("an integer")
    }
  }

  @inline(__always)
  func doubles() throws(EngineError) -> FixedStateColumn<Double> {
    switch valueStorage {
    case .double, .float: return unsafeDowncast(column, to: FixedStateColumn<Double>.self)
    default: throw wrongStorage("a float")
    }
  }

  @inline(__always)
  func byteStrings() throws(EngineError) -> BytesStateColumn {
    switch valueStorage {
    case .bytes, .utf8, .fixedBytes: return unsafeDowncast(column, to: BytesStateColumn.self)
    default: throw wrongStorage("bytes")
    }
  }

  private func noKey() -> EngineError {
    EngineError(
      .stateAccess,
      "state '\(name)' was used where there is no current key; use it inside on_event or on_timer of the function it "
        + "belongs to")
  }

  private func wrongStorage(_ what: String) -> EngineError {
    if valueStorage == nil { return wrongKind("value") }
    return EngineError(.schemaMismatch, "state '\(name)' holds \(column.descriptor.type), not \(what)")
  }

  func wrongKind(_ used: String) -> EngineError {
    EngineError(
      .schemaMismatch, "state '\(name)' is a \(column.descriptor.kind.noun) and cannot be used as a \(used) state")
  }

  func outOfRange(_ value: some BinaryInteger) -> EngineError {
    EngineError(.valueRange, "state '\(name)': \(value) is out of range for \(column.descriptor.type)")
  }
}
