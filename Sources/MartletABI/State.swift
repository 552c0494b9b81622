import CMartlet
import Martlet

// martlet_value_*: the value of the current key, and how a function gets at its states.

@_cdecl("martlet_context_state")
public func martletContextState(_ call: UnsafePointer<martlet_context>, _ index: Int64) -> OpaquePointer? {
  let states = engine(call).states
  return states.indices.contains(Int(clamping: index)) ? Handle.borrowed(states[Int(index)]) : nil
}

/// The engine's side of a call.
func engine(_ call: UnsafePointer<martlet_context>) -> Context {
  Unmanaged<Context>.fromOpaque(call.pointee.engine).takeUnretainedValue()
}

/// The same as a handle for `boundary`.
@inline(__always)
func engineHandle(_ call: UnsafePointer<martlet_context>) -> OpaquePointer { OpaquePointer(call.pointee.engine) }

@_cdecl("martlet_value_get_int64")
public func martletValueGetInt64(
  _ state: OpaquePointer, _ value: UnsafeMutablePointer<Int64>, _ present: UnsafeMutablePointer<Int32>,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(state, as: StateHandle.self, error: error) { state throws(EngineError) in
    let stored = try state.getInteger()
    if let stored { value.pointee = stored }
    present.pointee = stored == nil ? 0 : 1
  }
}

@_cdecl("martlet_value_set_int64")
public func martletValueSetInt64(
  _ state: OpaquePointer, _ value: Int64, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(state, as: StateHandle.self, error: error) { state throws(EngineError) in try state.setInteger(value) }
}

@_cdecl("martlet_value_set_uint64")
public func martletValueSetUInt64(
  _ state: OpaquePointer, _ value: UInt64, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(state, as: StateHandle.self, error: error) { state throws(EngineError) in try state.setUnsigned(value) }
}

@_cdecl("martlet_value_get_double")
public func martletValueGetDouble(
  _ state: OpaquePointer, _ value: UnsafeMutablePointer<Double>, _ present: UnsafeMutablePointer<Int32>,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(state, as: StateHandle.self, error: error) { state throws(EngineError) in
    let stored = try state.getDouble()
    if let stored { value.pointee = stored }
    present.pointee = stored == nil ? 0 : 1
  }
}

@_cdecl("martlet_value_set_double")
public func martletValueSetDouble(
  _ state: OpaquePointer, _ value: Double, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(state, as: StateHandle.self, error: error) { state throws(EngineError) in try state.setDouble(value) }
}

@_cdecl("martlet_value_get_bytes")
public func martletValueGetBytes(
  _ state: OpaquePointer, _ bytes: UnsafeMutablePointer<UnsafePointer<UInt8>?>, _ length: UnsafeMutablePointer<Int>,
  _ present: UnsafeMutablePointer<Int32>, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(state, as: StateHandle.self, error: error) { state throws(EngineError) in
    let stored = try state.getBytes()
    if let stored {
      bytes.pointee = stored.baseAddress?.assumingMemoryBound(to: UInt8.self)
      length.pointee = stored.count
    }
    present.pointee = stored == nil ? 0 : 1
  }
}

@_cdecl("martlet_value_set_bytes")
public func martletValueSetBytes(
  _ state: OpaquePointer, _ bytes: UnsafeRawPointer?, _ length: Int, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(state, as: StateHandle.self, error: error) { state throws(EngineError) in
    guard length == 0 || bytes != nil else { throw missing("bytes") }
    try state.setBytes(UnsafeRawBufferPointer(start: bytes, count: length))
  }
}

@_cdecl("martlet_value_exists")
public func martletValueExists(
  _ state: OpaquePointer, _ present: UnsafeMutablePointer<Int32>, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(state, as: StateHandle.self, error: error) { state throws(EngineError) in
    present.pointee = try state.exists() ? 1 : 0
  }
}

@_cdecl("martlet_value_clear")
public func martletValueClear(_ state: OpaquePointer, _ error: UnsafeMutablePointer<martlet_error>?) -> Int32 {
  boundary(state, as: StateHandle.self, error: error) { state throws(EngineError) in try state.clear() }
}
