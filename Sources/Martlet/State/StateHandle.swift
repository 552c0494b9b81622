import CMartlet

/// A state as a binding uses it: checked access to the current key's value, by storage rather than by type.
public final class StateHandle {
  private let column: StateColumn
  private let storage: StateStorage
  private let cursor: UnsafeMutablePointer<martlet_context>

  init(_ column: StateColumn, cursor: UnsafeMutablePointer<martlet_context>) {
    self.column = column
    self.cursor = cursor
    storage = StateStorage(column.descriptor.type) ?? .bytes
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
    guard bytes.count <= InlineBytes.maximumCount else {
      throw EngineError(
        .valueRange, "state '\(name)': a value of \(bytes.count) bytes; the most is 4 GiB less one byte")
    }
    switch storage {
    case .fixedBytes(let width) where bytes.count != width:
      throw EngineError(
        .valueRange, "state '\(name)': \(bytes.count) bytes for a value of type \(column.descriptor.type)")
    case .utf8 where !UTF8Check.isValid(bytes):
      throw EngineError(.valueRange, "state '\(name)': the bytes are not valid UTF-8")
    default:
      column.set(slot, bytes)
    }
  }

  public func exists() throws(EngineError) -> Bool { column.isSet(try currentSlot()) }

  public func clear() throws(EngineError) { column.clear(try currentSlot()) }

  @inline(__always)
  private func currentSlot() throws(EngineError) -> UInt32 {
    let slot = cursor.pointee.slot
    if slot == Slot.none { throw noKey() }
    return slot
  }

  @inline(__always)
  private func integers() throws(EngineError) -> FixedStateColumn<Int64> {
    switch storage {
    case .integer, .unsigned: return unsafeDowncast(column, to: FixedStateColumn<Int64>.self)
    default: throw wrongStorage("an integer")
    }
  }

  @inline(__always)
  private func doubles() throws(EngineError) -> FixedStateColumn<Double> {
    switch storage {
    case .double, .float: return unsafeDowncast(column, to: FixedStateColumn<Double>.self)
    default: throw wrongStorage("a float")
    }
  }

  @inline(__always)
  private func byteStrings() throws(EngineError) -> BytesStateColumn {
    switch storage {
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
    EngineError(.schemaMismatch, "state '\(name)' holds \(column.descriptor.type), not \(what)")
  }

  private func outOfRange(_ value: some BinaryInteger) -> EngineError {
    EngineError(.valueRange, "state '\(name)': \(value) is out of range for \(column.descriptor.type)")
  }
}
