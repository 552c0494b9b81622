import CMartlet
import Martlet

// martlet_map_*: the map of the current key.

@_cdecl("martlet_map_put")
public func martletMapPut(
  _ state: OpaquePointer, _ key: UnsafePointer<martlet_value>?, _ value: UnsafePointer<martlet_value>?,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(state, as: StateHandle.self, error: error) { state throws(EngineError) in
    try state.put(try state.key(key), try state.cell(value))
  }
}

@_cdecl("martlet_map_get")
public func martletMapGet(
  _ state: OpaquePointer, _ key: UnsafePointer<martlet_value>?, _ value: UnsafeMutablePointer<martlet_value>,
  _ present: UnsafeMutablePointer<Int32>, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(state, as: StateHandle.self, error: error) { state throws(EngineError) in
    let cell = try state.value(for: try state.key(key))
    if let cell { value.pointee = state.value(cell) }
    present.pointee = cell == nil ? 0 : 1
  }
}

@_cdecl("martlet_map_contains")
public func martletMapContains(
  _ state: OpaquePointer, _ key: UnsafePointer<martlet_value>?, _ present: UnsafeMutablePointer<Int32>,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(state, as: StateHandle.self, error: error) { state throws(EngineError) in
    present.pointee = try state.contains(try state.key(key)) ? 1 : 0
  }
}

@_cdecl("martlet_map_remove")
public func martletMapRemove(
  _ state: OpaquePointer, _ key: UnsafePointer<martlet_value>?, _ removed: UnsafeMutablePointer<Int32>,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(state, as: StateHandle.self, error: error) { state throws(EngineError) in
    removed.pointee = try state.remove(try state.key(key)) ? 1 : 0
  }
}

@_cdecl("martlet_map_len")
public func martletMapLen(
  _ state: OpaquePointer, _ length: UnsafeMutablePointer<Int64>, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(state, as: StateHandle.self, error: error) { state throws(EngineError) in
    length.pointee = Int64(try state.entryCount())
  }
}

@_cdecl("martlet_map_visit")
public func martletMapVisit(
  _ state: OpaquePointer, _ low: UnsafePointer<martlet_value>?, _ high: UnsafePointer<martlet_value>?,
  _ visit: (
    @convention(c) (UnsafeMutableRawPointer?, UnsafePointer<martlet_value>?, UnsafePointer<martlet_value>?) -> Int32
  )?, _ context: UnsafeMutableRawPointer?, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(state, as: StateHandle.self, error: error) { state throws(EngineError) in
    guard let visit else { throw missing("visit") }
    let from: StateCell? = if let low { try state.key(low) } else { nil }
    let to: StateCell? = if let high { try state.key(high) } else { nil }
    try state.forEachEntry(from: from, to: to) { key, cell throws(EngineError) in
      var shownKey = martlet_value(key)
      var value = state.value(cell)
      guard visit(context, &shownKey, &value) == 0 else { throw visitorFailed() }
      return true
    }
  }
}
