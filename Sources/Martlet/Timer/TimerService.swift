/// Which time a timer waits for.
public enum TimerDomain: Int32, Sendable {
  case event = 1
  case processing = 2
}

/// A timer that has not fired yet. `name` is nil for one that was registered without a name.
public struct PendingTimer: Equatable, Sendable {
  public var domain: TimerDomain
  public var time: Int64
  public var name: String?

  public init(_ domain: TimerDomain, _ time: Int64, name: String? = nil) {
    self.domain = domain
    self.time = time
    self.name = name
  }
}

/// The timers of one operator instance in both domains: two queues that know the same names.
///
/// Unnamed timers are a set per key, domain and time. A name has one pending time per key, in one of the two domains: setting
/// it again, in either, replaces what was set before.
final class TimerService {
  let event: TimerQueue
  let processing: TimerQueue
  let names = TimerNames()
  private let clock: Clock
  /// Processing time as far as timers have seen it. It never goes back, even if the system's clock does.
  @exclusivity(unchecked) private(set) var processingTime = Int64.min
  /// While processing-time timers fire, the time they fire for; a timer at or before it fires in the same pass.
  @exclusivity(unchecked) var passTime = Int64.min

  init(keys: KeySpace, clock: Clock) {
    event = TimerQueue(keys: keys)
    processing = TimerQueue(keys: keys)
    self.clock = clock
  }

  var count: Int { event.count + processing.count }
  var memoryBytes: Int { event.memoryBytes + processing.memoryBytes }

  func queue(_ domain: TimerDomain) -> TimerQueue { domain == .event ? event : processing }

  /// Sets the timer of that name: it is pending at `time` and nowhere else.
  func register(_ domain: TimerDomain, slot: UInt32, name: TimerName, time: Int64, depth: UInt32) {
    let other = domain == .event ? processing : event
    if other.count > 0 { other.delete(slot: slot, name: name) }
    queue(domain).register(slot: slot, time: time, name: name, depth: depth)
  }

  /// Takes back the timer of that name, in whichever domain it is.
  @discardableResult
  func delete(slot: UInt32, name: TimerName) -> Bool {
    event.delete(slot: slot, name: name) || processing.delete(slot: slot, name: name)
  }

  /// The pending timer of that name, in whichever domain it is.
  func pending(slot: UInt32, name: TimerName) -> (domain: TimerDomain, time: Int64)? {
    if let time = event.time(slot: slot, name: name) { return (.event, time) }
    return processing.time(slot: slot, name: name).map { (.processing, $0) }
  }

  /// The pending timers of a key: event time first, each by time, then in order of registration.
  func pending(slot: UInt32) -> [(domain: TimerDomain, timer: TimerNode)] {
    event.pending(slot: slot).map { (.event, $0) } + processing.pending(slot: slot).map { (.processing, $0) }
  }

  // MARK: - Processing time

  /// Reads the clock; the time if a processing-time timer may be due.
  func processingTimeIfDue(precise: Bool) -> Int64? {
    guard processing.count > 0 else { return nil }
    let now = precise ? clock.now() : clock.coarseNow()
    if now > processingTime { processingTime = now }
    return processing.mayBeDue(at: processingTime) ? processingTime : nil
  }

  /// How long, in milliseconds, nothing falls due; nil if no processing-time timer is pending.
  var timeToNextProcessingTimer: Int64? {
    guard let wake = processing.nextWake else { return nil }
    return max(0, wake.saturatingSubtracting(clock.now()))
  }

  // MARK: - Failed callbacks

  func beginCall() {
    event.beginCall()
    processing.beginCall()
  }

  func commitCall() {
    event.commitCall()
    processing.commitCall()
  }

  func rollbackCall() {
    event.rollbackCall()
    processing.rollbackCall()
  }

  // MARK: - Snapshots

  /// A pending timer as a snapshot keeps it.
  struct Entry: Equatable {
    var domain: TimerDomain
    var slot: UInt32
    var time: Int64
    var name: String?
  }

  /// Every pending timer, those of one key and domain in order of registration: what `restore` wants.
  func forEach(_ body: (Entry) throws -> Void) rethrows {
    for domain in [TimerDomain.event, .processing] {
      let queue = queue(domain)
      for node in queue.inOrderOfRegistration() {
        let timer = queue.store[node]
        try body(Entry(domain: domain, slot: timer.slot, time: timer.time, name: names.text(timer.name)))
      }
    }
  }

  /// Makes a timer of a snapshot pending again. Overdue ones fire at the next advance of the watermark or look at the clock.
  func restore(_ entry: Entry) throws(EngineError) {
    var name = TimerName.none
    if let text = entry.name { name = try names.intern(text) }
    queue(entry.domain).register(slot: entry.slot, time: entry.time, name: name, depth: 0)
  }
}

/// The timers for those who use them per record: not counted, because a retain and a release cost more than a look at a queue
/// (half the time of a delete and a register). Whoever holds them forgets them before the service goes.
struct TimerHandles {
  let service: Unmanaged<TimerService>
  let event: Unmanaged<TimerQueue>
  let processing: Unmanaged<TimerQueue>

  init(_ service: TimerService) {
    self.service = .passUnretained(service)
    event = .passUnretained(service.event)
    processing = .passUnretained(service.processing)
  }
}

extension TimerNames {
  func intern(_ text: String) throws(EngineError) -> TimerName {
    var text = text
    var result: Result<TimerName, EngineError> = .success(.none)
    text.withUTF8 { bytes in
      do throws(EngineError) { result = .success(try intern(bytes)) } catch { result = .failure(error) }
    }
    return try result.get()
  }

  func find(_ text: String) -> TimerName? {
    var text = text
    return text.withUTF8 { find($0) }
  }
}
