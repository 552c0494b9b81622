import CMartlet
import Martlet

// Timers of the current key, and the stable hash.

@_cdecl("martlet_register_event_time_timer")
public func martletRegisterEventTimeTimer(
  _ call: UnsafePointer<martlet_context>, _ time: Int64, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(engineHandle(call), as: Context.self, error: error) { context throws(EngineError) in
    try context.registerEventTimeTimer(time)
  }
}

@_cdecl("martlet_delete_event_time_timer")
public func martletDeleteEventTimeTimer(
  _ call: UnsafePointer<martlet_context>, _ time: Int64, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(engineHandle(call), as: Context.self, error: error) { context throws(EngineError) in
    try context.deleteEventTimeTimer(time)
  }
}

@_cdecl("martlet_stable_hash")
public func martletStableHash(_ bytes: UnsafeRawPointer?, _ length: Int) -> UInt64 {
  StableHash.hash(UnsafeRawBufferPointer(start: bytes, count: bytes == nil ? 0 : length))
}

@_cdecl("martlet_key_group")
public func martletKeyGroup(_ hash: UInt64, _ maxParallelism: Int32) -> Int32 {
  KeyGroup(hash: hash, maxParallelism: max(maxParallelism, 1)).rawValue
}
