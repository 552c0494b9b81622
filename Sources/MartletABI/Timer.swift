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

@_cdecl("martlet_register_processing_time_timer")
public func martletRegisterProcessingTimeTimer(
  _ call: UnsafePointer<martlet_context>, _ time: Int64, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(engineHandle(call), as: Context.self, error: error) { context throws(EngineError) in
    try context.registerProcessingTimeTimer(time)
  }
}

@_cdecl("martlet_delete_processing_time_timer")
public func martletDeleteProcessingTimeTimer(
  _ call: UnsafePointer<martlet_context>, _ time: Int64, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(engineHandle(call), as: Context.self, error: error) { context throws(EngineError) in
    try context.deleteProcessingTimeTimer(time)
  }
}

@_cdecl("martlet_register_named_timer")
public func martletRegisterNamedTimer(
  _ call: UnsafePointer<martlet_context>, _ domain: Int32, _ name: UnsafePointer<CChar>?, _ length: Int, _ time: Int64,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(engineHandle(call), as: Context.self, error: error) { context throws(EngineError) in
    guard let domain = TimerDomain(rawValue: domain) else {
      throw EngineError(.invalidArgument, "domain must be MARTLET_EVENT_TIME or MARTLET_PROCESSING_TIME")
    }
    try context.registerTimer(domain, time, name: try nameBytes(name, length))
  }
}

@_cdecl("martlet_delete_named_timer")
public func martletDeleteNamedTimer(
  _ call: UnsafePointer<martlet_context>, _ name: UnsafePointer<CChar>?, _ length: Int,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(engineHandle(call), as: Context.self, error: error) { context throws(EngineError) in
    try context.deleteTimer(name: try nameBytes(name, length))
  }
}

@_cdecl("martlet_named_timer")
public func martletNamedTimer(
  _ call: UnsafePointer<martlet_context>, _ name: UnsafePointer<CChar>?, _ length: Int,
  _ domain: UnsafeMutablePointer<Int32>?, _ time: UnsafeMutablePointer<Int64>?, _ found: UnsafeMutablePointer<Int32>?,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(engineHandle(call), as: Context.self, error: error) { context throws(EngineError) in
    guard let time else { throw missing("time_ms") }
    guard let found else { throw missing("found") }
    let timer = try context.timer(name: try nameBytes(name, length))
    found.pointee = timer == nil ? 0 : 1
    guard let timer else { return }
    domain?.pointee = timer.domain.rawValue
    time.pointee = timer.time
  }
}

private func nameBytes(_ name: UnsafePointer<CChar>?, _ length: Int) throws(EngineError) -> UnsafeBufferPointer<UInt8> {
  guard let name else { throw missing("name") }
  return UnsafeBufferPointer(start: UnsafeRawPointer(name).assumingMemoryBound(to: UInt8.self), count: length)
}

@_cdecl("martlet_timers")
public func martletTimers(
  _ call: UnsafePointer<martlet_context>, _ timers: UnsafeMutablePointer<martlet_timer>?, _ capacity: Int64,
  _ count: UnsafeMutablePointer<Int64>?, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(engineHandle(call), as: Context.self, error: error) { context throws(EngineError) in
    guard let count else { throw missing("count") }
    var found: Int64 = 0
    try context.forEachTimer { domain, time, name in
      if found < capacity, let timers {
        timers[Int(found)] = martlet_timer(domain: domain.rawValue, time_ms: time, name: name)
      }
      found += 1
    }
    count.pointee = found
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
