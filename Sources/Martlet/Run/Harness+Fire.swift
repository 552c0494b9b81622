import CMartlet

// Timers that were registered behind the present time, fired without waiting for it to move.

extension Harness {
  /// Fires the timers that are due at the watermark and by the clock as they are. A timer registered at or behind the watermark waits for the
  /// next advance otherwise: what drives a function from outside, and keeps its timers itself, does not move time to have one fired.
  ///
  /// `watermark`: what event-time timers see as the watermark, where that is behind the present one. Who drives many keys is told of a timer
  /// when other keys are further on already.
  public func fireDue(seeing watermark: Int64 = EventTime.max) throws {
    try requireInput()
    guard case .open = phase else { return }
    try running {
      _ = try process.tick()
      try process.fireDue(seeing: watermark)
    }
  }
}

extension ProcessOperator {
  /// Fires the event-time timers that are due at the watermark.
  func fireDue(seeing shown: Int64) throws {
    let watermark = context.raw.pointee.watermark
    guard let parts, parts.timers.event.mayBeDue(at: watermark) else { return }
    parts.timers.event.advance(to: watermark)
    guard parts.timers.event.isDue(at: watermark) else { return }
    context.raw.pointee.watermark = min(shown, watermark)
    defer { context.raw.pointee.watermark = watermark }
    try enclosed(nil) { try fireTimers(parts, .event, at: watermark) }
    parts.states.sweep(afterRows: 0)
    parts.keys.reclaim()
  }
}
