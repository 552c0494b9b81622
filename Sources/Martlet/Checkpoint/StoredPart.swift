/// A store, or the copy of one in a checkpoint, and the key groups whose rows are in it. What several processes had is several parts.
struct StoredPart {
  let store: any KeyValueStore
  /// The family of states, and that of timers.
  let states: StoreFamily
  let timers: StoreFamily
  let groups: KeyGroupRange

  /// What a row of either family begins with that belongs to a key of the group, or to the broadcast states.
  static func head(_ operatorNumber: UInt16, group: UInt16) -> [UInt8] {
    var bytes: [UInt8] = []
    StoreKeys.append(operatorNumber, to: &bytes)
    StoreKeys.append(group, to: &bytes)
    return bytes
  }
}

extension StoredPart {
  /// The families that every store of a job has.
  static let families = ["states", "timers"]

  /// Of a store with those families.
  init(_ store: any KeyValueStore, _ groups: KeyGroupRange) {
    self.init(store: store, states: StoreFamily(0), timers: StoreFamily(1), groups: groups)
  }
}
