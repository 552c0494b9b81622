/// A Swift type that a state can hold: the fixed-width integers, `Bool`, `Float`, `Double`, `String` and `[UInt8]`.
public protocol StateValue {
  /// Plain addresses of the column, so that a read or write in the record loop touches no reference count: with the
  /// column object in its place the counter ran at two thirds of the speed.
  associatedtype Access: BitwiseCopyable
  static var dataType: DataType { get }
  static func access(to column: StateColumn) -> Access
  static func get(_ access: Access, _ slot: UInt32) -> Self?
  static func set(_ access: Access, _ slot: UInt32, _ value: Self)
}

/// The addresses of a fixed-width column, valid until it grows.
public struct FixedStateAccess<Value: BitwiseCopyable>: BitwiseCopyable {
  @usableFromInline let values: UnsafeMutablePointer<Value>
  @usableFromInline let present: UnsafeMutablePointer<UInt8>
  @usableFromInline let live: UnsafeMutablePointer<UInt32>

  init(_ column: StateColumn) {
    let column = unsafeDowncast(column, to: FixedStateColumn<Value>.self)
    values = column.values
    present = column.present
    live = column.slots.live
  }

  @inlinable @inline(__always)
  public func get(_ slot: UInt32) -> Value? { present[Int(slot)] != 0 ? values[Int(slot)] : nil }

  @inlinable @inline(__always)
  public func set(_ slot: UInt32, _ value: Value) {
    if present[Int(slot)] == 0 {
      present[Int(slot)] = 1
      live[Int(slot)] &+= 1
    }
    values[Int(slot)] = value
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
public protocol IntegerStateValue: StateValue where Access == FixedStateAccess<Int64> {
  init(stored: Int64)
  var stored: Int64 { get }
}

extension IntegerStateValue {
  public static func access(to column: StateColumn) -> FixedStateAccess<Int64> { FixedStateAccess(column) }

  @inlinable @inline(__always)
  public static func get(_ access: FixedStateAccess<Int64>, _ slot: UInt32) -> Self? {
    access.get(slot).map { Self(stored: $0) }
  }

  @inlinable @inline(__always)
  public static func set(_ access: FixedStateAccess<Int64>, _ slot: UInt32, _ value: Self) {
    access.set(slot, value.stored)
  }
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
}

extension String: StateValue {
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

extension Array: StateValue where Element == UInt8 {
  public static var dataType: DataType { .binary }
  public static func access(to column: StateColumn) -> BytesStateAccess { BytesStateAccess(column) }
  public static func get(_ access: BytesStateAccess, _ slot: UInt32) -> [UInt8]? {
    access.get(slot).map { [UInt8]($0) }
  }
  public static func set(_ access: BytesStateAccess, _ slot: UInt32, _ value: [UInt8]) {
    value.withUnsafeBytes { access.set(slot, $0) }
  }
}
