/// A map per key. (Flink's `MapState`.)
///
/// Declare it as a property of a process function; inside a callback it reads and writes the map of the current key. A read or
/// write of one entry costs the same whether the map has ten entries or (nearly) ten million. Iteration is in key order: integers by
/// value, text and bytes byte by byte. With a TTL entries expire one by one.
public final class MapState<MapKey: MapStateKey, Value: StateValue>: AnyState {
  public override init(_ name: String, ttl: StateTTL? = nil) { super.init(name, ttl: ttl) }

  // What is called per record is inlined down to calls without generic parameters: with the generic bodies in this module a get
  // took 70 ns, most of it looking up the metadata of types.

  @inlinable
  public func put(_ key: MapKey, _ value: Value) {
    key.withCell { key in value.withCell { value in putEntry(key, value) } }
  }

  /// The value, nil if there is no such entry.
  @inlinable
  public func get(_ key: MapKey) -> Value? {
    key.withCell { key in
      guard let cell = findEntry(key) else { return nil }
      return Value(cell: cell)
    }
  }

  /// Reads, puts and, with nil, removes.
  public subscript(key: MapKey) -> Value? {
    get { get(key) }
    set { if let newValue { put(key, newValue) } else { remove(key) } }
  }

  /// Whether there was such an entry.
  @discardableResult @inlinable
  public func remove(_ key: MapKey) -> Bool { key.withCell { removeEntry($0) } }

  @inlinable
  public func contains(_ key: MapKey) -> Bool { key.withCell { hasEntry($0) } }

  public func clear() { clearColumn() }

  /// How many entries there are.
  public var count: Int { withColumn(MapStateColumn.self) { $0.count($1) } }

  /// The entries in key order, as they are now.
  public func entries() -> [(key: MapKey, value: Value)] { collect(nil, nil) }

  /// The entries from `low` (included) to `high` (not included) in key order; nil leaves an end open.
  public func range(_ low: MapKey?, _ high: MapKey?) -> [(key: MapKey, value: Value)] {
    withOptionalCell(low) { low in withOptionalCell(high) { high in collect(low, high) } }
  }

  public func keys() -> [MapKey] { entries().map(\.key) }
  public func values() -> [Value] { entries().map(\.value) }

  private func withOptionalCell<Result>(_ key: MapKey?, _ body: (StateCell?) -> Result) -> Result {
    if let key { key.withCell { body($0) } } else { body(nil) }
  }

  private func collect(_ low: StateCell?, _ high: StateCell?) -> [(key: MapKey, value: Value)] {
    withColumn(MapStateColumn.self) { map, slot in
      var entries: [(key: MapKey, value: Value)] = []
      map.forEach(slot, from: low, to: high) { key, value in
        entries.append((MapKey(cell: key), Value(cell: value)))
        return true
      }
      return entries
    }
  }

  override func descriptor() throws(EngineError) -> StateDescriptor {
    try StateDescriptor(name, .typed(Value.dataType), kind: .map(.typed(MapKey.dataType)), ttl: ttl)
  }
}
