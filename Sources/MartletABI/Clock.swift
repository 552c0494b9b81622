import CMartlet
import Martlet

// martlet_clock_*: clocks set by hand.

@_cdecl("martlet_clock_create")
public func martletClockCreate(
  _ start: Int64, _ out: UnsafeMutablePointer<OpaquePointer?>?, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let out else { throw missing("out") }
    out.pointee = Handle.new(ManualClock(start))
  }
}

@_cdecl("martlet_clock_free")
public func martletClockFree(_ clock: OpaquePointer?) { Handle.release(clock, as: ManualClock.self) }

@_cdecl("martlet_clock_now")
public func martletClockNow(_ clock: OpaquePointer) -> Int64 { Handle.object(clock, as: ManualClock.self).now() }

@_cdecl("martlet_clock_advance")
public func martletClockAdvance(
  _ clock: OpaquePointer, _ time: Int64, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(clock, as: ManualClock.self, error: error) { clock throws(EngineError) in try clock.advance(to: time) }
}

@_cdecl("martlet_processing_time")
public func martletProcessingTime(_ call: UnsafePointer<martlet_context>) -> Int64 {
  Unmanaged<Context>.fromOpaque(UnsafeRawPointer(engineHandle(call)))._withUnsafeGuaranteedRef { $0.processingTime }
}
