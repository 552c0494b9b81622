/// A Swift type that a state can hold: the fixed-width integers, `Bool`, `Float`, `Double`, `String` and `[UInt8]`.
public protocol StateValue {
  /// Plain addresses of the column, so that a read or write in the record loop touches no reference count.
  associatedtype Access: BitwiseCopyable
  static var dataType: DataType { get }
  static func access(to column: StateColumn) -> Access
  static func get(_ access: Access, _ slot: UInt32) -> Self?
  static func set(_ access: Access, _ slot: UInt32, _ value: Self)
  /// The value of a cell of this type, and the other way round, for elements of lists and entries of maps.
  init(cell: StateCell)
  func withCell<Result>(_ body: (StateCell) -> Result) -> Result
}

/// A `StateValue` that can be a key of a map: all but the floats.
public protocol MapStateKey: StateValue {}

/// The addresses of a fixed-width column, valid until it grows.
public struct FixedStateAccess<Value: BitwiseCopyable>: BitwiseCopyable {
  @usableFromInline let values: UnsafeMutablePointer<Value>
  @usableFromInline let present: UnsafeMutablePointer<UInt8>
  @usableFromInline let live: UnsafeMutablePointer<UInt32>
  /// The column, if a read or write does more than read or write: with a TTL, or where calls can be taken back.
  @usableFromInline let watched: Unmanaged<StateColumn>?

  init(_ column: StateColumn) {
    let fixed = unsafeDowncast(column, to: FixedStateColumn<Value>.self)
    values = fixed.values
    present = column.present
    live = column.slots.live
    watched = column.isPlain ? nil : .passUnretained(column)
  }

  @inlinable @inline(__always)
  public func get(_ slot: UInt32) -> Value? {
    guard watched == nil else { return getWatched(slot) }
    return getPlain(slot)
  }

  @inlinable @inline(__always)
  func getPlain(_ slot: UInt32) -> Value? {
    present[Int(slot)] != 0 ? values[Int(slot)] : nil
  }

  @inlinable @inline(__always)
  public func set(_ slot: UInt32, _ value: Value) {
    guard watched == nil else { return setWatched(slot, value) }
    setPlain(slot, value)
  }

  @inlinable @inline(__always)
  func setPlain(_ slot: UInt32, _ value: Value) {
    if _slowPath(present[Int(slot)] == 0) {
      present[Int(slot)] = 1
      live[Int(slot)] &+= 1
    }
    values[Int(slot)] = value
  }

  @usableFromInline
  func getWatched(_ slot: UInt32) -> Value? {
    watched.unsafelyUnwrapped._withUnsafeGuaranteedRef {
      unsafeDowncast($0, to: FixedStateColumn<Value>.self).get(slot)
    }
  }

  @usableFromInline
  func setWatched(_ slot: UInt32, _ value: Value) {
    watched.unsafelyUnwrapped._withUnsafeGuaranteedRef {
      unsafeDowncast($0, to: FixedStateColumn<Value>.self).set(slot, value)
    }
  }
}

/// A column of bytes, not retained: the operator that bound it outlives the binding.
public struct BytesStateAccess: BitwiseCopyable {
  private let column: Unmanaged<BytesStateColumn>

  init(_ column: StateColumn) {
    self.column = .passUnretained(unsafeDowncast(column, to: BytesStateColumn.self))
  }

  func get(_ slot: UInt32) -> UnsafeRawBufferPointer? { column._withUnsafeGuaranteedRef { $0.get(slot) } }

  func set(_ slot: UInt32, _ bytes: UnsafeRawBufferPointer) {
    column._withUnsafeGuaranteedRef { $0.set(slot, bytes) }
  }
}

/// A value kept as `Int64`.
public protocol IntegerStateValue: MapStateKey where Access == FixedStateAccess<Int64> {
  init(stored: Int64)
  var stored: Int64 { get }
}

extension IntegerStateValue {
  public static func access(to column: StateColumn) -> FixedStateAccess<Int64> { FixedStateAccess(column) }

  @inlinable @inline(__always)
  public static func get(_ access: FixedStateAccess<Int64>, _ slot: UInt32) -> Self? {
    guard let value = access.get(slot) else { return nil }
    return Self(stored: value)
  }

  @inlinable @inline(__always)
  public static func set(_ access: FixedStateAccess<Int64>, _ slot: UInt32, _ value: Self) {
    access.set(slot, value.stored)
  }
}

extension IntegerStateValue {
  @inlinable @inline(__always)
  public init(cell: StateCell) { self.init(stored: cell.word) }
  @inlinable @inline(__always)
  public func withCell<Result>(_ body: (StateCell) -> Result) -> Result { body(StateCell(word: stored)) }
}

extension IntegerStateValue where Self: FixedWidthInteger {
  @inlinable @inline(__always)
  public init(stored: Int64) { self.init(truncatingIfNeeded: stored) }
  @inlinable @inline(__always)
  public var stored: Int64 { Int64(truncatingIfNeeded: self) }
}

extension Int8: IntegerStateValue { public static var dataType: DataType { .int8 } }
extension Int16: IntegerStateValue { public static var dataType: DataType { .int16 } }
extension Int32: IntegerStateValue { public static var dataType: DataType { .int32 } }
extension Int64: IntegerStateValue { public static var dataType: DataType { .int64 } }
extension Int: IntegerStateValue { public static var dataType: DataType { .int64 } }
extension UInt8: IntegerStateValue { public static var dataType: DataType { .uint8 } }
extension UInt16: IntegerStateValue { public static var dataType: DataType { .uint16 } }
extension UInt32: IntegerStateValue { public static var dataType: DataType { .uint32 } }
extension UInt64: IntegerStateValue { public static var dataType: DataType { .uint64 } }

extension Bool: IntegerStateValue {
  public static var dataType: DataType { .bool }
  @inlinable public init(stored: Int64) { self = stored != 0 }
  @inlinable public var stored: Int64 { self ? 1 : 0 }
}

extension Double: StateValue {
  public static var dataType: DataType { .float64 }
  public static func access(to column: StateColumn) -> FixedStateAccess<Double> { FixedStateAccess(column) }
  @inlinable @inline(__always)
  public static func get(_ access: FixedStateAccess<Double>, _ slot: UInt32) -> Double? { access.get(slot) }
  @inlinable @inline(__always)
  public static func set(_ access: FixedStateAccess<Double>, _ slot: UInt32, _ value: Double) {
    access.set(slot, value)
  }
  public init(cell: StateCell) { self = cell.double }
  public func withCell<Result>(_ body: (StateCell) -> Result) -> Result { body(StateCell(double: self)) }
}

extension Float: StateValue {
  public static var dataType: DataType { .float32 }
  public static func access(to column: StateColumn) -> FixedStateAccess<Double> { FixedStateAccess(column) }
  @inlinable @inline(__always)
  public static func get(_ access: FixedStateAccess<Double>, _ slot: UInt32) -> Float? {
    access.get(slot).map { Float($0) }
  }
  @inlinable @inline(__always)
  public static func set(_ access: FixedStateAccess<Double>, _ slot: UInt32, _ value: Float) {
    access.set(slot, Double(value))
  }
  public init(cell: StateCell) { self = Float(cell.double) }
  public func withCell<Result>(_ body: (StateCell) -> Result) -> Result { body(StateCell(double: Double(self))) }
}

extension String: MapStateKey {
  public init(cell: StateCell) { self = String(decoding: cell.bytes, as: UTF8.self) }
  public func withCell<Result>(_ body: (StateCell) -> Result) -> Result {
    var copy = self
    return copy.withUTF8 { body(StateCell(bytes: UnsafeRawBufferPointer($0))) }
  }
  public static var dataType: DataType { .utf8 }
  public static func access(to column: StateColumn) -> BytesStateAccess { BytesStateAccess(column) }
  public static func get(_ access: BytesStateAccess, _ slot: UInt32) -> String? {
    access.get(slot).map { String(decoding: $0, as: UTF8.self) }
  }
  public static func set(_ access: BytesStateAccess, _ slot: UInt32, _ value: String) {
    var value = value
    value.withUTF8 { access.set(slot, UnsafeRawBufferPointer($0)) }
  }
}

extension Array: MapStateKey, StateValue where Element == UInt8 {
  public init(cell: StateCell) { self = [UInt8](cell.bytes) }
  public func withCell<Result>(_ body: (StateCell) -> Result) -> Result {
    withUnsafeBytes { body(StateCell(bytes: $0)) }
  }
  public static var dataType: DataType { .binary }
  public static func access(to column: StateColumn) -> BytesStateAccess { BytesStateAccess(column) }
  public static func get(_ access: BytesStateAccess, _ slot: UInt32) -> [UInt8]? {
    access.get(slot).map { [UInt8]($0) }
  }
  public static func set(_ access: BytesStateAccess, _ slot: UInt32, _ value: [UInt8]) {
    value.withUnsafeBytes { access.set(slot, $0) }
  }
}
