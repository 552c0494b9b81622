@testable import Martlet

/// At which call something goes wrong. Faulty files and stores ask it; it counts their calls, so that a test finds how many there
/// are by a run without fault, and then goes through all of them.
final class FaultPlan: Sendable {
  enum Effect: CaseIterable, Sendable {
    /// The call fails, later ones work.
    case once
    /// It and all later ones fail.
    case forGood
    /// It fails, and the process is as good as dead: everything is refused until `recover`.
    case crash
  }

  enum Moment: CaseIterable, Sendable {
    /// Nothing of the call happened.
    case before
    /// All of it happened, and the caller is told otherwise.
    case after
    /// Of a write the first half happened; any other call as `before`.
    case torn
  }

  private struct State {
    var calls = 0
    var failAt = 0
    var effect = Effect.once
    var moment = Moment.before
    var isDead = false
    var log: [String] = []
  }

  private let state = Locked(State())

  /// How many calls there were since it was armed.
  var calls: Int { state.withLock { $0.calls } }
  /// What they were, for messages of tests.
  var log: [String] { state.withLock { $0.log } }

  /// From now on, call number `call` (the next is 1) goes wrong; 0 for none.
  func arm(at call: Int, _ effect: Effect, _ moment: Moment = .before) {
    state.withLock { $0 = State(failAt: call, effect: effect, moment: moment) }
  }

  /// A new process after the crash: nothing goes wrong any more.
  func recover() { state.withLock { $0 = State() } }

  /// Runs one call. `torn` does half of it.
  func run<Result>(
    _ operation: String, _ path: String, torn: () throws(EngineError) -> Void = {},
    _ body: () throws(EngineError) -> Result
  ) throws(EngineError) -> Result {
    let (fault, call): (Moment?, Int) = state.withLock { state in
      state.calls += 1
      state.log.append("\(operation) \(path)")
      if state.isDead { return (.before, state.calls) }
      let hit =
        state.failAt > 0 && (state.effect == .forGood ? state.calls >= state.failAt : state.calls == state.failAt)
      if hit, state.effect == .crash { state.isDead = true }
      return (hit ? state.moment : nil, state.calls)
    }
    let error = EngineError(.storageFailed, "cannot \(operation) '\(path)': fault planned for call \(call)")
    switch fault {
    case nil: return try body()
    case .before: throw error
    case .after:
      _ = try body()
      throw error
    case .torn:
      try torn()
      throw error
    }
  }
}
