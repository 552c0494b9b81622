/// One change that a call made to the timers of its key.
enum TimerChange {
  case registered(UInt32, Int64)
  case deleted(UInt32, Int64, depth: UInt32)
}

// Taking back what a failed call did to the timers. A timer that was deleted and comes back has a later registration
// number, which orders nothing: a key has one timer per time.

extension TimerQueue {
  /// From here on, until `commitCall` or `rollbackCall`, changes can be taken back.
  func beginCall() {
    if journal == nil { journal = [] } else { journal?.removeAll(keepingCapacity: true) }
  }

  func commitCall() { journal?.removeAll(keepingCapacity: true) }

  func rollbackCall() {
    let changes = journal ?? []
    journal = nil
    for change in changes.reversed() {
      switch change {
      case .registered(let slot, let time): delete(slot: slot, time: time)
      case .deleted(let slot, let time, let depth): register(slot: slot, time: time, depth: depth)
      }
    }
  }
}
