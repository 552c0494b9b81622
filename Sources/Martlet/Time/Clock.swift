import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Processing time in milliseconds since the Unix epoch. The system's clock is the only place where real time enters the
/// engine; a `ManualClock` makes everything that depends on processing time deterministic.
public class Clock: @unchecked Sendable {
  // No stored state here, and an atomic in the subclass: safe from any thread.

  /// The system's clock.
  public static let system = Clock()

  fileprivate init() {}

  /// The time now.
  public func now() -> Int64 { Clock.read(CLOCK_REALTIME) }

  /// The time now as the kernel noted it at its last tick: up to 4 ms old, and several times cheaper than `now()`. For what
  /// is asked between any two records.
  func coarseNow() -> Int64 {
    #if os(Linux)
      Clock.read(CLOCK_REALTIME_COARSE)
    #else
      Clock.read(CLOCK_REALTIME)
    #endif
  }

  /// Whether time passes by itself, so that there is something to wait for.
  var runsByItself: Bool { true }

  private static func read(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return Int64(time.tv_sec) &* 1000 &+ Int64(time.tv_nsec) / 1_000_000
  }
}

/// A clock that stands still until it is set: for tests and for runs that must give the same result every time.
public final class ManualClock: Clock, @unchecked Sendable {
  private let time: Atomic<Int64>

  public init(_ start: Int64 = 0) {
    time = Atomic(start)
    super.init()
  }

  override public func now() -> Int64 { time.load(ordering: .relaxed) }
  override func coarseNow() -> Int64 { now() }
  override var runsByItself: Bool { false }

  /// Sets the clock; `.invalidArgument` for a time before the one it shows.
  public func advance(to time: Int64) throws(EngineError) {
    var shown = now()
    while true {
      guard time >= shown else {
        throw EngineError(
          .invalidArgument,
          "the clock shows \(shown) ms and cannot go back to \(time); processing time only moves forward")
      }
      let exchange = self.time.compareExchange(expected: shown, desired: time, ordering: .relaxed)
      if exchange.exchanged { return }
      shown = exchange.original
    }
  }
}
