/// Lists, as a binding uses them.
extension StateHandle {
  @inline(__always)
  private func list() throws(EngineError) -> ListStateColumn {
    guard case .list = column.descriptor.kind else { throw wrongKind("list") }
    try checkNotVisiting()
    return unsafeDowncast(column, to: ListStateColumn.self)
  }

  public func append(_ cell: StateCell) throws(EngineError) {
    let list = try list()
    list.append(try currentSlot(), try checked(cell))
  }

  /// Appends all, or, if one does not fit, none.
  public func append(contentsOf cells: some RandomAccessCollection<StateCell>) throws(EngineError) {
    let list = try list()
    let slot = try currentSlot()
    for cell in cells { _ = try checked(cell) }
    for cell in cells { list.append(slot, try checked(cell)) }
  }

  /// Puts these elements in the place of the list, or, if one does not fit, leaves it as it is.
  public func replaceElements(with cells: some RandomAccessCollection<StateCell>) throws(EngineError) {
    let list = try list()
    let slot = try currentSlot()
    for cell in cells { _ = try checked(cell) }
    list.clear(slot)
    for cell in cells { list.append(slot, try checked(cell)) }
  }

  public func elementCount() throws(EngineError) -> Int {
    let list = try list()
    return list.count(try currentSlot())
  }

  /// Calls `body` with every element; the state must not be used meanwhile.
  public func forEachElement(_ body: (StateCell) throws(EngineError) -> Void) throws(EngineError) {
    let list = try list()
    let slot = try currentSlot()
    try visiting { () throws(EngineError) in try list.forEach(slot, body) }
  }
}
