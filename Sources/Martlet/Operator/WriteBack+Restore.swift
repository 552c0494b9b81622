// State that comes from elsewhere than the store: from a snapshot.

extension WriteBack {
  /// A slot that was filled, of about so many bytes. It is to be flushed whether or not the store has something of its key.
  func adopt(_ slot: UInt32, bytes: Int) {
    flags.reserve(keys.slots.capacity)
    flags.set(slot, SlotFlags.loaded | SlotFlags.stored | SlotFlags.recent)
    flags.markDirty(slot)
    heapBytes += bytes
  }

  /// The same of broadcast states.
  func adoptBroadcast() { broadcastFlags.markDirty(BroadcastSlot.slot) }

  /// What a state that the function does not declare holds for a key, or, without a slot, for the broadcast states.
  func keep(_ entries: [UInt8], _ number: UInt16, _ slot: UInt32?) throws(EngineError) {
    let keeper = slot == nil ? broadcastFlags : flags
    try StateRow.append(entries, number, to: &keeper.otherStates[slot ?? BroadcastSlot.slot, default: []])
  }
}
