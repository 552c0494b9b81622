import CMartlet
import Martlet

// martlet_state_spec: the declaration of one state.

func stateDescriptor(_ spec: martlet_state_spec) throws(EngineError) -> StateDescriptor {
  try checkSize(spec.struct_size, of: martlet_state_spec.self)
  guard let name = text(spec.name) else { throw missing("martlet_state_spec.name") }
  let kind = try stateKind(spec, name)
  return try StateDescriptor(name, try stateType(spec.format, name), kind: kind, ttl: try stateTTL(spec, name))
}

private func stateKind(_ spec: martlet_state_spec, _ name: String) throws(EngineError) -> StateKind {
  switch spec.kind {
  case Int32(MARTLET_STATE_VALUE.rawValue): return .value
  case Int32(MARTLET_STATE_LIST.rawValue): return .list
  case Int32(MARTLET_STATE_MAP.rawValue): return .map(try stateType(spec.key_format, name))
  case Int32(MARTLET_STATE_BROADCAST.rawValue): return .broadcast(try stateType(spec.key_format, name))
  case Int32(MARTLET_STATE_REDUCING.rawValue):
    guard let reducer = Reducer(rawValue: spec.reducer) else {
      throw EngineError(.invalidArgument, "state '\(name)': reducer \(spec.reducer) is not a martlet_reducer")
    }
    return .reducing(reducer)
  case Int32(MARTLET_STATE_AGGREGATING.rawValue): return .aggregating
  default:
    throw EngineError(.invalidArgument, "martlet_state_spec.kind \(spec.kind) is not a martlet_state_kind")
  }
}

private func stateType(_ format: UnsafePointer<CChar>?, _ name: String) throws(EngineError) -> StateType {
  guard let format = text(format) else { return .encoded }
  guard let type = DataType(flatFormat: format) else {
    throw EngineError(.invalidArgument, "state '\(name)': '\(format)' is not the Arrow format of a plain type")
  }
  return .typed(type)
}

private func stateTTL(_ spec: martlet_state_spec, _ name: String) throws(EngineError) -> StateTTL? {
  guard spec.ttl_ms != 0 else { return nil }
  func has(_ flag: martlet_ttl_flags) -> Bool { spec.ttl_flags & Int32(flag.rawValue) != 0 }
  do {
    return try StateTTL(
      milliseconds: spec.ttl_ms, domain: has(MARTLET_TTL_EVENT_TIME) ? .event : .processing,
      refreshesOnRead: has(MARTLET_TTL_REFRESH_ON_READ), showsExpired: has(MARTLET_TTL_SHOW_UNTIL_CLEANED))
  } catch {
    throw EngineError(error.kind, "state '\(name)': \(error.message)")
  }
}
