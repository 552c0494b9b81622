import CMartlet
import Martlet

// martlet_list_*: the list of the current key.

@_cdecl("martlet_list_add")
public func martletListAdd(
  _ state: OpaquePointer, _ value: UnsafePointer<martlet_value>?, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(state, as: StateHandle.self, error: error) { state throws(EngineError) in
    try state.append(try state.cell(value))
  }
}

@_cdecl("martlet_list_extend")
public func martletListExtend(
  _ state: OpaquePointer, _ values: UnsafePointer<martlet_value>?, _ count: Int64,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(state, as: StateHandle.self, error: error) { state throws(EngineError) in
    try state.append(contentsOf: try cells(state, values, count))
  }
}

@_cdecl("martlet_list_set")
public func martletListSet(
  _ state: OpaquePointer, _ values: UnsafePointer<martlet_value>?, _ count: Int64,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(state, as: StateHandle.self, error: error) { state throws(EngineError) in
    try state.replaceElements(with: try cells(state, values, count))
  }
}

private func cells(
  _ state: StateHandle, _ values: UnsafePointer<martlet_value>?, _ count: Int64
) throws(EngineError) -> [StateCell] {
  guard count >= 0, count == 0 || values != nil else {
    throw EngineError(.invalidArgument, "values is NULL or their number negative")
  }
  var cells: [StateCell] = []
  cells.reserveCapacity(Int(count))
  for index in 0..<Int(count) { cells.append(try state.cell(values.unsafelyUnwrapped + index)) }
  return cells
}

@_cdecl("martlet_list_len")
public func martletListLen(
  _ state: OpaquePointer, _ length: UnsafeMutablePointer<Int64>, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(state, as: StateHandle.self, error: error) { state throws(EngineError) in
    length.pointee = Int64(try state.elementCount())
  }
}

@_cdecl("martlet_list_visit")
public func martletListVisit(
  _ state: OpaquePointer, _ visit: (@convention(c) (UnsafeMutableRawPointer?, UnsafePointer<martlet_value>?) -> Int32)?,
  _ context: UnsafeMutableRawPointer?, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(state, as: StateHandle.self, error: error) { state throws(EngineError) in
    guard let visit else { throw missing("visit") }
    try state.forEachElement { cell throws(EngineError) in
      var value = state.value(cell)
      guard visit(context, &value) == 0 else { throw visitorFailed() }
    }
  }
}
