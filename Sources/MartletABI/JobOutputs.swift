import CMartlet
import Martlet

// Several outputs of one job, side outputs, and the policies that fill them.

@_cdecl("martlet_job_add_output")
public func martletJobAddOutput(
  _ job: OpaquePointer, _ process: Int64, _ tag: UnsafePointer<CChar>?, _ out: UnsafeMutablePointer<Int64>?,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let out else { throw missing("output") }
    let job = Handle.object(job, as: Job.self)
    out.pointee = Int64(try job.addOutput(selector(process, text(tag), in: job)))
  }
}

@_cdecl("martlet_job_next_from")
public func martletJobNextFrom(
  _ job: OpaquePointer, _ output: Int64, _ minRows: Int64, _ out: UnsafeMutablePointer<OpaquePointer?>?,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  runningJob(job, error: error) { job in
    guard let out else { throw missing("out") }
    out.pointee = try job.next(from: Int(output), minRows: Int(clamping: minRows)).map { Handle.new($0) }
  }
}

@_cdecl("martlet_job_schema_of")
public func martletJobSchemaOf(
  _ job: OpaquePointer, _ output: Int64, _ out: UnsafeMutablePointer<ArrowSchema>?,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let out else { throw missing("out") }
    let schema = try Handle.object(job, as: Job.self).schema(of: Int(output))
    out.pointee = ArrowSchema()
    schema?.export(into: out)
  }
}

@_cdecl("martlet_context_side_output")
public func martletContextSideOutput(
  _ call: UnsafePointer<martlet_context>, _ tag: UnsafePointer<CChar>?, _ out: UnsafeMutablePointer<OpaquePointer?>?,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let tag = text(tag), let out else { throw missing("tag or out") }
    out.pointee = Handle.borrowed(try engine(call).sidePort(tag))
  }
}

@_cdecl("martlet_output_rows")
public func martletOutputRows(
  _ output: OpaquePointer, _ batch: OpaquePointer, _ row: Int64, _ count: Int64,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(output, as: OutputPort.self, error: error) { output throws(EngineError) in
    guard row >= 0, count >= 0, row <= Int64.max - count else {
      throw EngineError(.invalidArgument, "\(count) rows from row \(row) on are no range of rows")
    }
    try output.emit(Handle.object(batch, as: RecordBatch.self), rows: Int(row)..<Int(row + count))
  }
}

/// The output that a number counted from 1 and a tag name; 0 is the operator added last.
private func selector(_ process: Int64, _ tag: String?, in job: Job) throws(EngineError) -> OutputSelector {
  if process > 0 { return OutputSelector(process: Int(process - 1), tag: tag) }
  guard process == 0, let last = job.selected else {
    throw EngineError(
      .invalidArgument, process == 0 ? "the job has no function yet" : "\(process) is no number of a function, from 1")
  }
  return OutputSelector(process: last.process, tag: tag)
}

/// Makes what `input` and `input_tag` name the input of the next function.
func selectInput(of options: martlet_process_options, in job: Job) throws(EngineError) {
  let tag = text(options.input_tag)
  guard options.input != 0 || tag != nil else { return }
  try job.select(selector(options.input, tag, in: job))
}

func readPolicies(_ options: martlet_job_options, into policies: inout RecordPolicies) throws(EngineError) {
  guard let onError = ErrorPolicy(rawValue: options.on_error) else {
    throw EngineError(.invalidArgument, "martlet_job_options.on_error is not a martlet_error_policy")
  }
  guard let late = LatePolicy(rawValue: options.late) else {
    throw EngineError(.invalidArgument, "martlet_job_options.late is not a martlet_late_policy")
  }
  (policies.onError, policies.late) = (onError, late)
}

/// The declared side outputs, as far as they can be read.
func sideOutputSpecs(_ options: UnsafePointer<martlet_process_options>?) -> UnsafeBufferPointer<martlet_side_output> {
  guard let options, let start = options.pointee.side_outputs, options.pointee.n_side_outputs > 0 else {
    return UnsafeBufferPointer(start: nil, count: 0)
  }
  return UnsafeBufferPointer(start: start, count: Int(options.pointee.n_side_outputs))
}

func sideSchemas(
  _ specs: UnsafeBufferPointer<martlet_side_output>
) throws(EngineError) -> [(tag: String, schema: Schema)] {
  var schemas: [(tag: String, schema: Schema)] = []
  for spec in specs {
    guard let tag = text(spec.tag), let schema = spec.schema else { throw missing("martlet_side_output.tag or schema") }
    schemas.append((tag, try takeSchema(schema)))
  }
  return schemas
}

func releaseSchemas(of specs: UnsafeBufferPointer<martlet_side_output>) {
  for spec in specs {
    spec.schema?.pointee.release?(spec.schema)
    spec.schema?.pointee.release = nil
  }
}

func utf8Text(_ start: UnsafePointer<CChar>?, _ length: Int) -> String? {
  start.map { String(decoding: UnsafeRawBufferPointer(start: $0, count: length), as: UTF8.self) }
}
