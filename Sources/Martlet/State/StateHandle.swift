import CMartlet

/// A state as a binding uses it: checked access to the current key's value, by storage rather than by type.
public final class StateHandle {
  let column: StateColumn
  private let address: UnsafeRawPointer
  let storage: StateStorage
  /// The same; nil for a list or map, whose storage is that of its elements.
  private let valueStorage: StateStorage?
  /// Inside a visit of elements or entries, which must not change them.
  @exclusivity(unchecked) var isVisiting = false
  private let cursor: UnsafeMutablePointer<martlet_context>
  /// For a broadcast state, the callback that runs: it tells whether the state may be written.
  private let broadcastCall: UnsafePointer<martlet_context>?

  /// `broadcastCall`: of a broadcast state, whose cursor shows its one slot.
  init(
    _ column: StateColumn, cursor: UnsafeMutablePointer<martlet_context>,
    broadcastCall: UnsafePointer<martlet_context>? = nil
  ) {
    self.column = column
    self.broadcastCall = broadcastCall
    address = UnsafeRawPointer(Unmanaged.passUnretained(column).toOpaque())
    self.cursor = cursor
    storage = StateStorage(column.descriptor.type) ?? .bytes
    valueStorage = column is ValueStateColumn ? storage : nil
  }

  public var name: String { column.descriptor.name }

  public func getInteger() throws(EngineError) -> Int64? {
    let slot = try currentSlot()
    return try integerColumn()._withUnsafeGuaranteedRef { $0.get(slot) }
  }

  public func setInteger(_ value: Int64) throws(EngineError) {
    let integers = try integerColumn()
    if case .integer(let range) = storage, !range.contains(value) { throw outOfRange(value) }
    if case .unsigned = storage, value < 0 { throw outOfRange(value) }
    let slot = try currentSlot()
    integers._withUnsafeGuaranteedRef { $0.set(slot, value) }
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
    let slot = try currentSlot()
    return try doubleColumn()._withUnsafeGuaranteedRef { $0.get(slot) }
  }

  public func setDouble(_ value: Double) throws(EngineError) {
    let stored = if case .float = storage { Double(Float(value)) } else { value }
    let slot = try currentSlot()
    try doubleColumn()._withUnsafeGuaranteedRef { $0.set(slot, stored) }
  }

  /// The bytes are valid until the next write to this state.
  public func getBytes() throws(EngineError) -> UnsafeRawBufferPointer? {
    let slot = try currentSlot()
    return try bytesColumn()._withUnsafeGuaranteedRef { $0.get(slot) }
  }

  public func setBytes(_ bytes: UnsafeRawBufferPointer) throws(EngineError) {
    let column = try bytesColumn()
    let slot = try currentSlot()
    try checkBytes(bytes, storage, self.column.descriptor.type)
    column._withUnsafeGuaranteedRef { $0.set(slot, bytes) }
  }

  /// Whether the state holds something for the key; of every kind.
  public func exists() throws(EngineError) -> Bool {
    try checkNotVisiting()
    return column.exists(try currentSlot())
  }

  /// Forgets what the state holds for the key; of every kind.
  public func clear() throws(EngineError) {
    try checkNotVisiting()
    try checkWritable()
    column.clear(try currentSlot())
  }

  /// A broadcast state is read-only but for the broadcast side.
  @inline(__always)
  func checkWritable() throws(EngineError) {
    if let broadcastCall, broadcastCall.pointee.side != BroadcastSlot.writingSide {
      throw BroadcastSlot.readOnly(name)
    }
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

  // The column of the storage asked for, not counted: this handle owns it, and counting took 10 of a record's 116 ns in Python.

  @inline(__always)
  private func integerColumn() throws(EngineError) -> Unmanaged<FixedStateColumn<Int64>> {
    switch valueStorage {
    case .integer, .unsigned: return .fromOpaque(address)
    default: throw wrongStorage("an integer")
    }
  }

  @inline(__always)
  private func doubleColumn() throws(EngineError) -> Unmanaged<FixedStateColumn<Double>> {
    switch valueStorage {
    case .double, .float: return .fromOpaque(address)
    default: throw wrongStorage("a float")
    }
  }

  @inline(__always)
  private func bytesColumn() throws(EngineError) -> Unmanaged<BytesStateColumn> {
    switch valueStorage {
    case .bytes, .utf8, .fixedBytes: return .fromOpaque(address)
    default: throw wrongStorage("bytes")
    }
  }

  @inline(__always)
  func integers() throws(EngineError) -> FixedStateColumn<Int64> { try integerColumn().takeUnretainedValue() }

  @inline(__always)
  func doubles() throws(EngineError) -> FixedStateColumn<Double> { try doubleColumn().takeUnretainedValue() }

  @inline(__always)
  func byteStrings() throws(EngineError) -> BytesStateColumn { try bytesColumn().takeUnretainedValue() }

  private func noKey() -> EngineError {
    EngineError(
      .stateAccess,
      "state '\(name)' was used where there is no current key; use it inside on_event or on_timer of the function it "
        + "belongs to" + BroadcastSlot.whyNoKey(cursor))
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
