/// What a state with a TTL holds, with the time each part counts from: for whoever keeps the state elsewhere, brings it in for a call and
/// takes it back afterwards.
extension StateHandle {
  /// Calls `body` with the value, every element or every entry as it is stored, expired or not; no read as far as the TTL is concerned. The
  /// state must not be used meanwhile. `.invalidArgument` if the state has no TTL.
  public func forEachStored(
    _ body: (_ key: StateCell?, _ cell: StateCell, _ stamp: Int64) throws(EngineError) -> Void
  ) throws(EngineError) {
    try checkTimed()
    try checkNotVisiting()
    let slot = try currentSlot()
    var failure: EngineError?
    func pass(_ key: StateCell?, _ cell: StateCell, _ stamp: Int64) {
      guard failure == nil else { return }
      do throws(EngineError) { try body(key, cell, stamp) } catch { failure = error }
    }
    try visiting { () throws(EngineError) in
      switch column {
      case let list as ListStateColumn: list.forEachStored(slot) { pass(nil, $0, $1) }
      case let map as MapStateColumn: map.forEachStored(slot) { pass($0, $1, $2) }
      case let value as ValueStateColumn:
        if value.isSet(slot), let stamp = value.stamp(of: slot) { pass(nil, value.storedCell(slot), stamp) }
      default: preconditionFailure("every column is one of the three")
      }
      if let failure { throw failure }
    }
  }

  /// Sets the value, appends an element or puts an entry, which counts from `stamp`. `key` is for maps.
  public func store(_ key: StateCell?, _ cell: StateCell, stamp: Int64) throws(EngineError) {
    try checkTimed()
    try checkNotVisiting()
    let slot = try currentSlot()
    let cell = try checked(cell)
    switch column {
    case let list as ListStateColumn: list.restore(slot, cell, stamp: stamp)
    case let map as MapStateColumn:
      guard let key else { throw wrongKind("value") }
      map.restore(slot, try checked(key, map.keyStorage, map.keyType), cell, stamp: stamp)
    case let value as ValueStateColumn: value.restore(slot, cell, stamp: stamp)
    default: preconditionFailure("every column is one of the three")
    }
  }

  private func checkTimed() throws(EngineError) {
    guard column.expiry == nil else { return }
    throw EngineError(.invalidArgument, "state '\(name)' has no TTL, and so nothing in it counts from a time")
  }
}
