import CMartlet

/// A typed column of a Swift function's input.
///
/// Declare it as a stored property and read the current record with `record[column]`, which is nil for a null. The column
/// must exist and hold the type, or an integer type where `Int64` is asked for; anything else stops the job with
/// `.schemaMismatch` before the first record.
public final class InputColumn<Value: InputValue>: AnyInputColumn {
  @exclusivity(unchecked) @usableFromInline var column: UnsafePointer<martlet_column>?

  override public init(_ name: String) { super.init(name) }

  override func bind(_ batch: RecordBatch) throws(EngineError) {
    let position = try batch.column(named: name)
    let type = batch.schema.fields[position].type
    guard Value.reads(type) else {
      throw EngineError(.schemaMismatch, "input column '\(name)' is \(type), which cannot be read as \(Value.self)")
    }
    column = batch.columns.baseAddress.unsafelyUnwrapped + position
  }

  override func unbind() { column = nil }

  @usableFromInline
  func misused() -> Never {
    preconditionFailure("input column '\(name)' was read outside of a callback of the function it belongs to")
  }
}

public class AnyInputColumn {
  public let name: String
  init(_ name: String) { self.name = name }
  func bind(_ batch: RecordBatch) throws(EngineError) {}
  func unbind() {}
}

extension Record {
  /// The record's value in that column; nil if it is null.
  @inlinable @inline(__always)
  public subscript<Value: InputValue>(column: InputColumn<Value>) -> Value? {
    guard let cells = column.column else { column.misused() }
    if cells.pointee.null_count != 0, cells.pointee.isNull(row) { return nil }
    return Value.read(cells, row)
  }
}

/// A Swift type that an input column can be read as: `Int64`, `Double`, `Bool` and `String`.
public protocol InputValue {
  static func reads(_ type: DataType) -> Bool
  static func read(_ column: UnsafePointer<martlet_column>, _ row: Int) -> Self
}

extension Int64: InputValue {
  public static func reads(_ type: DataType) -> Bool {
    switch type.valueType {
    case .int8, .int16, .int32, .int64, .uint8, .uint16, .uint32, .date32, .date64, .time32, .time64, .timestamp,
      .duration:
      true
    default: false
    }
  }

  @inlinable @inline(__always)
  public static func read(_ column: UnsafePointer<martlet_column>, _ row: Int) -> Int64 {
    if column.pointee.width == 8, column.pointee.dictionary == nil {
      return column.pointee.values.unsafelyUnwrapped.assumingMemoryBound(to: Int64.self)[
        Int(column.pointee.offset) &+ row]
    }
    return column.pointee.int64(row)
  }
}

extension Double: InputValue {
  public static func reads(_ type: DataType) -> Bool {
    switch type.valueType {
    case .float16, .float32, .float64: true
    default: Int64.reads(type)
    }
  }

  @inlinable @inline(__always)
  public static func read(_ column: UnsafePointer<martlet_column>, _ row: Int) -> Double {
    if column.pointee.type == Int32(MARTLET_TYPE_FLOAT64.rawValue), column.pointee.dictionary == nil {
      return column.pointee.values.unsafelyUnwrapped.assumingMemoryBound(to: Double.self)[
        Int(column.pointee.offset) &+ row]
    }
    return column.pointee.double(row)
  }
}

extension Bool: InputValue {
  public static func reads(_ type: DataType) -> Bool { type.valueType == .bool }
  public static func read(_ column: UnsafePointer<martlet_column>, _ row: Int) -> Bool {
    column.pointee.int64(row) != 0
  }
}

extension String: InputValue {
  public static func reads(_ type: DataType) -> Bool {
    switch type.valueType {
    case .utf8, .largeUtf8, .utf8View: true
    default: false
    }
  }

  public static func read(_ column: UnsafePointer<martlet_column>, _ row: Int) -> String {
    String(decoding: column.pointee.bytes(row), as: UTF8.self)
  }
}
