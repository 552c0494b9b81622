import CMartlet
import Martlet

// martlet_batch_*: batches in and out.

@_cdecl("martlet_batch_import")
public func martletBatchImport(
  _ array: UnsafeMutablePointer<ArrowArray>?, _ schema: UnsafeMutablePointer<ArrowSchema>?,
  _ out: UnsafeMutablePointer<OpaquePointer?>?,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let array, let schema, let out else {
      // Both are moved whatever happens.
      if let array { array.pointee.release?(array) }
      if let schema { schema.pointee.release?(schema) }
      throw missing("array, schema or out")
    }
    out.pointee = Handle.new(try RecordBatch.importing(array: array, schema: schema))
  }
}

@_cdecl("martlet_batch_retain")
public func martletBatchRetain(_ batch: OpaquePointer?) -> OpaquePointer? {
  if let batch { _ = Unmanaged<RecordBatch>.fromOpaque(UnsafeRawPointer(batch)).retain() }
  return batch
}

@_cdecl("martlet_batch_release")
public func martletBatchRelease(_ batch: OpaquePointer?) { Handle.release(batch, as: RecordBatch.self) }

@_cdecl("martlet_batch_num_rows")
public func martletBatchNumRows(_ batch: OpaquePointer) -> Int64 {
  Int64(Handle.object(batch, as: RecordBatch.self).numRows)
}

@_cdecl("martlet_batch_num_columns")
public func martletBatchNumColumns(_ batch: OpaquePointer) -> Int64 {
  Int64(Handle.object(batch, as: RecordBatch.self).columns.count)
}

@_cdecl("martlet_batch_columns")
public func martletBatchColumns(_ batch: OpaquePointer) -> UnsafePointer<martlet_column>? {
  Handle.object(batch, as: RecordBatch.self).columns.baseAddress
}

@_cdecl("martlet_batch_export")
public func martletBatchExport(
  _ batch: OpaquePointer, _ offset: Int64, _ length: Int64, _ out: UnsafeMutablePointer<ArrowArray>?,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let out else { throw missing("out") }
    try Handle.object(batch, as: RecordBatch.self).export(offset: Int(offset), length: Int(length), into: out)
  }
}

@_cdecl("martlet_batch_export_schema")
public func martletBatchExportSchema(
  _ batch: OpaquePointer, _ out: UnsafeMutablePointer<ArrowSchema>?, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let out else { throw missing("out") }
    Handle.object(batch, as: RecordBatch.self).schema.export(into: out)
  }
}

@_cdecl("martlet_batch_export_column")
public func martletBatchExportColumn(
  _ batch: OpaquePointer, _ column: Int64, _ offset: Int64, _ length: Int64,
  _ outArray: UnsafeMutablePointer<ArrowArray>?,
  _ outSchema: UnsafeMutablePointer<ArrowSchema>?, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let outArray, let outSchema else { throw missing("out_array or out_schema") }
    try Handle.object(batch, as: RecordBatch.self).exportColumn(
      Int(column), offset: Int(offset), length: Int(length), into: outArray, schema: outSchema)
  }
}
