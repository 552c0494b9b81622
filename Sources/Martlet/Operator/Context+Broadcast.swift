import CMartlet

/// Visiting what keys hold from the broadcast side.
extension Context {
  /// Calls `body` for every key of this instance for which the state holds something, in the order of key bytes: the key is current, so
  /// that its states can be read and written and output emitted. Timers cannot be used in it. A key that an earlier call has
  /// emptied is left out. Only in `onBroadcast`.
  ///
  /// `index` is the state's number among those declared. Throws `.stateAccess` elsewhere, and for a broadcast state.
  public func applyToKeyedState(_ index: Int, _ body: (Key) throws -> Void) throws {
    guard raw.pointee.side == Context.rightSide, raw.pointee.slot == Slot.none, let keys = keySpace else {
      throw EngineError(
        .stateAccess,
        "apply_to_keyed_state can only be used in on_broadcast; elsewhere a state shows the current key's value")
    }
    guard states.indices.contains(index) else {
      throw EngineError(.invalidArgument, "there is no state number \(index); the function has \(states.count)")
    }
    let column = states[index].column
    guard !column.descriptor.kind.isBroadcast else {
      throw EngineError(
        .stateAccess, "state '\(column.descriptor.name)' is a broadcast state, which no key has; read it directly")
    }
    let timers = timerHandles
    timerHandles = nil
    orders?.beginVisit()
    defer {
      orders?.endVisit()
      timerHandles = timers
      raw.pointee.slot = Slot.none
    }
    let key = Key(keys.parts, keys.partCount)
    try forEachKey(keys) { slot in
      guard column.usedSlots > Int(slot), column.exists(slot) else { return }
      raw.pointee.slot = slot
      keys.show(slot: slot)
      orders?.begin(callbackAt: 0, slot: slot)
      try body(key)
    }
  }

  /// The same for a state of a Swift function.
  public func applyToKeyedState(_ state: AnyState, _ body: (Key) throws -> Void) throws {
    guard let index = states.firstIndex(where: { $0.name == state.name }) else {
      throw EngineError(.invalidArgument, "the function has no state '\(state.name)'")
    }
    try applyToKeyedState(index, body)
  }
}
