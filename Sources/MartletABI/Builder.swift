import CMartlet
import Martlet

// martlet_builder_*: batches built row by row.

@_cdecl("martlet_builder_create")
public func martletBuilderCreate(
  _ schema: UnsafeMutablePointer<ArrowSchema>?, _ out: UnsafeMutablePointer<OpaquePointer?>?,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let schema else { throw missing("schema") }
    let moved = try takeSchema(schema)
    guard let out else { throw missing("out") }
    out.pointee = Handle.new(try BatchBuilder(moved))
  }
}

/// Reads a moved schema and releases it, also on failure.
func takeSchema(_ schema: UnsafeMutablePointer<ArrowSchema>) throws(EngineError) -> Schema {
  defer {
    schema.pointee.release?(schema)
    schema.pointee.release = nil
  }
  return try Schema(importing: schema)
}

@_cdecl("martlet_builder_free")
public func martletBuilderFree(_ builder: OpaquePointer?) { Handle.release(builder, as: BatchBuilder.self) }

@_cdecl("martlet_builder_appender")
public func martletBuilderAppender(_ builder: OpaquePointer, _ column: Int64) -> OpaquePointer? {
  appender(of: Handle.object(builder, as: BatchBuilder.self), column)
}

/// The appender of a column; nil when out of range.
func appender(of builder: BatchBuilder, _ column: Int64) -> OpaquePointer? {
  guard column >= 0, column < Int64(builder.columns.count) else { return nil }
  return Handle.borrowed(builder.columns[Int(column)])
}

@_cdecl("martlet_builder_num_rows")
public func martletBuilderNumRows(_ builder: OpaquePointer) -> Int64 {
  Int64(Handle.object(builder, as: BatchBuilder.self).numRows)
}

@_cdecl("martlet_builder_end_row")
public func martletBuilderEndRow(_ builder: OpaquePointer, _ error: UnsafeMutablePointer<martlet_error>?) -> Int32 {
  boundary(builder, as: BatchBuilder.self, error: error) { builder throws(EngineError) in try builder.endRow() }
}

@_cdecl("martlet_builder_cancel_row")
public func martletBuilderCancelRow(_ builder: OpaquePointer) {
  Handle.object(builder, as: BatchBuilder.self).cancelRow()
}

@_cdecl("martlet_builder_finish")
public func martletBuilderFinish(
  _ builder: OpaquePointer, _ out: UnsafeMutablePointer<OpaquePointer?>?, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let out else { throw missing("out") }
    out.pointee = Handle.new(try Handle.object(builder, as: BatchBuilder.self).finish())
  }
}
