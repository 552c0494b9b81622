import CMartlet
import Martlet
import MartletRocksDB

// martlet_state_files.h: looking into checkpoints, and writing state for a job to begin with.

/// A reader, with the texts and bytes that its functions lend.
private final class StateReaderObject {
  let reader: StateReader
  private var blocks: [UnsafeMutableRawBufferPointer] = []
  let path: UnsafePointer<CChar>
  let damaged: UnsafePointer<CChar>
  let jobName: UnsafePointer<CChar>
  private(set) var sources: [martlet_source_info] = []
  private(set) var operators: [martlet_operator_info] = []
  /// By operator.
  private(set) var states: [[martlet_state_spec]] = []

  init(_ reader: StateReader) {
    self.reader = reader
    var blocks: [UnsafeMutableRawBufferPointer] = []
    func lend(_ bytes: [UInt8]) -> UnsafeMutableRawBufferPointer {
      let block = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count + 1, alignment: 1)
      block.copyBytes(from: bytes)
      block[bytes.count] = 0
      blocks.append(block)
      return block
    }
    func lend(_ text: String) -> UnsafePointer<CChar> {
      UnsafePointer(lend(Array(text.utf8)).baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: CChar.self))
    }
    path = lend(reader.path)
    damaged = lend(reader.damaged.map(\.message).joined(separator: "\n"))
    jobName = lend(reader.jobName)
    sources = reader.sources.map { source in
      let offset = source.offset.map { lend($0) }
      return martlet_source_info(
        struct_size: 0, name: lend(source.name),
        offset: UnsafePointer(offset?.baseAddress?.assumingMemoryBound(to: UInt8.self)),
        offset_length: source.offset?.count ?? 0, records: source.records, watermark: source.watermark,
        has_ended: source.hasEnded ? 1 : 0)
    }
    operators = reader.operators.map { one in
      martlet_operator_info(
        struct_size: 0, name: lend(one.name), kind: one.kind.rawValue, n_states: Int64(one.states.count),
        watermark: one.watermark, processing_time: one.processingTime, records: one.records.first ?? 0,
        right_records: one.records.count > 1 ? one.records[1] : 0, has_ended: one.hasEnded ? 1 : 0)
    }
    states = reader.operators.map { one in one.states.map { StateReaderObject.spec($0, lend) } }
    self.blocks = blocks
  }

  deinit { for block in blocks { block.deallocate() } }

  private static func spec(
    _ state: StateDescriptor, _ lend: (String) -> UnsafePointer<CChar>
  ) -> martlet_state_spec {
    func format(_ type: StateType) -> UnsafePointer<CChar>? {
      if case .typed(let type) = type { lend(type.format) } else { nil }
    }
    var spec = martlet_state_spec()
    spec.name = lend(state.name)
    spec.format = format(state.type)
    let kind: martlet_state_kind
    switch state.kind {
    case .value: kind = MARTLET_STATE_VALUE
    case .list: kind = MARTLET_STATE_LIST
    case .map(let key): (kind, spec.key_format) = (MARTLET_STATE_MAP, format(key))
    case .reducing(let reducer): (kind, spec.reducer) = (MARTLET_STATE_REDUCING, reducer.rawValue)
    case .aggregating: kind = MARTLET_STATE_AGGREGATING
    case .broadcast(let key): (kind, spec.key_format) = (MARTLET_STATE_BROADCAST, format(key))
    }
    spec.kind = Int32(bitPattern: kind.rawValue)
    if let ttl = state.ttl {
      spec.ttl_ms = ttl.milliseconds
      var flags: UInt32 = 0
      if ttl.domain == .event { flags |= MARTLET_TTL_EVENT_TIME.rawValue }
      if ttl.refreshesOnRead { flags |= MARTLET_TTL_REFRESH_ON_READ.rawValue }
      if ttl.showsExpired { flags |= MARTLET_TTL_SHOW_UNTIL_CLEANED.rawValue }
      spec.ttl_flags = Int32(bitPattern: flags)
    }
    return spec
  }
}

private func reader(_ handle: OpaquePointer) -> StateReaderObject {
  Handle.object(handle, as: StateReaderObject.self)
}

/// Fills a struct of the caller's, which says its own size.
private func fill<Struct>(
  _ target: UnsafeMutablePointer<Struct>?, _ size: KeyPath<Struct, UInt32>, _ name: String, _ value: Struct,
  _ put: (inout Struct, UInt32) -> Void
) throws(EngineError) {
  guard let target else { throw missing(name) }
  let given = target.pointee[keyPath: size]
  try checkSize(given, of: Struct.self)
  var value = value
  put(&value, given)
  target.pointee = value
}

private func element<Element>(
  _ list: [Element], _ index: Int64, _ what: String
) throws(EngineError) -> (index: Int, element: Element) {
  guard let index = Int(exactly: index), list.indices.contains(index) else {
    throw EngineError(.invalidArgument, "there is no \(what) \(index); there are \(list.count), from 0")
  }
  return (index, list[index])
}

// MARK: - Reading

@_cdecl("martlet_state_reader_open")
public func martletStateReaderOpen(
  _ path: UnsafePointer<CChar>?, _ out: UnsafeMutablePointer<OpaquePointer?>?,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let out else { throw missing("out") }
    guard let path = text(path) else { throw missing("path") }
    out.pointee = Handle.new(StateReaderObject(try StateReader(path, PosixFileSystem(), [RocksDBBackend()])))
  }
}

@_cdecl("martlet_state_reader_free")
public func martletStateReaderFree(_ handle: OpaquePointer?) { Handle.release(handle, as: StateReaderObject.self) }

@_cdecl("martlet_state_reader_info")
public func martletStateReaderInfo(
  _ handle: OpaquePointer, _ info: UnsafeMutablePointer<martlet_checkpoint_info>?,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    let one = reader(handle)
    let value = martlet_checkpoint_info(
      struct_size: 0, path: one.path, damaged: one.damaged, id: one.reader.id, time_ms: one.reader.time,
      job_name: one.jobName, parallelism: one.reader.parallelism, max_parallelism: one.reader.maxParallelism,
      n_sources: Int64(one.sources.count), n_operators: Int64(one.operators.count))
    try fill(info, \.struct_size, "info", value) { $0.struct_size = $1 }
  }
}

@_cdecl("martlet_state_reader_source")
public func martletStateReaderSource(
  _ handle: OpaquePointer, _ index: Int64, _ info: UnsafeMutablePointer<martlet_source_info>?,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    let value = try element(reader(handle).sources, index, "source").element
    try fill(info, \.struct_size, "info", value) { $0.struct_size = $1 }
  }
}

@_cdecl("martlet_state_reader_operator")
public func martletStateReaderOperator(
  _ handle: OpaquePointer, _ index: Int64, _ info: UnsafeMutablePointer<martlet_operator_info>?,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    let value = try element(reader(handle).operators, index, "operator").element
    try fill(info, \.struct_size, "info", value) { $0.struct_size = $1 }
  }
}

@_cdecl("martlet_state_reader_state")
public func martletStateReaderState(
  _ handle: OpaquePointer, _ operatorIndex: Int64, _ index: Int64, _ spec: UnsafeMutablePointer<martlet_state_spec>?,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    let states = try element(reader(handle).states, operatorIndex, "operator").element
    let value = try element(states, index, "state").element
    try fill(spec, \.struct_size, "spec", value) { $0.struct_size = $1 }
  }
}

@_cdecl("martlet_state_reader_find")
public func martletStateReaderFind(
  _ handle: OpaquePointer, _ operatorName: UnsafePointer<CChar>?, _ state: UnsafePointer<CChar>?,
  _ operatorIndex: UnsafeMutablePointer<Int64>?, _ stateIndex: UnsafeMutablePointer<Int64>?,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    let found = try reader(handle).reader.find(operator: text(operatorName), state: text(state))
    operatorIndex?.pointee = Int64(found.operator)
    stateIndex?.pointee = found.state.map { Int64($0) } ?? -1
  }
}

@_cdecl("martlet_state_reader_count")
public func martletStateReaderCount(
  _ handle: OpaquePointer, _ operatorIndex: Int64, _ keys: UnsafeMutablePointer<Int64>?,
  _ timers: UnsafeMutablePointer<Int64>?, _ stateKeys: UnsafeMutablePointer<Int64>?,
  _ stateEntries: UnsafeMutablePointer<Int64>?, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    let one = reader(handle).reader
    let counts = try one.counts(operator: element(one.operators, operatorIndex, "operator").index)
    keys?.pointee = counts.keys
    timers?.pointee = counts.timers
    for (index, state) in counts.states.enumerated() {
      stateKeys?[index] = state.keys
      stateEntries?[index] = state.entries
    }
  }
}

@_cdecl("martlet_state_reader_key_schema")
public func martletStateReaderKeySchema(
  _ handle: OpaquePointer, _ operatorIndex: Int64, _ out: UnsafeMutablePointer<ArrowSchema>?,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let out else { throw missing("out") }
    let one = try element(reader(handle).reader.operators, operatorIndex, "operator").element
    Schema(one.keys).export(into: out)
  }
}

@_cdecl("martlet_state_reader_schema")
public func martletStateReaderSchema(
  _ handle: OpaquePointer, _ operatorIndex: Int64, _ stateIndex: Int64, _ out: UnsafeMutablePointer<ArrowSchema>?,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let out else { throw missing("out") }
    try rows(reader(handle).reader, operatorIndex, stateIndex, nil).schema.export(into: out)
  }
}

private func rows(
  _ reader: StateReader, _ operatorIndex: Int64, _ stateIndex: Int64, _ key: RecordBatch?
) throws(EngineError) -> StateRows {
  let (index, one) = try element(reader.operators, operatorIndex, "operator")
  guard stateIndex != -1 else { return try reader.timers(operator: index, key: key) }
  return try reader.rows(operator: index, state: element(one.states, stateIndex, "state").index, key: key)
}

@_cdecl("martlet_state_reader_rows")
public func martletStateReaderRows(
  _ handle: OpaquePointer, _ operatorIndex: Int64, _ stateIndex: Int64, _ key: OpaquePointer?,
  _ out: UnsafeMutablePointer<OpaquePointer?>?, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let out else { throw missing("out") }
    let key = key.map { Handle.object($0, as: RecordBatch.self) }
    out.pointee = Handle.new(try rows(reader(handle).reader, operatorIndex, stateIndex, key))
  }
}

@_cdecl("martlet_state_rows_next")
public func martletStateRowsNext(
  _ handle: OpaquePointer, _ maxRows: Int64, _ out: UnsafeMutablePointer<OpaquePointer?>?,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let out else { throw missing("out") }
    let batch = try Handle.object(handle, as: StateRows.self).next(maxRows: Int(clamping: maxRows))
    out.pointee = batch.map { Handle.new($0) }
  }
}

@_cdecl("martlet_state_rows_free")
public func martletStateRowsFree(_ handle: OpaquePointer?) { Handle.release(handle, as: StateRows.self) }

// MARK: - Writing

@_cdecl("martlet_state_writer_create")
public func martletStateWriterCreate(
  _ path: UnsafePointer<CChar>?, _ job: OpaquePointer?, _ out: UnsafeMutablePointer<OpaquePointer?>?,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let out else { throw missing("out") }
    guard let path = text(path) else { throw missing("path") }
    guard let job else { throw missing("job") }
    out.pointee = Handle.new(
      try StateBuilder(path, template: Handle.object(job, as: Job.self), PosixFileSystem()))
  }
}

@_cdecl("martlet_state_writer_add")
public func martletStateWriterAdd(
  _ handle: OpaquePointer, _ operatorName: UnsafePointer<CChar>?, _ table: UnsafePointer<CChar>?,
  _ batch: OpaquePointer?, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let table = text(table) else { throw missing("table") }
    guard let batch else { throw missing("batch") }
    try Handle.object(handle, as: StateBuilder.self)
      .add(operator: text(operatorName), table: table, Handle.object(batch, as: RecordBatch.self))
  }
}

@_cdecl("martlet_state_writer_finish")
public func martletStateWriterFinish(
  _ handle: OpaquePointer, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in try Handle.object(handle, as: StateBuilder.self).finish() }
}

@_cdecl("martlet_state_writer_free")
public func martletStateWriterFree(_ handle: OpaquePointer?) { Handle.release(handle, as: StateBuilder.self) }
