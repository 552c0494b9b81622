import CMartlet

/// How long what a state holds stays valid: per value, per element of a list, per entry of a map.
///
/// Something last touched at `last` has expired iff `last + milliseconds <= now`. (Flink's `StateTtlConfig`.)
public struct StateTTL: Hashable, Sendable {
  public enum Domain: Hashable, Sendable {
    /// Now is the clock's time.
    case processing
    /// Now is the watermark; a write counts from the timestamp of its record or timer, or from the watermark where there
    /// is none.
    case event
  }

  public let milliseconds: Int64
  public var domain: Domain = .processing
  /// Whether a read makes the value as new as a write does. It never makes it older, as the read of a late record would.
  public var refreshesOnRead = false
  /// Whether what has expired can still be read until it is cleaned away. Otherwise a read finds nothing and cleans.
  public var showsExpired = false

  /// Throws `.invalidArgument` unless the duration is positive.
  public init(
    milliseconds: Int64, domain: Domain = .processing, refreshesOnRead: Bool = false, showsExpired: Bool = false
  ) throws(EngineError) {
    guard milliseconds > 0 else {
      throw EngineError(.invalidArgument, "a TTL of \(milliseconds) ms is not possible; it is at least 1 ms")
    }
    self.milliseconds = milliseconds
    self.domain = domain
    self.refreshesOnRead = refreshesOnRead
    self.showsExpired = showsExpired
  }
}

/// What states know of time: the clock, and the call they are used in.
final class StateTime {
  let clock: Clock
  /// While states are read from outside of the function, which keeps nothing alive.
  @exclusivity(unchecked) var isLookedAt = false
  private let call: UnsafePointer<martlet_context>

  init(_ clock: Clock, _ call: UnsafePointer<martlet_context>) {
    self.clock = clock
    self.call = call
  }

  func now(_ domain: StateTTL.Domain) -> Int64 {
    switch domain {
    case .processing: clock.now()
    case .event: call.pointee.watermark
    }
  }

  /// The time from which something written now counts.
  func stamp(_ domain: StateTTL.Domain) -> Int64 {
    switch domain {
    case .processing: clock.now()
    case .event: call.pointee.timestamp == EventTime.none ? call.pointee.watermark : call.pointee.timestamp
    }
  }
}

/// The lifetime rule of one column.
struct Expiry {
  let ttl: StateTTL
  let time: StateTime

  @inline(__always)
  func hasExpired(_ stamp: Int64, at now: Int64) -> Bool { stamp.saturatingAdding(ttl.milliseconds) <= now }

  func hasExpired(_ stamp: Int64) -> Bool { hasExpired(stamp, at: now()) }

  var refreshesOnRead: Bool { ttl.refreshesOnRead && !time.isLookedAt }

  func now() -> Int64 { time.now(ttl.domain) }

  func stamp() -> Int64 { time.stamp(ttl.domain) }
}
