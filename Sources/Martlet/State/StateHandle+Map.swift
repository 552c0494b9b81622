/// Maps, as a binding uses them.
extension StateHandle {
  @inline(__always)
  private func map() throws(EngineError) -> MapStateColumn {
    guard column.descriptor.kind.mapKey != nil else { throw wrongKind("map") }
    try checkNotVisiting()
    return unsafeDowncast(column, to: MapStateColumn.self)
  }

  /// Whether keys are bytes rather than integers.
  public var keysAreBytes: Bool { (column as? MapStateColumn)?.layout.keys.isBytes ?? false }
  /// Whether values, elements or the accumulator are bytes, and whether they are floats.
  public var valuesAreBytes: Bool { CellForm(column.descriptor.type).isBytes }
  public var valuesAreFloats: Bool {
    switch storage {
    case .double, .float: true
    case .integer, .unsigned, .utf8, .bytes, .fixedBytes: false
    }
  }

  @inline(__always)
  private func checkedKey(_ key: StateCell, _ map: MapStateColumn) throws(EngineError) -> StateCell {
    try checked(key, map.keyStorage, map.keyType)
  }

  public func put(_ key: StateCell, _ value: StateCell) throws(EngineError) {
    let map = try map()
    try checkWritable()
    map.put(try currentSlot(), try checkedKey(key, map), try checked(value))
  }

  /// The value, nil if there is no such entry; bytes are valid until the next write to this state.
  public func value(for key: StateCell) throws(EngineError) -> StateCell? {
    let map = try map()
    return map.get(try currentSlot(), try checkedKey(key, map))
  }

  public func contains(_ key: StateCell) throws(EngineError) -> Bool {
    let map = try map()
    return map.contains(try currentSlot(), try checkedKey(key, map))
  }

  /// Whether there was such an entry.
  public func remove(_ key: StateCell) throws(EngineError) -> Bool {
    let map = try map()
    try checkWritable()
    return map.remove(try currentSlot(), try checkedKey(key, map))
  }

  public func entryCount() throws(EngineError) -> Int {
    let map = try map()
    return map.count(try currentSlot())
  }

  /// Calls `body` with the entries from `low` (included) to `high` (not included), in key order, until it returns false; the
  /// state must not be used meanwhile.
  public func forEachEntry(
    from low: StateCell?, to high: StateCell?, _ body: (StateCell, StateCell) throws(EngineError) -> Bool
  ) throws(EngineError) {
    let map = try map()
    let slot = try currentSlot()
    if let low { _ = try checkedKey(low, map) }
    if let high { _ = try checkedKey(high, map) }
    try visiting { () throws(EngineError) in try map.forEach(slot, from: low, to: high, body) }
  }
}
