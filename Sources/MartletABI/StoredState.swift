import CMartlet
import Martlet

// martlet_stored_*: states with a TTL as they are stored, each part with the time it counts from.

@_cdecl("martlet_stored_visit")
public func martletStoredVisit(
  _ state: OpaquePointer,
  _ visit: (
    @convention(c) (UnsafeMutableRawPointer?, UnsafePointer<martlet_value>?, UnsafePointer<martlet_value>?, Int64) ->
      Int32
  )?, _ context: UnsafeMutableRawPointer?, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(state, as: StateHandle.self, error: error) { state throws(EngineError) in
    guard let visit else { throw missing("visit") }
    try state.forEachStored { key, cell, stamp throws(EngineError) in
      var value = state.value(cell)
      let status: Int32
      if let key {
        var shownKey = martlet_value(key)
        status = visit(context, &shownKey, &value, stamp)
      } else {
        status = visit(context, nil, &value, stamp)
      }
      guard status == 0 else { throw visitorFailed() }
    }
  }
}

@_cdecl("martlet_stored_put")
public func martletStoredPut(
  _ state: OpaquePointer, _ key: UnsafePointer<martlet_value>?, _ value: UnsafePointer<martlet_value>?, _ stamp: Int64,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(state, as: StateHandle.self, error: error) { state throws(EngineError) in
    let place: StateCell? = if let key { try state.key(key) } else { nil }
    try state.store(place, try state.cell(value), stamp: stamp)
  }
}
