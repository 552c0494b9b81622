/// A list per key. (Flink's `ListState`.)
///
/// Declare it as a property of a process function; inside a callback it reads and writes the list of the current key. With a TTL
/// elements expire one by one.
public final class ListState<Element: StateValue>: AnyState {
  public override init(_ name: String, ttl: StateTTL? = nil) { super.init(name, ttl: ttl) }

  /// Appends one element.
  @inlinable
  public func add(_ element: Element) { element.withCell { appendElement($0) } }

  /// Appends several.
  public func extend(_ elements: some Sequence<Element>) {
    for element in elements { add(element) }
  }

  /// The elements, in the order they were added; empty if there are none.
  public func get() -> [Element] {
    withColumn(ListStateColumn.self) { list, slot in
      var elements: [Element] = []
      elements.reserveCapacity(list.storedCount(of: slot))
      list.forEach(slot) { elements.append(Element(cell: $0)) }
      return elements
    }
  }

  /// Puts these elements in the place of the list.
  public func set(_ elements: some Sequence<Element>) {
    clear()
    extend(elements)
  }

  public func clear() { clearColumn() }

  /// How many elements there are.
  public var count: Int { withColumn(ListStateColumn.self) { $0.count($1) } }

  override func descriptor() throws(EngineError) -> StateDescriptor {
    try StateDescriptor(name, .typed(Element.dataType), kind: .list, ttl: ttl)
  }
}
