import CMartlet
import Martlet

// martlet_reduce_*: reducing states with a reducer of the engine.

@_cdecl("martlet_reduce_add")
public func martletReduceAdd(
  _ state: OpaquePointer, _ value: UnsafePointer<martlet_value>?, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(state, as: StateHandle.self, error: error) { state throws(EngineError) in
    try state.add(try state.cell(value))
  }
}

@_cdecl("martlet_reduce_merge")
public func martletReduceMerge(
  _ state: OpaquePointer, _ value: UnsafePointer<martlet_value>?, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(state, as: StateHandle.self, error: error) { state throws(EngineError) in
    try state.merge(try state.cell(value))
  }
}
