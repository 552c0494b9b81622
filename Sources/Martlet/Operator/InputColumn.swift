import CMartlet

/// A typed column of a Swift function's input.
///
/// Declare it as a stored property and read the current record with `record[column]`, which is nil for a null. The column
/// must exist and hold the type, or an integer type where `Int64` is asked for; anything else stops the job with
/// `.schemaMismatch` before the first record.
public final class InputColumn<Value: InputValue>: AnyInputColumn {
  override public init(_ name: String) { super.init(name) }

  /// Of one side of a function of two inputs, to be read from that side's records. Without a side such a function reads the column from
  /// the records of every side that has it.
  override public init(_ name: String, side: Side) { super.init(name, side: side) }

  override func reads(_ type: DataType) -> Bool { Value.reads(type) }
  override var valueName: String { "\(Value.self)" }
}

public class AnyInputColumn {
  public let name: String
  /// In a function of two inputs, the side whose records have the column; nil: any that has it.
  public let side: Side?
  /// The cells of the current batch, and the batch: records of another one are not read from them.
  @exclusivity(unchecked) @usableFromInline final var cells: UnsafePointer<martlet_column>?
  @exclusivity(unchecked) @usableFromInline final var owner: UnsafeMutableRawPointer?
  /// The same for the right side of a function of two inputs.
  @exclusivity(unchecked) private final var rightCells: UnsafePointer<martlet_column>?
  @exclusivity(unchecked) private final var rightOwner: UnsafeMutableRawPointer?

  init(_ name: String) {
    self.name = name
    side = nil
  }

  init(_ name: String, side: Side) {
    self.name = name
    self.side = side
  }

  func reads(_ type: DataType) -> Bool { false }
  var valueName: String { "" }

  final func bind(_ batch: RecordBatch) throws(EngineError) {
    cells = try cells(in: batch)
    owner = Unmanaged.passUnretained(batch).toOpaque()
  }

  /// For a chunk of two inputs. `known` are the schemas of both as far as they are known: a column that neither has is an error.
  final func bind(
    left: RecordBatch?, right: RecordBatch?, known: (left: Schema?, right: Schema?)
  ) throws(EngineError) {
    unbind()
    func isIn(_ schema: Schema?, _ side: Side) -> Bool { self.side == side || schema?.index(of: name) != nil }
    if side != .right, let left, isIn(left.schema, .left) { try bind(left) }
    if side != .left, let right, isIn(right.schema, .right) {
      rightCells = try cells(in: right)
      rightOwner = Unmanaged.passUnretained(right).toOpaque()
    }
    if side == nil, let left = known.left, let right = known.right, !isIn(left, .left), !isIn(right, .right) {
      throw EngineError(
        .missingColumn, "there is no input column '\(name)': the left side has (\(left)), the right side (\(right))")
    }
  }

  private final func cells(in batch: RecordBatch) throws(EngineError) -> UnsafePointer<martlet_column> {
    let position = try batch.column(named: name)
    let type = batch.schema.fields[position].type
    guard reads(type) else {
      throw EngineError(.schemaMismatch, "input column '\(name)' is \(type), which cannot be read as \(valueName)")
    }
    return batch.columns.baseAddress.unsafelyUnwrapped + position
  }

  final func unbind() { (cells, owner, rightCells, rightOwner) = (nil, nil, nil, nil) }

  /// For a record that is not of the batch bound first.
  @usableFromInline
  final func otherCells(_ batch: UnsafeMutableRawPointer) -> UnsafePointer<martlet_column> {
    guard let rightCells, batch == rightOwner else {
      preconditionFailure(
        "input column '\(name)' was read "
          + (cells == nil && rightCells == nil
            ? "outside of a callback of the function it belongs to" : "from a record whose side does not have it"))
    }
    return rightCells
  }
}

extension Record {
  /// The record's value in that column; nil if it is null.
  @inlinable @inline(__always)
  public subscript<Value: InputValue>(column: InputColumn<Value>) -> Value? {
    let owner = batch.toOpaque()
    let cells = owner == column.owner ? column.cells.unsafelyUnwrapped : column.otherCells(owner)
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
