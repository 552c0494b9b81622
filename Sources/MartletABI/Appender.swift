import CMartlet
import Martlet

// martlet_append*: the cells of one column. An appender is a borrowed ColumnBuilder.

@_cdecl("martlet_appender_field")
public func martletAppenderField(_ appender: OpaquePointer) -> UnsafePointer<martlet_column> {
  Handle.object(appender, as: ColumnBuilder.self).template
}

@_cdecl("martlet_appender_child")
public func martletAppenderChild(_ appender: OpaquePointer, _ child: Int64) -> OpaquePointer? {
  guard child >= 0 else { return nil }
  return Handle.object(appender, as: ColumnBuilder.self).child(Int(child)).map { Handle.borrowed($0) }
}

@_cdecl("martlet_append_null")
public func martletAppendNull(_ appender: OpaquePointer, _ error: UnsafeMutablePointer<martlet_error>?) -> Int32 {
  boundary(appender, as: ColumnBuilder.self, error: error) { column throws(EngineError) in try column.appendNull() }
}

@_cdecl("martlet_append_bool")
public func martletAppendBool(_ appender: OpaquePointer, _ value: Int32, _ error: UnsafeMutablePointer<martlet_error>?)
  -> Int32
{
  boundary(appender, as: ColumnBuilder.self, error: error) { column throws(EngineError) in
    try column.append(bool: value != 0)
  }
}

@_cdecl("martlet_append_int64")
public func martletAppendInt64(_ appender: OpaquePointer, _ value: Int64, _ error: UnsafeMutablePointer<martlet_error>?)
  -> Int32
{
  boundary(appender, as: ColumnBuilder.self, error: error) { column throws(EngineError) in
    try column.append(int64: value)
  }
}

@_cdecl("martlet_append_uint64")
public func martletAppendUInt64(
  _ appender: OpaquePointer, _ value: UInt64, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(appender, as: ColumnBuilder.self, error: error) { column throws(EngineError) in
    try column.append(uint64: value)
  }
}

@_cdecl("martlet_append_double")
public func martletAppendDouble(
  _ appender: OpaquePointer, _ value: Double, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(appender, as: ColumnBuilder.self, error: error) { column throws(EngineError) in
    try column.append(double: value)
  }
}

@_cdecl("martlet_append_bytes")
public func martletAppendBytes(
  _ appender: OpaquePointer, _ bytes: UnsafeRawPointer?, _ length: Int, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(appender, as: ColumnBuilder.self, error: error) { column throws(EngineError) in
    guard length == 0 || bytes != nil else { throw missing("bytes") }
    try column.append(
      bytes: UnsafeRawBufferPointer(start: bytes, count: length))
  }
}

@_cdecl("martlet_append_end_nested")
public func martletAppendEndNested(_ appender: OpaquePointer, _ error: UnsafeMutablePointer<martlet_error>?) -> Int32 {
  boundary(appender, as: ColumnBuilder.self, error: error) { column throws(EngineError) in try column.endNested() }
}

@_cdecl("martlet_append_cell")
public func martletAppendCell(
  _ appender: OpaquePointer, _ column: UnsafePointer<martlet_column>?, _ row: Int64,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(appender, as: ColumnBuilder.self, error: error) { builder throws(EngineError) in
    guard let column else { throw missing("column") }
    try builder.append(cell: Int(row), of: column)
  }
}
