import CMartlet

/// Which input of a function of two inputs a record came from.
public enum Side: Int32, Sendable {
  case left = 1
  /// The broadcast side of a broadcast.
  case right = 2
}

extension Context {
  @usableFromInline static var noSide: Int32 { Int32(MARTLET_NO_SIDE.rawValue) }
  @usableFromInline static var leftSide: Int32 { Int32(MARTLET_LEFT.rawValue) }
  @usableFromInline static var rightSide: Int32 { Int32(MARTLET_RIGHT.rawValue) }

  /// Where the current record came from; nil in timers, `onEnd`, `open` and `close`, and in functions of one input.
  public var side: Side? { Side(rawValue: raw.pointee.side) }
}

extension Context {
  func handle(_ column: StateColumn) -> StateHandle {
    guard column.descriptor.kind.isBroadcast else { return StateHandle(column, cursor: raw) }
    return StateHandle(column, cursor: broadcastCursor, broadcastCall: UnsafePointer(raw))
  }

  func bind(_ state: AnyState, _ column: StateColumn) {
    guard column.descriptor.kind.isBroadcast else { return state.bind(column, UnsafePointer(raw)) }
    state.bind(column, UnsafePointer(broadcastCursor))
    state.bindBroadcast(UnsafePointer(raw))
  }
}
