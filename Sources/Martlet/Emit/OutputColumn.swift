/// A typed column of a Swift function's output.
///
/// Declare it as a stored property; the function's output then has these columns, in the order of declaration. In a
/// callback, set the columns of a row and emit it:
///
/// ```swift
/// user.set(key.int64)
/// n.set(count)
/// try context.emit()
/// ```
public final class OutputColumn<Value: ColumnValue>: AnyOutputColumn {
  @exclusivity(unchecked) @usableFromInline var builder: Unmanaged<Value.Builder>?
  /// Where the next cell goes. Outside of a callback one that has room for none.
  @exclusivity(unchecked) @usableFromInline var cursor: UnsafeMutablePointer<CellCursor>
  private let noCursor: UnsafeMutablePointer<CellCursor>

  /// `side`: the side output that the column belongs to, itself a stored property; nil: the main output.
  public init(_ name: String, of side: SideOutput? = nil) {
    noCursor = .allocate(capacity: 1)
    noCursor.initialize(to: CellCursor())
    cursor = noCursor
    super.init(name: name, dataType: Value.dataType, side: side)
  }

  deinit { noCursor.deallocate() }

  /// Sets this column of the row under construction, once.
  @inlinable @inline(__always)
  public func set(_ value: Value) {
    // Decided when this is specialised: a value that lies in the column as it lies in memory.
    if Value.Builder.self == FixedWidthColumnBuilder.self, _fastPath(cursor.pointee.hasRoom) {
      return cursor.pointee.store(value)
    }
    guard let builder else { misused() }
    builder._withUnsafeGuaranteedRef { Value.append(value, to: $0) }
  }

  @usableFromInline
  func misused() -> Never {
    preconditionFailure("output column '\(name)' was set outside of a callback of the function it belongs to")
  }

  override func bind(_ output: OutputBuilder) {
    // The builder exists from the declaration of the schema on and lives as long as the output.
    guard let batch = try? output.builder, let index = batch.schema.index(of: name) else { return }
    guard let column = batch.columns[index] as? Value.Builder else { return }
    builder = .passUnretained(column)
    cursor = column.cursor
  }

  override func unbind() {
    builder = nil
    cursor = noCursor
  }
}

public class AnyOutputColumn {
  public let name: String
  public let dataType: DataType
  let side: SideOutput?

  init(name: String, dataType: DataType, side: SideOutput?) {
    self.side = side
    self.name = name
    self.dataType = dataType
  }

  func bind(_ output: OutputBuilder) {}
  func unbind() {}
}

/// A Swift type that an output column can hold: `Int64`, `Int32`, `Int`, `Double`, `Float`, `Bool` and `String`.
public protocol ColumnValue {
  associatedtype Builder: ColumnBuilder
  static var dataType: DataType { get }
  static func append(_ value: Self, to builder: Builder)
}

/// A value that lies in the column as it lies in memory.
public protocol FixedWidthColumnValue: ColumnValue, BitwiseCopyable where Builder == FixedWidthColumnBuilder {}

extension FixedWidthColumnValue {
  @inlinable @inline(__always)
  public static func append(_ value: Self, to builder: FixedWidthColumnBuilder) { builder.appendUnchecked(value) }
}

extension Int8: FixedWidthColumnValue {}
extension Int16: FixedWidthColumnValue {}
extension Int32: FixedWidthColumnValue {}
extension Int64: FixedWidthColumnValue {}
extension Int: FixedWidthColumnValue {}
extension UInt8: FixedWidthColumnValue {}
extension UInt16: FixedWidthColumnValue {}
extension UInt32: FixedWidthColumnValue {}
extension UInt64: FixedWidthColumnValue {}
extension Float: FixedWidthColumnValue {}
extension Double: FixedWidthColumnValue {}

extension Bool: ColumnValue {
  public static func append(_ value: Bool, to builder: ColumnBuilder) {
    // Cannot fail: the column was declared bool, and a bool has no range.
    try? builder.append(bool: value)
  }
}

extension String: ColumnValue {
  public static func append(_ value: String, to builder: ColumnBuilder) {
    var value = value
    // A Swift string is valid UTF-8; large_utf8 has no bound that memory would not reach first.
    value.withUTF8 { bytes in try? builder.append(bytes: UnsafeRawBufferPointer(bytes)) }
  }
}
