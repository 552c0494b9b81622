import CMartlet
import Martlet

// martlet_output_*: what a function emits.

@_cdecl("martlet_context_output")
public func martletContextOutput(_ call: UnsafePointer<martlet_context>) -> OpaquePointer {
  Handle.borrowed(engine(call).mainPort)
}

@inline(__always)
private func port(_ output: OpaquePointer) -> OutputPort { Handle.object(output, as: OutputPort.self) }

@_cdecl("martlet_output_row")
public func martletOutputRow(
  _ output: OpaquePointer, _ batch: OpaquePointer, _ row: Int64, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(output, as: OutputPort.self, error: error) { output throws(EngineError) in
    try output.emit(Unmanaged.fromOpaque(UnsafeRawPointer(batch)), row: Int(row))
  }
}

@_cdecl("martlet_output_batch")
public func martletOutputBatch(
  _ output: OpaquePointer, _ batch: OpaquePointer, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    try port(output).emit(Handle.object(batch, as: RecordBatch.self))
  }
}

@_cdecl("martlet_output_declare")
public func martletOutputDeclare(
  _ output: OpaquePointer, _ schema: UnsafeMutablePointer<ArrowSchema>?, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let schema else { throw missing("schema") }
    try port(output).declare(takeSchema(schema))
  }
}

@_cdecl("martlet_output_num_columns")
public func martletOutputNumColumns(_ output: OpaquePointer) -> Int64 {
  Int64(port(output).builder.schema?.fields.count ?? -1)
}

@_cdecl("martlet_output_appender")
public func martletOutputAppender(_ output: OpaquePointer, _ column: Int64) -> OpaquePointer? {
  guard let builder = try? port(output).builder.builder else { return nil }
  return appender(of: builder, column)
}

@_cdecl("martlet_output_end_row")
public func martletOutputEndRow(_ output: OpaquePointer, _ error: UnsafeMutablePointer<martlet_error>?) -> Int32 {
  boundary(output, as: OutputPort.self, error: error) { output throws(EngineError) in try output.endRow() }
}

@_cdecl("martlet_output_cancel_row")
public func martletOutputCancelRow(_ output: OpaquePointer) { port(output).builder.cancelBuiltRow() }
