/// Which entries of large maps changed since the last flush, so that a flush writes these and no others.
///
/// Only maps that have rows of their own in the store are followed: a smaller one is written as a whole. Keys are as the tables
/// hold them.
final class MapChanges {
  private struct Followed {
    /// The rows in the store have to go, and every entry is to be written.
    var isReplaced = false
    /// The keys of changed entries; one that is not in the map was removed.
    var keys = OrderedTable()
  }

  private let flags: SlotFlags
  private let layout: TableLayout
  @exclusivity(unchecked) private var slots: [UInt32: Followed] = [:]

  init(_ flags: SlotFlags, _ keyType: StateType) {
    self.flags = flags
    layout = TableLayout(keys: CellForm(keyType), values: CellForm(.typed(.int64)), isTimed: false)
  }

  deinit { for slot in Array(slots.keys) { unfollow(slot) } }

  func isFollowing(_ slot: UInt32) -> Bool { slots[slot] != nil }

  /// From here on the map has rows of its own, which are as the map is now.
  func follow(_ slot: UInt32) {
    unfollow(slot)
    slots[slot] = Followed()
  }

  func unfollow(_ slot: UInt32) {
    guard var old = slots.removeValue(forKey: slot) else { return }
    layout.removeAll(&old.keys)
  }

  @inline(__always)
  func note(_ slot: UInt32, _ key: StateCell) {
    if flags.has(slot, SlotFlags.large) { noteFollowed(slot, key) }
  }

  private func noteFollowed(_ slot: UInt32, _ key: StateCell) {
    guard let index = slots.index(forKey: slot), !slots.values[index].isReplaced else { return }
    let (position, isNew) = layout.findOrInsert(&slots.values[index].keys, key)
    if isNew { layout.values.initialize(layout.value(position.node, position.index), StateCell(word: 0)) }
  }

  /// Every entry may have changed.
  func noteAll(_ slot: UInt32) {
    guard let index = slots.index(forKey: slot) else { return }
    layout.removeAll(&slots.values[index].keys)
    slots.values[index].isReplaced = true
  }

  func isReplaced(_ slot: UInt32) -> Bool { slots[slot]?.isReplaced ?? false }

  /// The keys of changed entries, in order.
  func forEach(_ slot: UInt32, _ body: (StateCell) throws(EngineError) -> Void) throws(EngineError) {
    guard let followed = slots[slot] else { return }
    try layout.scan(followed.keys) { position throws(EngineError) -> Bool in
      try body(layout.keys.load(layout.key(position.node, position.index)))
      return true
    }
  }
}
