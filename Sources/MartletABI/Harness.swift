import CMartlet
import Martlet

// martlet_harness_*: a function driven by hand.

/// The engine's harness with what is lent to the caller.
private final class HarnessHandle {
  let harness: Harness
  var timestamps: RowTimestamps?
  var snapshot: UnsafeMutableBufferPointer<UInt8>?

  init(_ harness: Harness) { self.harness = harness }

  deinit { snapshot?.deallocate() }
}

private func handle(_ harness: OpaquePointer) -> HarnessHandle { Handle.object(harness, as: HarnessHandle.self) }

@_cdecl("martlet_harness_create")
public func martletHarnessCreate(
  _ job: OpaquePointer, _ options: UnsafePointer<martlet_harness_options>?,
  _ out: UnsafeMutablePointer<OpaquePointer?>?, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let out else { throw missing("out") }
    if let options { try checkSize(options.pointee.struct_size, of: martlet_harness_options.self) }
    let bound = options?.pointee.max_out_of_orderness ?? -1
    let harness = try Harness(
      Handle.object(job, as: Job.self), timestamp: text(options?.pointee.timestamp),
      rightTimestamp: text(options?.pointee.right_timestamp), maxOutOfOrderness: bound == -1 ? nil : bound)
    out.pointee = Handle.new(HarnessHandle(harness))
  }
}

@_cdecl("martlet_harness_free")
public func martletHarnessFree(_ harness: OpaquePointer?) { Handle.release(harness, as: HarnessHandle.self) }

@_cdecl("martlet_harness_open")
public func martletHarnessOpen(
  _ harness: OpaquePointer, _ schema: UnsafeMutablePointer<ArrowSchema>?, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  running(error: error) {
    guard let schema else { throw missing("schema") }
    try handle(harness).harness.open(takeSchema(schema))
  }
}

@_cdecl("martlet_harness_push")
public func martletHarnessPush(
  _ harness: OpaquePointer, _ batch: OpaquePointer?, _ row: Int64, _ time: Int32, _ timestamp: Int64,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  running(error: error) {
    guard let batch else { throw missing("batch") }
    try handle(harness).harness.push(
      Handle.object(batch, as: RecordBatch.self), row: Int(row), timestamp: try recordTime(time, timestamp))
  }
}

private func recordTime(_ time: Int32, _ timestamp: Int64) throws(EngineError) -> RecordTime {
  guard time == 0 || time == 1 else {
    throw EngineError(.invalidArgument, "time \(time) is not a martlet_record_time")
  }
  if time == 0 { return .column }
  return timestamp == EventTime.none ? .none : .at(timestamp)
}

// MARK: - Two inputs

private func side(_ number: Int32) throws(EngineError) -> Side {
  guard let side = Side(rawValue: number) else {
    throw EngineError(.invalidArgument, "side \(number) is neither MARTLET_LEFT nor MARTLET_RIGHT")
  }
  return side
}

@_cdecl("martlet_harness_open_input")
public func martletHarnessOpenInput(
  _ harness: OpaquePointer, _ number: Int32, _ schema: UnsafeMutablePointer<ArrowSchema>?,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  running(error: error) {
    guard let schema else { throw missing("schema") }
    let schemaValue = try takeSchema(schema)
    try handle(harness).harness.open(try side(number), schemaValue)
  }
}

@_cdecl("martlet_harness_push_to")
public func martletHarnessPushTo(
  _ harness: OpaquePointer, _ number: Int32, _ batch: OpaquePointer?, _ row: Int64, _ time: Int32, _ timestamp: Int64,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  running(error: error) {
    guard let batch else { throw missing("batch") }
    try handle(harness).harness.push(
      try side(number), Handle.object(batch, as: RecordBatch.self), row: Int(row),
      timestamp: try recordTime(time, timestamp))
  }
}

@_cdecl("martlet_harness_advance_input")
public func martletHarnessAdvanceInput(
  _ harness: OpaquePointer, _ number: Int32, _ time: Int64, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  running(error: error) { try handle(harness).harness.advanceWatermark(try side(number), to: time) }
}

@_cdecl("martlet_harness_set_idle")
public func martletHarnessSetIdle(
  _ harness: OpaquePointer, _ number: Int32, _ idle: Int32, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  running(error: error) { try handle(harness).harness.setIdle(try side(number), idle != 0) }
}

@_cdecl("martlet_harness_end_input")
public func martletHarnessEndInput(
  _ harness: OpaquePointer, _ number: Int32, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  running(error: error) { try handle(harness).harness.end(try side(number)) }
}

@_cdecl("martlet_harness_schema_of")
public func martletHarnessSchemaOf(
  _ harness: OpaquePointer, _ number: Int32, _ out: UnsafeMutablePointer<ArrowSchema>?,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let out else { throw missing("out") }
    let schema = handle(harness).harness.inputSchema(of: try side(number))
    out.pointee = ArrowSchema()
    schema?.export(into: out)
  }
}

@_cdecl("martlet_harness_advance_watermark")
public func martletHarnessAdvanceWatermark(
  _ harness: OpaquePointer, _ time: Int64, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  running(error: error) { try handle(harness).harness.advanceWatermark(to: time) }
}

@_cdecl("martlet_harness_advance_processing_time")
public func martletHarnessAdvanceProcessingTime(
  _ harness: OpaquePointer, _ time: Int64, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  running(error: error) { try handle(harness).harness.advanceProcessingTime(to: time) }
}

@_cdecl("martlet_harness_fire_due")
public func martletHarnessFireDue(_ harness: OpaquePointer, _ error: UnsafeMutablePointer<martlet_error>?) -> Int32 {
  running(error: error) { try handle(harness).harness.fireDue() }
}

@_cdecl("martlet_harness_fire_due_seeing")
public func martletHarnessFireDueSeeing(
  _ harness: OpaquePointer, _ watermark: Int64, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  running(error: error) { try handle(harness).harness.fireDue(seeing: watermark) }
}

@_cdecl("martlet_harness_end")
public func martletHarnessEnd(_ harness: OpaquePointer, _ error: UnsafeMutablePointer<martlet_error>?) -> Int32 {
  running(error: error) { try handle(harness).harness.end() }
}

@_cdecl("martlet_harness_close")
public func martletHarnessClose(_ harness: OpaquePointer, _ error: UnsafeMutablePointer<martlet_error>?) -> Int32 {
  running(error: error) { try handle(harness).harness.close() }
}

@_cdecl("martlet_harness_watermark")
public func martletHarnessWatermark(_ harness: OpaquePointer) -> Int64 { handle(harness).harness.watermark }

@_cdecl("martlet_harness_processing_time")
public func martletHarnessProcessingTime(_ harness: OpaquePointer) -> Int64 { handle(harness).harness.processingTime }

@_cdecl("martlet_harness_take")
public func martletHarnessTake(
  _ harness: OpaquePointer, _ tag: UnsafePointer<CChar>?, _ out: UnsafeMutablePointer<OpaquePointer?>?,
  _ timestamps: UnsafeMutablePointer<UnsafePointer<Int64>?>?, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let out else { throw missing("out") }
    guard let timestamps else { throw missing("timestamps") }
    let handle = handle(harness)
    let taken = try handle.harness.takeOutput(text(tag))
    handle.timestamps = taken?.timestamps
    timestamps.pointee = taken?.timestamps.values.baseAddress
    out.pointee = taken.map { Handle.new($0.batch) }
  }
}

@_cdecl("martlet_harness_schema")
public func martletHarnessSchema(
  _ harness: OpaquePointer, _ out: UnsafeMutablePointer<ArrowSchema>?, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let out else { throw missing("out") }
    out.pointee = ArrowSchema()
    handle(harness).harness.inputSchema?.export(into: out)
  }
}

@_cdecl("martlet_harness_key_schema")
public func martletHarnessKeySchema(
  _ harness: OpaquePointer, _ out: UnsafeMutablePointer<ArrowSchema>?, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let out else { throw missing("out") }
    out.pointee = ArrowSchema()
    handle(harness).harness.keySchema?.export(into: out)
  }
}

@_cdecl("martlet_harness_select")
public func martletHarnessSelect(
  _ harness: OpaquePointer, _ key: OpaquePointer?, _ found: UnsafeMutablePointer<Int32>?,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    let harness = handle(harness).harness
    guard let key else { return harness.deselect() }
    guard let found else { throw missing("found") }
    found.pointee = try harness.select(Handle.object(key, as: RecordBatch.self)) ? 1 : 0
  }
}

@_cdecl("martlet_harness_snapshot")
public func martletHarnessSnapshot(
  _ harness: OpaquePointer, _ bytes: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
  _ length: UnsafeMutablePointer<Int>?, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let bytes else { throw missing("bytes") }
    guard let length else { throw missing("length") }
    let handle = handle(harness)
    let snapshot = try handle.harness.snapshot()
    let copy = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: snapshot.count)
    _ = copy.initialize(from: snapshot)
    handle.snapshot?.deallocate()
    handle.snapshot = copy
    bytes.pointee = UnsafePointer(copy.baseAddress)
    length.pointee = copy.count
  }
}

@_cdecl("martlet_harness_restore")
public func martletHarnessRestore(
  _ harness: OpaquePointer, _ bytes: UnsafeRawPointer?, _ length: Int,
  _ options: UnsafePointer<martlet_restore_options>?, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  running(error: error) {
    guard let bytes else { throw missing("bytes") }
    var groups: KeyGroupRange?
    var forgetting: [String] = []
    if let options = options?.pointee {
      try checkSize(options.struct_size, of: martlet_restore_options.self)
      for name in try array(options.forget, options.n_forget, "martlet_restore_options.forget") {
        guard let name = text(name) else { throw missing("a name in martlet_restore_options.forget") }
        forgetting.append(name)
      }
      if options.max_parallelism != 0 {
        let end = options.first_group.addingReportingOverflow(options.n_groups)
        guard options.n_groups >= 0, !end.overflow else {
          throw EngineError(.invalidArgument, "martlet_restore_options.n_groups is \(options.n_groups)")
        }
        groups = try KeyGroupRange(options.first_group..<end.partialValue, of: options.max_parallelism)
      }
    }
    try handle(harness).harness.restore(
      UnsafeRawBufferPointer(start: bytes, count: length), groups: groups, forgetting: forgetting)
  }
}
