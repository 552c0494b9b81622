import CMartlet

/// Timers of the current key. Without a name, one per key, domain and time; with a name, one per key.
extension Context {
  /// Fires `onTimer` for the current key once the watermark reaches `time`. A second registration of that time changes
  /// nothing. A time that has passed fires at the next advance of the watermark, or, from within `onTimer`, in the same pass.
  public func registerEventTimeTimer(_ time: Int64) throws(EngineError) {
    let depth = time <= raw.pointee.watermark ? chainDepth : 0
    _ = try handles("register").event._withUnsafeGuaranteedRef {
      $0.register(slot: raw.pointee.slot, time: time, depth: depth)
    }
  }

  /// Fires `onTimer` for the current key once the job's clock has reached `time`, also while no input comes. What it emits has no
  /// timestamp. A time that has passed fires after the current record.
  public func registerProcessingTimeTimer(_ time: Int64) throws(EngineError) {
    let handles = try handles("register")
    let depth = depth(.processing, time)
    _ = handles.processing._withUnsafeGuaranteedRef { $0.register(slot: raw.pointee.slot, time: time, depth: depth) }
    watchClock()
  }

  /// The same for a named timer, of which each key has one: a later call, in either domain, moves it.
  public func registerEventTimeTimer(_ time: Int64, name: String) throws(EngineError) {
    try register(.event, time, try currentTimers("register").names.intern(name))
  }

  public func registerProcessingTimeTimer(_ time: Int64, name: String) throws(EngineError) {
    try register(.processing, time, try currentTimers("register").names.intern(name))
  }

  /// Takes back an unnamed timer of the current key; nothing happens if there is none at that time.
  public func deleteEventTimeTimer(_ time: Int64) throws(EngineError) {
    _ = try handles("delete").event._withUnsafeGuaranteedRef { $0.delete(slot: raw.pointee.slot, time: time) }
  }

  public func deleteProcessingTimeTimer(_ time: Int64) throws(EngineError) {
    _ = try handles("delete").processing._withUnsafeGuaranteedRef { $0.delete(slot: raw.pointee.slot, time: time) }
  }

  /// Takes back the current key's timer of that name, whichever its time and domain; nothing happens if there is none.
  public func deleteTimer(_ name: String) throws(EngineError) {
    let timers = try currentTimers("delete")
    if let name = timers.names.find(name) { timers.delete(slot: raw.pointee.slot, name: name) }
  }

  /// The current key's pending timers: event time first, each by time, then in order of registration. The timer that fires is
  /// not among them.
  public func timers() throws(EngineError) -> [PendingTimer] {
    let timers = try currentTimers("list")
    return timers.pending(slot: raw.pointee.slot).map {
      PendingTimer($0.domain, $0.timer.time, name: timers.names.text($0.timer.name))
    }
  }

  /// The pending time of the current key's timer of that name, in milliseconds, in whichever domain it was registered; nil if it is
  /// not pending. In `onTimer` the timer that fires is not pending any more.
  public func timer(named name: String) throws(EngineError) -> Int64? {
    let timers = try currentTimers("look up")
    return timers.names.find(name).flatMap { timers.pending(slot: raw.pointee.slot, name: $0)?.time }
  }

  /// In `onTimer`, which time the timer waited for; nil elsewhere.
  public var timerDomain: TimerDomain? { TimerDomain(rawValue: raw.pointee.timer_domain) }

  /// In `onTimer`, the name the timer was registered with; nil for one without a name, and elsewhere.
  public var timerName: String? { raw.pointee.timer_name.map { String(cString: $0) } }

  // MARK: - For bindings

  package func registerTimer(
    _ domain: TimerDomain, _ time: Int64, name: UnsafeBufferPointer<UInt8>
  ) throws(EngineError) {
    try register(domain, time, try currentTimers("register").names.intern(name))
  }

  package func deleteTimer(name: UnsafeBufferPointer<UInt8>) throws(EngineError) {
    let timers = try currentTimers("delete")
    if let name = timers.names.find(name) { timers.delete(slot: raw.pointee.slot, name: name) }
  }

  package func timer(name: UnsafeBufferPointer<UInt8>) throws(EngineError) -> (domain: TimerDomain, time: Int64)? {
    let timers = try currentTimers("look up")
    return timers.names.find(name).flatMap { timers.pending(slot: raw.pointee.slot, name: $0) }
  }

  /// As `timers()`; the names are valid until the operator closes.
  package func forEachTimer(_ body: (TimerDomain, Int64, UnsafePointer<CChar>?) -> Void) throws(EngineError) {
    let timers = try currentTimers("list")
    for (domain, timer) in timers.pending(slot: raw.pointee.slot) {
      body(domain, timer.time, timers.names.cString(timer.name))
    }
  }

  // MARK: - Shared

  private func register(_ domain: TimerDomain, _ time: Int64, _ name: TimerName) throws(EngineError) {
    let depth = depth(domain, time)
    try handles("register").service._withUnsafeGuaranteedRef {
      $0.register(domain, slot: raw.pointee.slot, name: name, time: time, depth: depth)
    }
    if domain == .processing { watchClock() }
  }

  /// Only a timer that is due already can fire in this pass and so be part of an endless chain.
  private func depth(_ domain: TimerDomain, _ time: Int64) -> UInt32 {
    let passed =
      domain == .event
      ? raw.pointee.watermark : timerHandles?.service._withUnsafeGuaranteedRef { $0.passTime } ?? .min
    return time <= passed ? chainDepth : 0
  }

  private func currentTimers(_ verb: StaticString) throws(EngineError) -> TimerService {
    try handles(verb).service.takeUnretainedValue()
  }

  @inline(__always)
  private func handles(_ verb: StaticString) throws(EngineError) -> TimerHandles {
    guard raw.pointee.slot != Slot.none, let timerHandles else { throw noCurrentKey("\(verb)") }
    return timerHandles
  }

  @inline(never)
  private func noCurrentKey(_ verb: String) -> EngineError {
    EngineError(
      .stateAccess,
      "cannot \(verb) a timer "
        + (raw.pointee.slot == Slot.none
          ? "where there is no current key; use it inside on_event or on_timer" + BroadcastSlot.whyNoKey(raw)
          : "inside apply_to_keyed_state; use it inside on_event or on_timer"))
  }
}
