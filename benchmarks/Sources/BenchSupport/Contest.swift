/// Times several ways of doing the same work, in turns, and compares them by their medians.
///
/// Turns and not one after the other: a machine that gets slower or faster meanwhile (other load, clock rates, a warming
/// cache) does so for all of them. The order rotates each round for the same reason. One round before is not counted.
public struct Contest {
  public struct Contender {
    public var name: String
    /// Does the work once. Its result is for the caller to check; what must not be timed belongs in `prepare`.
    public var run: () throws -> Void
    public var prepare: () throws -> Void

    public init(_ name: String, prepare: @escaping () throws -> Void = {}, run: @escaping () throws -> Void) {
      self.name = name
      self.prepare = prepare
      self.run = run
    }
  }

  public struct Timing: Sendable {
    public var name: String
    /// One a round, in nanoseconds.
    public var nanoseconds: [Double]

    public var median: Double { BenchSupport.median(nanoseconds) }
    /// Distance of the quartiles as a share of the median: above 0.1 or so, believe the ratios less.
    public var spread: Double {
      let sorted = nanoseconds.sorted()
      return (sorted[sorted.count * 3 / 4] - sorted[sorted.count / 4]) / median
    }
  }

  public var rounds: Int
  public var contenders: [Contender]

  public init(rounds: Int = 7, _ contenders: [Contender]) {
    precondition(rounds > 0, "a contest needs at least one round")
    self.rounds = rounds
    self.contenders = contenders
  }

  /// The timings, in the order of the contenders.
  public func run() throws -> [Timing] {
    var timings = contenders.map { Timing(name: $0.name, nanoseconds: []) }
    let clock = ContinuousClock()
    for round in 0...rounds {
      for turn in contenders.indices {
        let index = (turn + round) % contenders.count
        try contenders[index].prepare()
        let elapsed = try clock.measure { try contenders[index].run() }
        if round > 0 { timings[index].nanoseconds.append(elapsed.nanoseconds) }
      }
    }
    return timings
  }
}

extension Duration {
  public var nanoseconds: Double {
    let (seconds, attoseconds) = components
    return Double(seconds) * 1e9 + Double(attoseconds) / 1e9
  }
}

/// The middle of the values, or the mean of the two in the middle.
public func median(_ values: [Double]) -> Double {
  precondition(!values.isEmpty, "there is no median of nothing")
  let sorted = values.sorted()
  let middle = sorted.count / 2
  return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}
