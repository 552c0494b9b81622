/// An operator driven by several instances, each with its own share of the keys, whose outputs come together in the order of a
/// serial run.
///
/// It works for the job's thread as one operator: chunks are dealt out by key group, and what the instances emit is merged into the
/// lanes of the operator that it stands for, with the watermarks between. Several chunks are under way at once as far as the
/// clock runs by itself; under a manual clock each is waited for, so that a callback sees the time that it would see in a
/// serial run. Nothing between operators is parallel, so a chain deals its records out anew before every operator.
final class ParallelOperator: Operator {
  /// What the job built: its lanes are the operator's outputs. Its function is that of instance 0, which runs elsewhere.
  let front: ProcessOperator
  private let links: [any InstanceLink]
  private let place: InstancePlace
  /// Called now and then while instances are waited for; what it throws stops the job.
  private let poll: () throws -> Void
  private var partitioner: KeyPartitioner?
  /// Only for two inputs.
  private var twoInputs: TwoInputPartitioner?
  private var mergers: [LaneMerger] = []
  private var pending: [PendingWork] = []
  private var spare: [ChunkPartition] = []
  private var latest: [InstanceResult]
  private var tickIsUnderWay = false
  /// See FirstRecords.swift.
  var firstRecords = 0
  private var watermark = EventTime.min
  /// Of the work that is merged; kept for its memory.
  private var passedMarks: [PassedMark] = []

  /// How many chunks may be under way. One keeps an instance busy while another is merged and the next is dealt out.
  private static let depth = 4

  init(_ front: ProcessOperator, _ links: [any InstanceLink], _ place: InstancePlace, poll: @escaping () throws -> Void)
  {
    self.front = front
    self.links = links
    self.place = place
    self.poll = poll
    latest = links.map { _ in InstanceResult() }
  }

  deinit { partitioner?.free() }

  var name: String { front.name }
  var kind: OperatorKind { front.kind }
  var output: OutputBuilder { front.output }
  var lane: OutputLane { front.lane }
  var sides: SideOutputs { front.sides }

  // MARK: - Life

  func open(inputSchema: Schema?) throws {
    let keySchema = try located { () throws(EngineError) in
      try KeySchema(inputSchema == nil ? [] : front.keyColumns, in: inputSchema ?? Schema([]))
    }
    partitioner?.free()
    partitioner = KeyPartitioner(keySchema, parallelism: place.parallelism, maxParallelism: place.maxParallelism)
    try front.declareEngineOutputs(inputSchema)
    inputSchemaAtOpen = inputSchema
    try openInstances(inputSchema, nil)
  }

  func open(left: Schema?, right: Schema?) throws {
    try located { () throws(EngineError) in
      twoInputs = try TwoInputPartitioner(front, place, left: left, right: right)
    }
    try openInstances(left, right)
  }

  /// See `ProcessOperator.settleInput`: the instances do the same.
  private func settleInput(_ schema: Schema) throws(EngineError) {
    try located { () throws(EngineError) in
      let keys = try KeySchema(front.keyColumns, in: schema)
      if let opened = inputSchemaAtOpen { try keys.checkContinues(KeySchema(front.keyColumns, in: opened)) }
      partitioner?.free()
      partitioner = KeyPartitioner(keys, parallelism: place.parallelism, maxParallelism: place.maxParallelism)
      inputSchemaAtOpen = schema
    }
    try front.declareEngineOutputs(schema)
  }

  private func openInstances(_ left: Schema?, _ right: Schema?) throws {
    mergers = ([lane] + sides.lanes).filter { $0.isKept || $0.forwards }.map { LaneMerger($0) }
    let uses = mergers.map { InstanceOpening.LaneUse(tag: $0.lane.tag, needsTimestamps: $0.lane.forwards) }
    isOpen = true
    try sendToAll(.open(InstanceOpening(left: left, right: right, lanes: uses)), as: .other)
    if watermark > EventTime.min { try sendToAll(.watermarks([watermark]), as: .other) }
    try collectAll()
  }

  private var inputSchemaAtOpen: Schema?
  private(set) var isOpen = false

  func close() throws {
    guard isOpen else { return }
    isOpen = false
    var failure: (any Error)?
    for link in links { link.skipWaitingWork() }
    // What is under way is waited for and dropped: a callback cannot be stopped from outside.
    for (instance, link) in links.enumerated() {
      do {
        for work in pending where work.results[instance] == nil { _ = try link.receive(within: nil) }
        try link.send(.close, now: now)
      } catch {
        failure = failure ?? error
        continue
      }
    }
    pending.removeAll()
    for (instance, link) in links.enumerated() {
      do {
        guard let result = try link.receive(within: nil) else { continue }
        latest[instance].counters = result.counters
        if let refused = result.failure { failure = failure ?? refused.error }
      } catch { failure = failure ?? error }
    }
    if let failure { throw failure }
  }

  // MARK: - Records

  func process(_ chunk: Chunk) throws {
    if inputSchemaAtOpen?.isKeysOnly ?? false { try settleInput(chunk.batch.schema) }
    if let schema = inputSchemaAtOpen, let misfit = schema.misfit(of: chunk.batch.schema) {
      throw front.context.located(misfit)
    }
    guard awaitsFirstRow else { return try deal(chunk) }
    let count = chunk.selection.count
    try inParts(count) { part in
      let marks = ParallelOperator.marks(chunk.marks, of: part, total: count)
      try marks.withUnsafeBufferPointer { try deal(chunk.part(part, $0)) }
    }
  }

  private func deal(_ chunk: Chunk) throws {
    let partition = spare.popLast() ?? ChunkPartition(parallelism: links.count)
    partition.deal(chunk, by: &partitioner!)
    var work = PendingWork(.chunk(partition), links.count)
    for (instance, link) in links.enumerated() {
      let isTimerDue = latest[instance].nextWake.map { $0 <= front.context.clock.now() } ?? false
      if let share = partition.share(of: instance, looksAtClock: isTimerDue) {
        try link.send(.chunk(share), now: now)
      } else {
        work.skip(instance)
      }
    }
    pending.append(work)
    try collectFinished()
  }

  func process(_ merged: MergedChunk) throws {
    guard awaitsFirstRow else { return try deal(merged) }
    let count = merged.rows.count
    try inParts(count) { part in
      let marks = ParallelOperator.marks(merged.marks, of: part, total: count)
      try marks.withUnsafeBufferPointer { try deal(merged.part(part, $0)) }
    }
  }

  private func deal(_ merged: MergedChunk) throws {
    let partition = spare.popLast() ?? ChunkPartition(parallelism: links.count)
    try located { () throws(EngineError) in try twoInputs?.deal(merged, to: partition) }
    for (instance, link) in links.enumerated() { try link.send(.merged(partition.mergedShare(of: instance)), now: now) }
    pending.append(PendingWork(.chunk(partition), links.count))
    try collectFinished()
  }

  func finish(watermark: Int64) throws {
    let marks = [WatermarkMark(position: 0, watermark: watermark)]
    try marks.withUnsafeBufferPointer { try finish($0) }
  }

  func finish(_ marks: UnsafeBufferPointer<WatermarkMark>) throws {
    guard !marks.isEmpty else { return }
    // Before the instances are open there are no timers, and watermarks only go on.
    guard isOpen else { return noteBeforeOpen(marks) }
    let marks = marks.map { WatermarkMark(position: 0, watermark: $0.watermark) }
    try sendToAll(.watermarks(marks.map(\.watermark)), as: .watermarks(marks))
    try collectFinished()
  }

  private func noteBeforeOpen(_ marks: UnsafeBufferPointer<WatermarkMark>) {
    for mark in marks where mark.watermark > watermark {
      watermark = mark.watermark
      lane.note(watermark)
      for side in sides.lanes { side.note(watermark) }
    }
  }

  // MARK: - Processing time

  func tick() throws -> Bool {
    guard !tickIsUnderWay, let wake = nextWake, front.context.clock.now() >= wake else { return false }
    tickIsUnderWay = true
    try sendToAll(.tick, as: .tick)
    try collectFinished()
    return true
  }

  /// Instances sweep with their work: every chunk and every tick.
  func sweepExpired() {}

  private var nextWake: Int64? { latest.lazy.compactMap(\.nextWake).min() }

  var timeToNextTick: Int64? {
    guard !tickIsUnderWay, let nextWake else { return nil }
    return max(0, nextWake.saturatingSubtracting(front.context.clock.now()))
  }

  /// What instances' clocks show while they do the work that is sent now.
  private var now: Int64? { front.context.clock.runsByItself ? nil : front.context.clock.now() }

  // MARK: - Checkpoints

  /// Gives `merge` the snapshots of all instances, and where the one of the operator is written; of instances that keep their state in
  /// stores, without keys, if these are put down there. Nothing else is under way.
  func withInstanceSnapshots(
    _ target: KeysTarget, ofOperator index: Int,
    _ merge: ([any SnapshotKeySource], SnapshotTarget) throws -> SnapshotHandle
  ) throws -> SnapshotHandle {
    let places = links.indices.map { target.place(ofOperator: index, instance: $0) }
    for (link, place) in zip(links, places) { try link.send(target.isStores ? .flush : .snapshot(place), now: now) }
    pending.append(PendingWork(.other, links.count))
    try collectAll()
    defer { for instance in latest.indices { latest[instance].snapshot = nil } }
    for result in latest { if let failure = result.snapshotFailure { throw failure } }
    var shares: [any SnapshotKeySource] = []
    for (place, result) in zip(places, latest) {
      switch place {
      case .memory: if let bytes = result.snapshot { shares.append(try SnapshotBytesReader(bytes)) }
      case .file(let path, let files): shares.append(try SnapshotFile(path, files).keys())
      }
    }
    let merged = try merge(shares, target.place(ofOperator: index))
    for case .file(let path, let files) in places { try files.remove(path) }
    return merged
  }

  /// Gives the instances their keys in parts, and takes the watermark that they then have.
  func restore(_ keys: any SnapshotKeySource, forgetting: [String]) throws {
    if isOpen {
      try splitSnapshot(
        keys, instances: place.parallelism, maxParallelism: place.maxParallelism,
        largest: max(ParallelOperator.partBytes / links.count, 1 << 16)
      ) { instance, part in
        try links[instance].send(.restore(part, forgetting: forgetting), now: now)
        var work = PendingWork(.other, links.count)
        for other in links.indices where other != instance { work.skip(other) }
        pending.append(work)
        while hasWorkUnderWay, pending.count > links.count { try collectOldest() }
      }
      try collectAll()
    }
    watermark = keys.header.watermark
  }

  /// Of the keys that are being dealt out to all instances together; as much again is under way.
  private static let partBytes = 8 << 20

  var instancePlace: InstancePlace { place }

  /// The watermark of what was merged.
  var mergedWatermark: Int64 { watermark }

  // MARK: - The end of the input

  func endInput(_ atEnd: TimersAtEnd) throws {
    try collectAll()
    try endTimers(atEnd)
    guard front.calls.onEnd != nil else { return }
    try sendToAll(.endKeys(clockAtLeast: clockAtLeast), as: .other)
    try collectAll()
    try endTimers(atEnd)
  }

  private func endTimers(_ atEnd: TimersAtEnd) throws {
    repeat {
      try sendToAll(.endTimers(atEnd, clockAtLeast: clockAtLeast), as: .other)
      try collectAll()
    } while latest.contains { $0.timersLeft }
  }

  private var clockAtLeast: Int64 { latest.reduce(Int64.min) { max($0, $1.clockAtLeast) } }

  // MARK: - Results

  private func sendToAll(_ work: InstanceWork, as kind: PendingWork.Kind) throws {
    for link in links { try link.send(work, now: now) }
    pending.append(PendingWork(kind, links.count))
  }

  var hasWorkUnderWay: Bool { !pending.isEmpty && !hasFailed }
  /// What is under way after a failure is never merged.
  private var hasFailed = false

  /// Until the main output has its schema, instances do not run ahead, so that what decides it is known before most of them emit.
  private var mayRunAhead: Bool {
    front.context.clock.runsByItself && (lane.builder.schema != nil || !(lane.isKept || lane.forwards))
  }

  /// Takes what has come, and waits where too much is under way.
  private func collectFinished() throws {
    let depth = mayRunAhead ? ParallelOperator.depth : 0
    while hasWorkUnderWay, pending.count > depth { try collectOldest() }
    while try gatherOldest(within: 0) { try mergeOldest() }
  }

  /// Waits for the oldest work under way and merges what came of it.
  func collectOldest() throws {
    guard hasWorkUnderWay else { return }
    while try !gatherOldest(within: SourceStage.longestWait) { try poll() }
    try mergeOldest()
  }

  func collectAll() throws { while hasWorkUnderWay { try collectOldest() } }

  /// Takes the results of the oldest work as far as they have come; whether all have.
  private func gatherOldest(within wait: Int64) throws -> Bool {
    guard hasWorkUnderWay else { return false }
    for instance in links.indices where pending[0].results[instance] == nil {
      guard let result = try links[instance].receive(within: wait) else { return false }
      pending[0].results[instance] = result
      latest[instance] = result
    }
    return true
  }

  private func mergeOldest() throws {
    let work = pending.removeFirst()
    let results = work.results.map { $0 ?? InstanceResult() }
    let failed = FirstFailure(results)
    passedMarks.removeAll(keepingCapacity: true)
    switch work.kind {
    case .chunk(let partition):
      pass(partition.marks, upTo: failed)
      partition.clear()
      spare.append(partition)
    case .watermarks(let marks):
      marks.withUnsafeBufferPointer { pass($0, upTo: failed) }
    case .tick: tickIsUnderWay = false
    case .other: break
    }
    try located { () throws(EngineError) in
      for merger in mergers { try merger.merge(results, passedMarks, upTo: failed) }
    }
    if let failed {
      hasFailed = true
      throw failed.failure.error
    }
    try tellSchemas(results)
  }

  /// Notes the marks that the merged lanes get: those that advance the watermark, as far as a failure let them come.
  private func pass(_ marks: UnsafeBufferPointer<WatermarkMark>, upTo failed: FirstFailure?) {
    for (number, mark) in marks.enumerated() where mark.watermark > watermark {
      let passed = PassedMark(order: UInt32(2 * mark.position), phase: UInt32(number), watermark: mark.watermark)
      if let failed, !failed.isAfter(passed) { return }
      watermark = mark.watermark
      passedMarks.append(passed)
    }
  }

  /// Outputs whose schema was not declared have that of their first row; instances that have emitted nothing there are told.
  private func tellSchemas(_ results: [InstanceResult]) throws {
    for merger in mergers where !merger.schemaIsTold {
      let lane = merger.lane
      if lane.builder.schema == nil {
        guard let first = results.lazy.flatMap(\.schemas).first(where: { $0.tag == lane.tag }) else { continue }
        try lane.builder.declare(first.schema)
      }
      guard let schema = lane.builder.schema else { continue }
      merger.schemaIsTold = true
      guard results.contains(where: { !$0.schemas.contains { $0.tag == lane.tag } }) else { continue }
      try sendToAll(.declare(tag: lane.tag, schema), as: .other)
    }
  }

  // MARK: - Reports and errors

  var counters: OperatorCounters {
    var sum = latest[0].counters
    for result in latest.dropFirst() { sum.add(result.counters) }
    sum.sideDropped += sides.lanes.reduce(0) { $0 + $1.dropped }
    return sum
  }

  private func located<Result>(_ body: () throws(EngineError) -> Result) throws(EngineError) -> Result {
    do { return try body() } catch { throw front.context.located(error) }
  }
}

/// Work that was sent and whose results were not merged.
private struct PendingWork {
  enum Kind {
    case chunk(ChunkPartition)
    case watermarks([WatermarkMark])
    case tick
    case other
  }

  let kind: Kind
  /// By instance.
  var results: [InstanceResult?]

  init(_ kind: Kind, _ parallelism: Int) {
    self.kind = kind
    results = Array(repeating: nil, count: parallelism)
  }

  /// The instance was sent nothing.
  mutating func skip(_ instance: Int) { results[instance] = InstanceResult() }
}

extension OperatorCounters {
  /// Adds those of another instance, which has other keys.
  fileprivate mutating func add(_ other: OperatorCounters) {
    nullKeys += other.nullKeys
    late += other.late
    lateDropped += other.lateDropped
    errors += other.errors
    sideDropped += other.sideDropped
    stateEntries += other.stateEntries
    timersFired += other.timersFired
    timersPending += other.timersPending
    processingTimersFired += other.processingTimersFired
    processingTimersPending += other.processingTimersPending
    keys += other.keys
    stateBytes += other.stateBytes
    watermark = max(watermark, other.watermark)
  }
}
