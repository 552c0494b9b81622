import CMartlet

/// A map that every parallel instance of a broadcast function holds whole: `onBroadcast` writes it, everything reads it. (Flink's
/// broadcast state.)
///
/// Declare it as a property of a `BroadcastProcessFunction`. Iteration is in key order: integers by value, text and bytes byte by byte.
/// What it holds belongs to no key: it can be read in any callback.
public final class BroadcastState<MapKey: MapStateKey, Value: StateValue>: AnyState {
  /// Of the callback that runs.
  @exclusivity(unchecked) private var call: UnsafePointer<martlet_context>?

  public init(_ name: String) { super.init(name, ttl: nil) }

  /// Throws `.stateAccess`, and changes nothing, outside of `onBroadcast`; so do the other functions that write.
  public func put(_ key: MapKey, _ value: Value) throws(EngineError) {
    try checkWritable()
    key.withCell { key in value.withCell { value in putEntry(key, value) } }
  }

  /// Whether there was such an entry.
  @discardableResult
  public func remove(_ key: MapKey) throws(EngineError) -> Bool {
    try checkWritable()
    return key.withCell { removeEntry($0) }
  }

  public func clear() throws(EngineError) {
    try checkWritable()
    clearColumn()
  }

  /// The value, nil if there is no such entry.
  @inlinable
  public func get(_ key: MapKey) -> Value? {
    key.withCell { key in
      guard let cell = findEntry(key) else { return nil }
      return Value(cell: cell)
    }
  }

  @inlinable
  public subscript(key: MapKey) -> Value? { return get(key) }

  @inlinable
  public func contains(_ key: MapKey) -> Bool { key.withCell { hasEntry($0) } }

  /// How many entries there are.
  public var count: Int { withColumn(MapStateColumn.self) { $0.count($1) } }

  /// The entries in key order, as they are now.
  public func entries() -> [(key: MapKey, value: Value)] {
    withColumn(MapStateColumn.self) { map, slot in
      var entries: [(key: MapKey, value: Value)] = []
      map.forEach(slot) { key, value in
        entries.append((MapKey(cell: key), Value(cell: value)))
        return true
      }
      return entries
    }
  }

  public func keys() -> [MapKey] { entries().map(\.key) }
  public func values() -> [Value] { entries().map(\.value) }

  private func checkWritable() throws(EngineError) {
    guard call?.pointee.side == BroadcastSlot.writingSide else { throw BroadcastSlot.readOnly(name) }
  }

  override func descriptor() throws(EngineError) -> StateDescriptor {
    try StateDescriptor(name, .typed(Value.dataType), kind: .broadcast(.typed(MapKey.dataType)))
  }

  override func bindBroadcast(_ call: UnsafePointer<martlet_context>) { self.call = call }

  override func unbind() {
    super.unbind()
    call = nil
  }
}
