import CMartlet

/// The one slot that broadcast states have, whatever the current key.
enum BroadcastSlot {
  static let slot: UInt32 = 0

  /// Slots of which one is there and never goes.
  static func allocator() -> SlotAllocator {
    let slots = SlotAllocator(holdsBytes: false)
    _ = slots.allocate()
    slots.live[Int(slot)] = 1
    return slots
  }

  static var writingSide: Int32 { Int32(MARTLET_RIGHT.rawValue) }

  static func readOnly(_ name: String) -> EngineError {
    EngineError(
      .stateAccess,
      "broadcast state '\(name)' can only be written in on_broadcast; here it is read-only, since every parallel instance must hold the "
        + "same")
  }

  /// Why there is no current key in a callback of a broadcast; empty elsewhere.
  static func whyNoKey(_ call: UnsafePointer<martlet_context>) -> String {
    switch call.pointee.side {
    case writingSide:
      ". No key set. This method should not be called outside of a keyed context: on_broadcast has no key; "
        + "ctx.apply_to_keyed_state visits what keys hold"
    case Int32(MARTLET_LEFT.rawValue): ". The main stream has no key: key it by a column to have keyed state and timers"
    default: ""
    }
  }
}
