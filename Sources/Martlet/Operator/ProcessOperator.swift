import CMartlet

/// One instance of a process function over one keyed input.
@usableFromInline
final class ProcessOperator: Operator {
  let name: String
  let output: OutputBuilder
  let lane: OutputLane
  let sides: SideOutputs
  @usableFromInline let context: Context

  let calls: FunctionCalls
  /// What this was made of, and further instances can be made of.
  let spec: ProcessSpec
  let kind: OperatorKind
  let keyColumns: [String]
  let rightKeyColumns: [String]
  let descriptors: [StateDescriptor]
  let handles: FunctionHandles
  let policies: RecordPolicies
  /// Whether the plain record loop will do. Null timestamps matter only where records come from a source.
  @exclusivity(unchecked) @usableFromInline private(set) var arePoliciesPlain: Bool
  /// Whether the operator takes records of a source, and so has to look at null timestamps.
  @exclusivity(unchecked) var rejectsNullTimestamps = false {
    didSet { arePoliciesPlain = policies.arePlain && !rejectsNullTimestamps && !rejectsNullRight }
  }
  /// The same for the right input of two.
  @exclusivity(unchecked) var rejectsNullRight = false {
    didSet { arePoliciesPlain = policies.arePlain && !rejectsNullRight && !rejectsNullTimestamps }
  }
  @exclusivity(unchecked) private(set) var parts: Parts?
  @exclusivity(unchecked) private var timers: TimerHandles?
  @exclusivity(unchecked) private(set) var marks = UnsafeBufferPointer<WatermarkMark>(start: nil, count: 0)
  @exclusivity(unchecked) var markIndex = 0
  let nextMark: UnsafeMutablePointer<Int>
  private var scratch = ChunkScratch()
  /// What only an operator of two inputs has.
  @exclusivity(unchecked) @usableFromInline private(set) var second: SecondInput?
  @exclusivity(unchecked) var count = OperatorCounters()
  @exclusivity(unchecked) var outputMarks: [OutputBuilder.CallMark] = []
  @exclusivity(unchecked) var interior = 0..<0
  @exclusivity(unchecked) var sliceStarts: [Int] = []
  private var boundBatch: ObjectIdentifier?
  /// Only in a parallel instance: see `ProcessOperator+Order.swift`.
  @exclusivity(unchecked) var orders: OrderCursor?
  @exclusivity(unchecked) var orderedChunk: OrderedChunk?
  /// Whether another instance, which sees the same broadcast records, counts and reports them.
  @exclusivity(unchecked) @usableFromInline var repeatsBroadcast = false
  /// Only with a store: see `ProcessOperator+Store.swift`.
  var attachment: StoreAttachment?
  @exclusivity(unchecked) var writeBack: WriteBack?
  /// Makes room in memory, if the store allows it; to be called with no chunk under way.
  var relieveStore: () throws(EngineError) -> Void = {}
  /// Whether slots are in use beyond the current callback.
  @exclusivity(unchecked) var isInChunk = false

  /// What depends on the input's schema and exists from `open` to `close`.
  final class Parts {
    let keys: KeySpace
    let states: StateTable
    let timers: TimerService
    /// Of the only, or left, input.
    @exclusivity(unchecked) var schema: Schema?

    init(keys: KeySpace, states: StateTable, timers: TimerService, schema: Schema?) {
      self.keys = keys
      self.states = states
      self.timers = timers
      self.schema = schema
    }
  }

  convenience init(_ spec: ProcessSpec, nullKeys: NullPolicy, clock: Clock = .system) throws(EngineError) {
    try self.init(spec, RecordPolicies(nullKeys: nullKeys), clock: clock)
  }

  init(_ spec: ProcessSpec, _ policies: RecordPolicies, clock: Clock = .system) throws(EngineError) {
    try StateTable.checkNames(spec.states)
    try spec.checkStates()
    name = spec.name
    self.spec = spec
    kind = spec.kind
    keyColumns = spec.keyColumns
    rightKeyColumns = spec.rightKeyColumns
    descriptors = spec.states
    handles = spec.handles
    calls = spec.calls
    self.policies = policies
    arePoliciesPlain = policies.arePlain
    output = OutputBuilder()
    nextMark = .allocate(capacity: 1)
    nextMark.initialize(to: .max)
    context = Context(
      operatorName: spec.name, output: output, reservedTags: policies.reservedTags, clock: clock, nextMark: nextMark)
    lane = context.lane
    sides = context.sides
    if let schema = try spec.declaredOutput() { try output.declare(schema) }
    for (tag, schema) in try spec.declaredSides() {
      try located { () throws(EngineError) in try sides.userLane(tag).builder.declare(schema) }
    }
  }

  deinit { nextMark.deallocate() }

  // MARK: - Life

  func open(inputSchema: Schema?) throws {
    try located { () throws(EngineError) in
      try makeParts(KeySchema(inputSchema == nil ? [] : keyColumns, in: inputSchema ?? Schema([])), inputSchema)
      try declareEngineOutputs(inputSchema)
    }
    try calling { try calls.open(context) }
  }

  func open(left: Schema?, right: Schema?) throws {
    try located { () throws(EngineError) in
      let second = try SecondInput(kind, keyColumns, rightKeyColumns, left: left, right: right)
      self.second = second
      try makeParts(second.keys, left)
    }
    try calling { try calls.open(context) }
  }

  private func makeParts(_ schema: KeySchema, _ inputSchema: Schema?) throws(EngineError) {
    let keys = KeySpace(schema)
    let states = StateTable(
      descriptors, keys.slots, StateTime(context.clock, context.raw), undoable: policies.onError != .raise,
      flags: attachment.map { ($0.flags, $0.broadcastFlags) })
    use(Parts(keys: keys, states: states, timers: TimerService(keys: keys, clock: context.clock), schema: inputSchema))
    try openStore()
    context.states = states.columns.map { context.handle($0) }
    handles.bind(states, context, output)
  }

  func use(_ parts: Parts) {
    self.parts = parts
    orders?.keys = parts.keys
    timers = TimerHandles(parts.timers)
    context.bind(keys: parts.keys, timers: parts.timers)
  }

  /// After the state columns moved in memory.
  func rebindStates() {
    if let parts { handles.bind(parts.states, context, output) }
  }

  func close() throws {
    guard parts != nil else { return }
    context.clearCall()
    defer {
      handles.unbind()
      context.unbind()
      timers = nil
      parts = nil
      second = nil
      writeBack = nil
    }
    count = counters
    try calling { try calls.close(context) }
  }

  // MARK: - Records

  func process(_ chunk: Chunk) throws {
    guard let parts else { preconditionFailure("process before open") }
    if let schema = parts.schema, boundBatch != ObjectIdentifier(chunk.batch) {
      if schema.isKeysOnly { try settleInput(chunk.batch.schema, parts) }
      if let misfit = parts.schema?.misfit(of: chunk.batch.schema) { throw located(misfit) }
    }
    isInChunk = true
    defer { isInChunk = false }
    let rows = chunk.selection.count
    scratch.reserve(rows)
    let integers = parts.keys.intern(chunk.batch, chunk.selection, scratch.keys, scratch.slots)
    if parts.states.reserve() { handles.bind(parts.states, context, output) }
    if let writeBack { try located { () throws(EngineError) in try writeBack.touch(scratch.slots, rows) } }
    try located { () throws(EngineError) in try handles.bindInputs(chunk.batch) }
    boundBatch = ObjectIdentifier(chunk.batch)
    orderedChunk = chunk.ordered
    setMarks(chunk.marks)
    let loop = RecordLoop(
      self, chunk, parts.keys, scratch.keys, integers, scratch.slots, nextMark: nextMark,
      prefetch: parts.states.prefetch)
    try enclosed(chunk.batch) { try calls.run(loop) }
    parts.states.sweep(afterRows: rows)
    if let writeBack { try located { () throws(EngineError) in try writeBack.sweepStore(afterRows: rows) } }
    parts.keys.reclaim()
    writeBack?.evict()
  }

  func finish(watermark: Int64) throws {
    // Before `open` there are no timers, and the watermark only goes on.
    guard let parts else { return try advance(to: watermark) }
    if parts.timers.event.mayBeDue(at: watermark) {
      try enclosed(nil) { try advance(to: watermark) }
    } else {
      try advance(to: watermark)
    }
    parts.states.sweep(afterRows: 0)
    parts.keys.reclaim()
    writeBack?.evict()
  }

  /// Runs `body` between `willProcess` and `didProcess`, and says where its errors come from.
  func enclosed(_ batch: RecordBatch?, _ body: () throws -> Void) throws {
    try calling { try calls.willProcess(batch, context) }
    defer {
      calls.didProcess(context)
      context.clearCall()
    }
    try calling(body)
  }

  @usableFromInline
  func countLate() { count.late &+= 1 }

  /// The current record has a null key.
  @usableFromInline
  func skipNullKey() throws {
    count.nullKeys += 1
    context.raw.pointee.slot = Slot.none
    guard policies.nullKeys == .raise else { return }
    throw EngineError(
      .nullKey,
      "the key (\(namedKey)) is null; filter such records out, or set null_keys=\"drop\" to leave them out and count them"
    )
  }

  /// The key columns of the current record, as messages show them.
  var namedKey: String {
    let columns = context.raw.pointee.side == Context.rightSide ? rightKeyColumns : keyColumns
    return columns.map { "'\($0)'" }.joined(separator: ", ")
  }

  // MARK: - Watermarks and timers

  func setMarks(_ marks: UnsafeBufferPointer<WatermarkMark>) {
    self.marks = marks
    markIndex = 0
    nextMark.pointee = marks.first?.position ?? .max
    if orderedChunk != nil { awaitMark(from: 0) }
    if watchesClock { context.watchClock() }
  }

  /// Passes the watermarks that come before row `position` of the chunk, then fires the processing-time timers that are due.
  @usableFromInline
  func passMarks(at position: Int) throws {
    while markIndex < marks.count, marks[markIndex].position <= position {
      let watermark = marks[markIndex].watermark
      markIndex &+= 1
      try advance(to: watermark)
    }
    nextMark.pointee = markIndex < marks.count ? marks[markIndex].position : .max
    if watchesClock { try lookAtClock(at: position) }
  }

  /// Moves the watermark, fires what is due, then passes the watermark on: what a timer emits comes before it.
  func advance(to watermark: Int64) throws {
    guard watermark > context.raw.pointee.watermark else { return }
    context.raw.pointee.watermark = watermark
    if let timers, timers.event._withUnsafeGuaranteedRef({ $0.mayBeDue(at: watermark) }) {
      timers.event._withUnsafeGuaranteedRef { $0.advance(to: watermark) }
      if timers.event._withUnsafeGuaranteedRef({ $0.isDue(at: watermark) }), let parts {
        try fireTimers(parts, .event, at: watermark)
      }
    }
    lane.note(watermark)
    if sides.forward { for side in sides.lanes { side.note(watermark) } }
  }

  func fireTimers(_ parts: Parts, _ domain: TimerDomain, at time: Int64) throws {
    let raw = context.raw
    // Not counted for each timer: `parts` owns it.
    let queue = Unmanaged.passUnretained(parts.timers.queue(domain))
    let orders = orders
    context.clearCall()
    raw.pointee.timer_domain = domain.rawValue
    let key = Key(parts.keys.parts, parts.keys.partCount)
    // With a store, as many as were loaded for; the next are loaded when these have fired.
    var ready = writeBack == nil ? Int.max : 0
    while true {
      if ready == 0 { ready = try loadDue(queue.takeUnretainedValue(), at: time) }
      ready &-= 1
      guard let due = queue._withUnsafeGuaranteedRef({ $0.popDue(at: time) }) else { break }
      raw.pointee.slot = due.slot
      raw.pointee.timestamp = domain == .event ? due.time : EventTime.none
      raw.pointee.fire_time = due.time
      raw.pointee.timer_name = parts.timers.names.cString(due.name)
      parts.keys.show(slot: due.slot)
      if let orders { orders.begin(callbackAt: due.time, slot: due.slot) }
      guard due.depth < longestTimerChain else { throw endlessTimers(due, domain) }
      context.chainDepth = due.depth + 1
      if domain == .processing {
        count.processingTimersFired &+= 1
        if time == EventTime.max { context.leastProcessingTime = max(context.leastProcessingTime, due.time) }
      }
      count.timersFired &+= 1
      if policies.onError == .raise { try calls.onTimer(key, due.time, context) } else { try guardTimer(key, due.time) }
    }
    context.chainDepth = 0
    context.clearCall()
  }

  /// How many timers may lead to one another within one pass before it is taken for a loop.
  var longestTimerChain: UInt32 = 1_000_000

  private func endlessTimers(_ due: TimerQueue.Due, _ domain: TimerDomain) -> EngineError {
    let clock = domain == .event ? "the watermark" : "processing time"
    let reached = domain == .event ? context.watermark : parts?.timers.passTime ?? 0
    return EngineError(
      .timerLoop,
      "timers that on_timer registered for its own key led to one another \(longestTimerChain) times while \(clock) stood at "
        + "\(reached), the last one at \(due.time); register only times after "
        + "\(domain == .event ? "ctx.watermark" : "ctx.processing_time"), and stop a periodic timer when ctx.watermark shows "
        + "the end of the input")
  }

  // MARK: - Processing time

  var watchesClock: Bool { timers?.processing._withUnsafeGuaranteedRef { $0.count > 0 } ?? false }

  func lookAtClock(at position: Int) throws {
    if let now = timers?.service._withUnsafeGuaranteedRef({ $0.processingTimeIfDue(precise: false) }), let parts {
      try fireProcessingTimers(parts, at: now)
    }
    if watchesClock { nextMark.pointee = position &+ 1 }
  }

  private func fireProcessingTimers(_ parts: Parts, at now: Int64) throws {
    parts.timers.processing.advance(to: now)
    guard parts.timers.processing.isDue(at: now) else { return }
    parts.timers.passTime = now
    defer { parts.timers.passTime = .min }
    try fireTimers(parts, .processing, at: now)
  }

  func tick() throws -> Bool {
    guard let parts, let now = parts.timers.processingTimeIfDue(precise: true) else { return false }
    parts.timers.processing.advance(to: now)
    guard parts.timers.processing.isDue(at: now) else { return false }
    try enclosed(nil) { try fireProcessingTimers(parts, at: now) }
    parts.states.sweep(afterRows: 0)
    parts.keys.reclaim()
    writeBack?.evict()
    return true
  }

  func sweepExpired() {
    parts?.states.sweepWhileIdle()
    writeBack?.sweepStoreWhileIdle()
    parts?.keys.reclaim()
  }

  var timeToNextTick: Int64? { parts?.timers.timeToNextProcessingTimer }

  // MARK: - The end of the input

  func endInput(_ atEnd: TimersAtEnd) throws {
    guard let parts else { preconditionFailure("endInput before open") }
    context.raw.pointee.watermark = EventTime.max
    guard parts.timers.count > 0 || calls.onEnd != nil else { return }
    try enclosed(nil) {
      try endTimers(parts, atEnd)
      if let onEnd = calls.onEnd {
        try endKeys(parts, onEnd)
        try endTimers(parts, atEnd)
      }
    }
    context.leastProcessingTime = .min
    parts.keys.reclaim()
  }

  /// All timers, also those that the ones fired here register: event time, then processing time, until none are left.
  private func endTimers(_ parts: Parts, _ atEnd: TimersAtEnd) throws {
    if atEnd == .drop { dropProcessingTimers(parts) }
    while timersAreLeft(parts, atEnd) { try endTimersOnce(parts, atEnd) }
  }

  func timersAreLeft(_ parts: Parts, _ atEnd: TimersAtEnd) -> Bool {
    parts.timers.event.count > 0 || (atEnd == .fire && parts.timers.processing.count > 0)
  }

  func endTimersOnce(_ parts: Parts, _ atEnd: TimersAtEnd) throws {
    let timers = parts.timers
    timers.event.advance(to: EventTime.max)
    orders?.begin(phase: 0)
    try fireTimers(parts, .event, at: EventTime.max)
    orders?.begin(phase: 1)
    if atEnd == .fire, timers.processing.count > 0 { try fireProcessingTimers(parts, at: EventTime.max) }
    if atEnd == .drop { dropProcessingTimers(parts) }
  }

  func endKeys(_ parts: Parts, _ onEnd: (Key, Context) throws -> Void) throws {
    let key = Key(parts.keys.parts, parts.keys.partCount)
    try forEachKey(parts) { slot in
      // What has expired by now is not there, however far sweeping has come.
      guard parts.states.sweep(slot: slot) else { return }
      context.raw.pointee.slot = slot
      parts.keys.show(slot: slot)
      orders?.begin(callbackAt: 0, slot: slot)
      if policies.onError == .raise { try onEnd(key, context) } else { try guardEnd { try onEnd(key, context) } }
    }
    context.clearCall()
  }

  // MARK: - Reports and errors

  var counters: OperatorCounters {
    guard let parts else { return count }
    var counters = quickCounters
    counters.stateEntries = parts.states.entryCount
    counters.stateBytes = parts.keys.memoryBytes + parts.states.memoryBytes + parts.timers.memoryBytes
    return counters
  }

  /// Without the sizes of states, which take a look at every key.
  var quickCounters: OperatorCounters {
    guard let parts else { return count }
    var counters = count
    counters.sideDropped = sides.lanes.reduce(0) { $0 + $1.dropped }
    counters.timersPending = parts.timers.count
    counters.processingTimersPending = parts.timers.processing.count
    counters.keys = parts.keys.slots.keyCount
    counters.watermark = context.watermark
    return counters
  }

  /// Runs code of the user's; what it throws is given the place it was thrown at.
  private func calling(_ body: () throws -> Void) throws {
    do {
      try body()
    } catch let error as EngineError {
      throw located(error)
    } catch {
      throw ProcessFunctionError(
        operatorName: name, record: context.recordNumber, key: context.key?.description, underlying: error)
    }
  }

  func located<Result>(_ body: () throws(EngineError) -> Result) throws(EngineError) -> Result {
    do { return try body() } catch { throw located(error) }
  }

  func located(_ error: EngineError) -> EngineError { context.located(error) }
}

/// Buffers of one entry per row of a chunk, kept between chunks.
struct ChunkScratch: ~Copyable {
  private(set) var keys: UnsafeMutablePointer<KeyRef> = .blocks(0)
  private(set) var slots: UnsafeMutablePointer<UInt32> = .blocks(0)
  private var capacity = 0

  deinit {
    keys.freeBlocks()
    slots.freeBlocks()
  }

  mutating func reserve(_ rows: Int) {
    guard rows > capacity else { return }
    capacity = max(rows, 2 * capacity)
    keys.growBlocks(to: capacity)
    // The loop looks so many rows ahead without asking whether there are any.
    slots.growBlocks(to: capacity + StatePrefetch.distance)
  }
}
