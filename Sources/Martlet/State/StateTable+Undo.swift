import CMartlet

/// The values that the current key's states had when a call began.
final class StateUndo {
  /// Where the current slot is read from; nil while no error policy needs to take anything back.
  var cursor: UnsafePointer<martlet_context>?
  fileprivate var slot = Slot.none
  /// Per state; nil: it was not set.
  fileprivate var saved: [[UInt8]?] = []
}

// Taking back what a failed call did to the states of its key. A call can only reach the current key's states, so the
// values of one slot are all there is to keep.

extension StateTable {
  /// From here on, until `commitCall` or `rollbackCall`, changes can be taken back.
  func beginCall() {
    guard let cursor = undo.cursor else { return }
    undo.slot = cursor.pointee.slot
    undo.saved.removeAll(keepingCapacity: true)
    guard undo.slot != Slot.none else { return }
    for column in columns { undo.saved.append(column.snapshot(undo.slot)) }
  }

  func commitCall() { undo.slot = Slot.none }

  func rollbackCall() {
    defer { undo.slot = Slot.none }
    guard undo.slot != Slot.none else { return }
    for (column, value) in zip(columns, undo.saved) {
      if let value { column.restore(undo.slot, value) } else { column.clear(undo.slot) }
    }
  }
}
