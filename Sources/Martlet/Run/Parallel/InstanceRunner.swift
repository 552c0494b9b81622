import Synchronization

/// Does an instance's work with its operator: on the thread of a `ThreadLink`, or in a worker process.
///
/// One thread at a time; `skipWaitingWork` from any. After a failure everything but `close` is left undone, with empty results.
final class InstanceRunner {
  let process: ProcessOperator
  private var isOpen = false
  private var hasFailed = false
  private let skips = Atomic<Bool>(false)
  /// Of the outputs, main first, whether their schemas were told.
  private var toldSchemas: [Bool] = []

  /// `process` is the instance's alone and not open. With a job's manual clock its clock is a `ManualClock` of its own.
  init(_ process: ProcessOperator, _ place: InstancePlace) {
    self.process = process
    process.becomeInstance(place.instance, of: place.parallelism)
  }

  /// Work that comes from now on is left undone, but for `close`.
  func skipWaitingWork() { skips.store(true, ordering: .relaxed) }

  /// `now` as in `InstanceLink.send`.
  func run(_ work: InstanceWork, now: Int64?) -> InstanceResult {
    var result = InstanceResult()
    if let now, let clock = process.context.clock as? ManualClock, now > clock.now() { try? clock.advance(to: now) }
    process.orders?.begin()
    if mayDo(work) {
      do { try perform(work, &result) } catch {
        hasFailed = true
        result.failure = failure(error)
      }
      do { try takeLanes(&result) } catch {
        hasFailed = true
        result.failure = result.failure ?? failure(error)
      }
    }
    count(work, &result)
    result.nextWake = process.parts?.timers.processing.nextWake
    return result
  }

  /// The sizes of states are looked at now and then only, and at the end.
  private func count(_ work: InstanceWork, _ result: inout InstanceResult) {
    let isChunk =
      switch work {
      case .chunk, .merged: true
      default: false
      }
    if isChunk, result.failure == nil, process.parts != nil {
      result.counters = process.quickCounters
      workSinceSizes += 1
      guard workSinceSizes >= InstanceRunner.workBetweenSizes else {
        (result.counters.stateEntries, result.counters.stateBytes) = sizes
        return
      }
    }
    workSinceSizes = 0
    result.counters = process.counters
    sizes = (result.counters.stateEntries, result.counters.stateBytes)
  }

  /// Where the instance's state is kept, if that is a store; set before it opens.
  var storage: InstanceStorage?
  /// What the checkpoint had of states that the function no longer has.
  private var kept = KeptStates()
  private var workSinceSizes = 0
  private var sizes = (entries: 0, bytes: 0)
  private static let workBetweenSizes = 256

  private func mayDo(_ work: InstanceWork) -> Bool {
    switch work {
    case .open: true
    case .close: isOpen
    case .chunk, .merged, .watermarks, .tick, .declare, .endTimers, .endKeys, .restore, .snapshot, .flush:
      !hasFailed && !skips.load(ordering: .relaxed)
    }
  }

  private func perform(_ work: InstanceWork, _ result: inout InstanceResult) throws {
    switch work {
    case .open(let opening):
      isOpen = true
      prepare(opening.lanes)
      if process.kind == .process {
        try process.open(inputSchema: opening.left)
      } else {
        try process.open(left: opening.left, right: opening.right)
      }
    case .chunk(let chunk):
      let ordered = OrderedChunk(chunk.positions, total: chunk.recordCount)
      try withExtendedLifetime(chunk.owner) {
        try process.process(
          Chunk(
            batch: chunk.batch,
            selection: RowSelection(start: 0, count: chunk.rows.count, rows: chunk.rows.baseAddress),
            timestamps: chunk.timestamps, marks: chunk.marks, firstRecord: chunk.firstRecord, ordered: ordered))
      }
    case .merged(let chunk):
      try withExtendedLifetime(chunk.owner) {
        try process.process(
          MergedChunk(
            left: chunk.left, right: chunk.right, rows: chunk.rows, timestamps: chunk.timestamps, marks: chunk.marks,
            firstLeft: chunk.firstLeft, firstRight: chunk.firstRight,
            ordered: OrderedChunk(chunk.positions, total: chunk.recordCount)))
      }
    case .watermarks(let watermarks):
      for (phase, watermark) in watermarks.enumerated() {
        process.orders?.begin(phase: UInt32(phase))
        try process.finish(watermark: watermark)
      }
    case .tick:
      process.orders?.begin(phase: OrderPhase.clock)
      _ = try process.tick()
    case .declare(let tag, let schema):
      let lane = tag.map { process.sides.lane($0) } ?? process.lane
      // One that it has already was inferred before this came; the coordinator converts its rows.
      if lane.builder.schema == nil { try lane.builder.declare(schema) }
    case .endTimers(let atEnd, let clockAtLeast):
      result.timersLeft = try process.endTimersRound(atEnd, clockAtLeast: clockAtLeast)
      result.clockAtLeast = process.context.leastProcessingTime
    case .endKeys(let clockAtLeast):
      try process.endKeysOnce(clockAtLeast: clockAtLeast)
      result.timersLeft = process.counters.timersPending > 0
      result.clockAtLeast = process.context.leastProcessingTime
    case .close:
      isOpen = false
      process.context.leastProcessingTime = .min
      try process.close()
    case .restore(let bytes, let forgetting):
      let keys = try SnapshotBytesReader(bytes)
      kept.merge(try process.restore(keys, RestoreOptions(forgetting: Set(forgetting))))
    case .snapshot(let target):
      try storage?.settle()
      do throws(EngineError) {
        result.snapshot = try process.snapshot(records: 0, kept, process.unplacedSecond, to: target).bytes
      } catch {
        result.snapshotFailure = error
      }
    case .flush:
      try storage?.flush()
      result.snapshot = try process.headerSnapshot(records: 0, kept, process.unplacedSecond).bytes
      return
    }
    process.orders?.endPhase()
    if !work.isClose { try storage?.afterWork() }
  }

  private func prepare(_ lanes: [InstanceOpening.LaneUse]) {
    guard let orders = process.orders else { return }
    for use in lanes {
      let lane = use.tag.map { process.sides.lane($0) } ?? process.lane
      lane.isKept = true
      lane.builder.recordsTimestamps = use.needsTimestamps
      lane.builder.orderLog = OrderLog(orders)
    }
  }

  private func takeLanes(_ result: inout InstanceResult) throws(EngineError) {
    for (position, lane) in ([process.lane] + process.sides.lanes).enumerated() {
      if position == toldSchemas.count { toldSchemas.append(false) }
      guard lane.isKept else {
        lane.dropped += Int64(lane.builder.discardRows())
        continue
      }
      if let (batch, rows, timestamps, orders) = try lane.builder.takeOrdered() {
        result.lanes.append(
          InstanceLane(tag: lane.tag, batch: batch, rows: rows, timestamps: timestamps, orders: orders))
      }
      if !toldSchemas[position], let schema = lane.builder.schema {
        toldSchemas[position] = true
        result.schemas.append((lane.tag, schema))
      }
    }
  }

  private func failure(_ error: any Error) -> InstanceFailure {
    guard let orders = process.orders else { preconditionFailure("an instance has a cursor") }
    var key: [UInt8] = []
    let detail = orders.isDetailed ? orders.detail(firstRow: 0, keyBytes: &key) : nil
    return InstanceFailure(order: orders.order.pointee, detail: detail, key: key, error: error)
  }
}
