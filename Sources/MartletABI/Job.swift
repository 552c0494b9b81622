import CMartlet
import Martlet

// martlet_job_*: build a chain and pull batches from it.

@_cdecl("martlet_job_create")
public func martletJobCreate(
  _ options: UnsafePointer<martlet_job_options>?, _ out: UnsafeMutablePointer<OpaquePointer?>?,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let out else { throw missing("out") }
    guard let options else {
      out.pointee = Handle.new(Job())
      return
    }
    try checkSize(options.pointee.struct_size, of: martlet_job_options.self)
    guard let nullKeys = NullPolicy(rawValue: options.pointee.null_keys), nullKeys != .process else {
      throw EngineError(
        .invalidArgument,
        "martlet_job_options.null_keys must be MARTLET_NULLS_RAISE, MARTLET_NULLS_DROP or MARTLET_NULLS_DEAD_LETTER")
    }
    guard let nullTimestamps = NullPolicy(rawValue: options.pointee.null_timestamps) else {
      throw EngineError(.invalidArgument, "martlet_job_options.null_timestamps is not a martlet_null_policy")
    }
    guard let atEnd = TimersAtEnd(rawValue: options.pointee.timers_at_end) else {
      throw EngineError(.invalidArgument, "martlet_job_options.timers_at_end is not a martlet_timers_at_end")
    }
    var policies = RecordPolicies(nullKeys: nullKeys, nullTimestamps: nullTimestamps)
    try readPolicies(options.pointee, into: &policies)
    let job = Job(
      name: text(options.pointee.name) ?? "job", policies,
      clock: options.pointee.clock.map { Handle.object($0, as: ManualClock.self) } ?? Clock.system, atEnd: atEnd)
    job.parallelism = try Parallelism(
      options.pointee.parallelism == 0 ? 1 : Int(options.pointee.parallelism),
      of: options.pointee.max_parallelism == 0 ? 128 : Int(options.pointee.max_parallelism))
    if let poll = options.pointee.poll {
      let lifetime = CallbackLifetime(options.pointee.poll_context, nil)
      job.poll = { if poll(lifetime.context, lifetime.error) != 0 { throw lifetime.failure() } }
    }
    out.pointee = Handle.new(job)
  }
}

@_cdecl("martlet_job_free")
public func martletJobFree(_ job: OpaquePointer?) { Handle.release(job, as: Job.self) }

@_cdecl("martlet_job_add_source")
public func martletJobAddSource(
  _ job: OpaquePointer, _ source: UnsafePointer<martlet_source>?, _ options: UnsafePointer<martlet_stream_options>?,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let source else { throw missing("source") }
    let input = try CallbackSource(moving: source.pointee)
    try addSource(input, to: job, options)
  }
}

@_cdecl("martlet_job_add_arrow_stream")
public func martletJobAddArrowStream(
  _ job: OpaquePointer, _ stream: UnsafeMutablePointer<ArrowArrayStream>?,
  _ options: UnsafePointer<martlet_stream_options>?, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let stream else { throw missing("stream") }
    try addSource(
      ArrowStreamSource(moving: stream, isReplayable: (options?.pointee.replayable ?? 0) != 0), to: job, options)
  }
}

private func addSource(
  _ source: any Source, to job: OpaquePointer, _ options: UnsafePointer<martlet_stream_options>?
) throws(EngineError) {
  let job = Handle.object(job, as: Job.self)
  guard let options else {
    try job.addSource(source)
    return
  }
  try checkSize(options.pointee.struct_size, of: martlet_stream_options.self)
  var how = SourceOptions(
    timestamp: text(options.pointee.timestamp), maxOutOfOrderness: options.pointee.max_out_of_orderness)
  how.idleTimeout = options.pointee.idle_timeout
  how.isLive = options.pointee.live != 0
  try job.addSource(source, name: text(options.pointee.name) ?? "stream", how)
}

@_cdecl("martlet_job_add_process")
public func martletJobAddProcess(
  _ job: OpaquePointer, _ function: UnsafePointer<martlet_process_function>?,
  _ options: UnsafePointer<martlet_process_options>?, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    // The schema is moved whatever happens. A struct that is too small may not have it.
    let size = options?.pointee.struct_size ?? 0
    let isWhole = size >= MemoryLayout<martlet_process_options>.size
    let schema = isWhole ? options?.pointee.output_schema : nil
    let sideSpecs = sideOutputSpecs(isWhole ? options : nil)
    defer {
      schema?.pointee.release?(schema)
      schema?.pointee.release = nil
      releaseSchemas(of: sideSpecs)
    }
    guard let function else { throw missing("function") }
    let callback = try CallbackFunction(moving: function.pointee)
    guard let options else { throw missing("options") }
    try checkSize(size, of: martlet_process_options.self)
    let output: Schema? = if let schema { try takeSchema(schema) } else { nil }
    var states: [StateDescriptor] = []
    for spec in try array(options.pointee.states, options.pointee.n_states, "martlet_process_options.states") {
      states.append(try stateDescriptor(spec))
    }
    let keys = try keyColumns(
      options.pointee.key_columns, options.pointee.n_key_columns, "martlet_process_options.key_columns")
    let job = Handle.object(job, as: Job.self)
    let (kind, inputs) = try operatorInputs(options.pointee, callback)
    if inputs.isEmpty { try selectInput(of: options.pointee, in: job) }
    let name = text(options.pointee.name) ?? "process"
    func specOf(_ callback: CallbackFunction) -> ProcessSpec {
      ProcessSpec(
        name: name, keyColumns: keys, states: states, outputSchema: output,
        calls: kind == .process ? FunctionCalls(callback) : FunctionCalls(twoInputs: callback))
    }
    var spec = specOf(callback)
    if let makeInstance = callback.makeInstance { spec.makeInstance = { specOf(try makeInstance($0)) } }
    spec.kind = kind
    spec.rightKeyColumns = try keyColumns(
      options.pointee.right_key_columns, options.pointee.n_right_key_columns,
      "martlet_process_options.right_key_columns")
    spec.sideSchemas = try sideSchemas(sideSpecs)
    try job.addProcess(spec, inputs)
  }
}

/// An array that a caller passed as a pointer and a count.
func array<Element>(
  _ start: UnsafePointer<Element>?, _ count: Int64, _ name: String
) throws(EngineError) -> UnsafeBufferPointer<Element> {
  guard count >= 0, count == 0 || start != nil else {
    throw EngineError(.invalidArgument, "\(name) is \(start == nil ? "NULL" : "set") and its count \(count)")
  }
  return UnsafeBufferPointer(start: start, count: Int(count))
}

@_cdecl("martlet_job_next")
public func martletJobNext(
  _ job: OpaquePointer, _ minRows: Int64, _ out: UnsafeMutablePointer<OpaquePointer?>?,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  runningJob(job, error: error) { job in
    guard let out else { throw missing("out") }
    out.pointee = try job.next(minRows: Int(clamping: minRows)).map { Handle.new($0) }
  }
}

@_cdecl("martlet_job_close")
public func martletJobClose(_ job: OpaquePointer, _ error: UnsafeMutablePointer<martlet_error>?) -> Int32 {
  running(error: error) { try Handle.object(job, as: Job.self).close() }
}

@_cdecl("martlet_job_report")
public func martletJobReport(
  _ job: OpaquePointer, _ report: UnsafeMutablePointer<martlet_report>?, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let report else { throw missing("report") }
    try checkSize(report.pointee.struct_size, of: martlet_report.self)
    let counts = Handle.object(job, as: Job.self).report
    report.pointee = martlet_report(
      struct_size: report.pointee.struct_size, records_in: counts.recordsIn, records_out: counts.recordsOut,
      batches_in: counts.batchesIn, batches_out: counts.batchesOut, null_keys: counts.nullKeys,
      null_timestamps: counts.nullTimestamps, late: counts.late, timers_fired: counts.timersFired,
      timers_pending: counts.timersPending, keys: counts.keys, state_bytes: counts.stateBytes,
      watermark: counts.watermark, processing_timers_fired: counts.processingTimersFired,
      processing_timers_pending: counts.processingTimersPending, late_dropped: counts.lateDropped,
      errors: counts.errors, side_records: counts.sideRecords, side_dropped: counts.sideDropped,
      state_entries: counts.stateEntries, input_watermark: counts.inputWatermark)
  }
}

@_cdecl("martlet_job_output_schema")
public func martletJobOutputSchema(
  _ job: OpaquePointer, _ out: UnsafeMutablePointer<ArrowSchema>?, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let out else { throw missing("out") }
    out.pointee = ArrowSchema()
    Handle.object(job, as: Job.self).outputSchema?.export(into: out)
  }
}

/// As `boundary` for calls that run callbacks: whatever they throw has a status.
func running(error: UnsafeMutablePointer<martlet_error>?, _ body: () throws -> Void) -> Int32 {
  do {
    try body()
    return 0
  } catch let failure as EngineError {
    return report(failure, into: error)
  } catch let failure as ProcessFunctionError {
    var located = EngineError(.callbackFailed, "\(failure.underlying)")
    located.operatorName = failure.operatorName
    located.record = failure.record
    located.key = failure.key
    return report(located, into: error)
  } catch let failure {
    return report(EngineError(.internalError, "unexpected error: \(failure)"), into: error)
  }
}

func text(_ string: UnsafePointer<CChar>?) -> String? { string.map { String(cString: $0) } }

/// Structs grow at their end only, so a caller's smaller one is of an older version that this library must still read; before
/// the second version there is no such caller.
func checkSize<Struct>(_ size: UInt32, of type: Struct.Type) throws(EngineError) {
  guard size >= MemoryLayout<Struct>.size else {
    throw EngineError(.invalidArgument, "\(type).struct_size is \(size); set it to sizeof(\(type))")
  }
}
