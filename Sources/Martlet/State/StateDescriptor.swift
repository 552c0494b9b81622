/// What kind of state it is: how a key's value is made up and changed.
public enum StateKind: Hashable, Sendable {
  case value
  case list
  /// A map with keys of this type.
  case map(StateType)
  /// One value that every `add` is folded into.
  case reducing(Reducer)
  /// One accumulator, of the state's type, that the caller folds values into.
  case aggregating
  /// One map with keys of this type, for all keys: of a broadcast, which writes it on its broadcast side only.
  case broadcast(StateType)

  /// Of a map, whoever's it is.
  var mapKey: StateType? {
    switch self {
    case .map(let key), .broadcast(let key): key
    case .value, .list, .reducing, .aggregating: nil
    }
  }

  var isBroadcast: Bool { if case .broadcast = self { true } else { false } }

  var noun: String {
    switch self {
    case .value: "value state"
    case .list: "list state"
    case .map: "map state"
    case .reducing: "reducing state"
    case .aggregating: "aggregating state"
    case .broadcast: "broadcast state"
    }
  }
}

/// How a reducing state folds a value into the one it has.
public enum Reducer: Int32, Hashable, Sendable, CaseIterable {
  /// The caller's own function.
  case custom = 0
  /// Integers (checked for overflow) and floats.
  case sum = 1
  /// The first of the smallest values: of numbers by value, of text and bytes byte by byte. A NaN is neither smaller nor
  /// larger than anything, so it replaces nothing and is never replaced.
  case min = 2
  case max = 3
  /// How many values were added; the state is an int64.
  case count = 4
}

/// The declaration of one state of a process function.
public struct StateDescriptor: Sendable {
  public let name: String
  /// The type of the value, of a list's elements, of a map's values or of the accumulator.
  public let type: StateType
  public let kind: StateKind
  public let ttl: StateTTL?

  /// Throws `.invalidArgument` for an empty name, a type that a state cannot hold or be keyed by, or a reducer that does not
  /// take values of the type.
  public init(
    _ name: String, _ type: StateType, kind: StateKind = .value, ttl: StateTTL? = nil
  ) throws(EngineError) {
    guard !name.isEmpty else { throw EngineError(.invalidArgument, "a state needs a name") }
    guard StateStorage(type) != nil else {
      throw EngineError(
        .invalidArgument,
        "state '\(name)': a state of type \(type) is not possible; leave the type out to store any value")
    }
    switch kind {
    case .map(let key): try StateDescriptor.checkKey(key, name)
    case .broadcast(let key):
      try StateDescriptor.checkKey(key, name)
      guard ttl == nil else {
        throw EngineError(
          .invalidArgument, "broadcast state '\(name)': it cannot have a TTL; remove entries in on_broadcast instead")
      }
    case .reducing(let reducer): try StateDescriptor.check(reducer, type, name)
    case .value, .list, .aggregating: break
    }
    self.name = name
    self.type = type
    self.kind = kind
    self.ttl = ttl
  }

  private static func checkKey(_ type: StateType, _ name: String) throws(EngineError) {
    switch StateStorage(type) {
    case .double, .float, nil:
      throw EngineError(
        .invalidArgument,
        "map state '\(name)': a key of type \(type) is not possible (floats that print alike can differ); use integers, "
          + "bool, text, bytes, dates, times or decimals")
    case .integer, .unsigned, .utf8, .bytes, .fixedBytes: break
    }
  }

  private static func check(_ reducer: Reducer, _ type: StateType, _ name: String) throws(EngineError) {
    let isPossible =
      switch (reducer, type) {
      case (.custom, _): true
      case (.count, .typed(let type)): type == .int64
      case (.sum, .typed(let type)):
        switch type {
        case .int8, .int16, .int32, .int64, .uint8, .uint16, .uint32, .uint64, .float32, .float64, .duration: true
        default: false
        }
      case (.min, .typed(let type)), (.max, .typed(let type)):
        switch type {
        case .decimal128, .fixedSizeBinary: false
        default: true
        }
      case (_, .encoded): false
      }
    guard isPossible else {
      throw EngineError(
        .invalidArgument,
        "reducing state '\(name)': the engine cannot take the \(reducer) of values of type \(type); "
          + (reducer == .count ? "a count is an int64" : "reduce with a function"))
    }
  }
}
