/// Under which numbers a job's operators and their states are kept in stores: rows begin with the operator's number, and name states by
/// theirs (`docs/design/store.md`). Numbers are given once and never again, so that what is left of something that was dropped is never
/// taken for something else.
struct StoreLayout: Equatable, Sendable {
  struct State: Equatable, Sendable {
    var name: String
    var number: UInt16
  }

  struct Operator: Equatable, Sendable {
    var number: UInt16
    /// Those that the function declares, in its order, then those that are kept for it.
    var states: [State] = []
    /// The next number that was never given.
    var nextState: UInt16 = 0

    subscript(name: String) -> UInt16? { states.first { $0.name == name }?.number }

    /// What the store may have of states that nobody wants any more.
    var forgotten: Set<UInt16> { Set(0..<nextState).subtracting(states.map(\.number)) }
  }

  /// In the order of the job.
  var operators: [Operator] = []
  /// The next number that was never given.
  var nextOperator: UInt16 = 0

  init() {}

  /// The layout of a job that goes on from a checkpoint with another, or begins anew.
  ///
  /// `operators` are the job's, each with the names of its states, its place in `last`, nil if it is new, and the names of states that are not to be
  /// kept. Throws `.valueRange` when all numbers were given.
  init(
    _ last: StoreLayout?, _ operators: [(name: String, states: [String], place: Int?, forgetting: Set<String>)]
  ) throws(EngineError) {
    nextOperator = last?.nextOperator ?? 0
    for one in operators {
      var next: Operator
      if let last, let place = one.place {
        let before = last.operators[place]
        next = Operator(number: before.number, nextState: before.nextState)
        for name in one.states {
          if let number = before[name] {
            next.states.append(State(name: name, number: number))
          } else {
            next.states.append(State(name: name, number: try StoreLayout.take(&next.nextState, one.name)))
          }
        }
        next.states += before.states.filter { !one.states.contains($0.name) && !one.forgetting.contains($0.name) }
      } else {
        next = Operator(number: try StoreLayout.take(&nextOperator, one.name))
        for name in one.states {
          next.states.append(State(name: name, number: try StoreLayout.take(&next.nextState, one.name)))
        }
      }
      self.operators.append(next)
    }
  }

  /// States that a snapshot has and the function has no more get numbers too.
  mutating func keep(_ names: [String], ofOperator index: Int, _ name: String) throws(EngineError) {
    for state in names where operators[index][state] == nil {
      let number = try StoreLayout.take(&operators[index].nextState, name)
      operators[index].states.append(State(name: state, number: number))
    }
  }

  private static func take(_ next: inout UInt16, _ name: String) throws(EngineError) -> UInt16 {
    guard next < UInt16.max else {
      throw EngineError(
        .valueRange,
        "operator '\(name)': the store has given all of its \(UInt16.max) numbers to operators or states that were dropped since; begin a "
          + "new state directory from a savepoint")
    }
    defer { next += 1 }
    return next
  }
}

extension ByteWriter {
  mutating func layout(_ layout: StoreLayout) {
    integer(layout.nextOperator)
    integer(UInt32(layout.operators.count))
    for one in layout.operators {
      integer(one.number)
      integer(one.nextState)
      integer(UInt32(one.states.count))
      for state in one.states {
        text(state.name)
        integer(state.number)
      }
    }
  }
}

extension ByteReader {
  mutating func layout() throws(Malformed) -> StoreLayout {
    var layout = StoreLayout()
    layout.nextOperator = try integer(UInt16.self)
    for _ in 0..<(try integer(UInt32.self)) {
      var one = StoreLayout.Operator(number: try integer(UInt16.self), nextState: try integer(UInt16.self))
      for _ in 0..<(try integer(UInt32.self)) {
        let state = StoreLayout.State(name: try text(), number: try integer(UInt16.self))
        guard state.number < one.nextState else { throw Malformed() }
        one.states.append(state)
      }
      guard one.number < layout.nextOperator, Set(one.states.map(\.number)).count == one.states.count else {
        throw Malformed()
      }
      layout.operators.append(one)
    }
    return layout
  }
}
