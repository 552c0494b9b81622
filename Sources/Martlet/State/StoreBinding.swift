/// Which store keeps the state of one operator instance, and where in it.
package struct StoreBinding {
  package let store: any KeyValueStore
  /// The family of states, and that of timers.
  package var states: StoreFamily
  package var timers: StoreFamily
  /// The operator's number: what all its rows begin with.
  package var operatorNumber: UInt16
  /// Under which number each declared state is kept. Numbers are never used again for another state; what is kept under a number that is
  /// not here stays as it is, and is written again with the rest of its key.
  package var stateNumbers: [UInt16]
  /// Numbers of states that need not be kept.
  package var forgotten: Set<UInt16> = []
  /// The keys that belong to this instance.
  package var groups: KeyGroupRange
  /// Whether this instance writes the broadcast states, which all instances read.
  package var writesBroadcast = true
  /// Bytes that keys, states and timers may take in memory, about. What is dirty stays whatever the limit.
  package var memoryLimit: Int
  /// A list or map of more than so many elements or entries has rows of its own.
  package var largeAbove = 256
  /// Elements of a list in one row; the same as long as there is the store.
  package var listChunk = 512
  /// The numbers of states that are kept although the function does not declare them, by name.
  package var kept: [String: UInt16] = [:]

  package init(
    _ store: any KeyValueStore, states: StoreFamily, timers: StoreFamily, operatorNumber: UInt16,
    stateNumbers: [UInt16], groups: KeyGroupRange, memoryLimit: Int
  ) {
    self.store = store
    self.states = states
    self.timers = timers
    self.operatorNumber = operatorNumber
    self.stateNumbers = stateNumbers
    self.groups = groups
    self.memoryLimit = memoryLimit
  }
}

/// The keys of rows. They are drawn in `docs/design/store.md`.
///
/// ```
/// operator (2) | key group (2) | canonical key                                      timers of the key
/// operator (2) | key group (2) | canonical key | 00                                 states of the key
/// operator (2) | key group (2) | canonical key | 01 | state (2) | entry key         one entry of a large map
/// operator (2) | key group (2) | canonical key | 01 | state (2) | chunk (8)         some elements of a large list
/// ```
///
/// Numbers are big-endian. No canonical key is the beginning of another, so the rows of one key are a range of their own without an
/// end mark. Broadcast states are those of the key without bytes in the group FFFF, which no key has.
struct StoreKeys {
  static let record: UInt8 = 0
  static let entries: UInt8 = 1
  static let broadcastGroup: UInt16 = 0xFFFF
  static let headSize = 4

  let operatorNumber: UInt16
  let maxParallelism: Int32

  init(_ binding: StoreBinding) {
    operatorNumber = binding.operatorNumber
    maxParallelism = binding.groups.maxParallelism
  }

  /// Puts what all rows of the key of `slot` begin with, which is in this group, in the place of `bytes`.
  func begin(_ slot: UInt32, _ keys: KeySpace, group: UInt16, _ bytes: inout [UInt8]) {
    bytes.removeAll(keepingCapacity: true)
    StoreKeys.append(operatorNumber, to: &bytes)
    StoreKeys.append(group, to: &bytes)
    keys.appendCanonicalBytes(of: slot, to: &bytes)
  }

  /// The size of the key of a row of states whose key is an integer.
  static let plainKeySize = headSize + 11

  /// Writes the key of the row of states of a key that is an integer.
  @inline(__always)
  func writePlain(_ key: (bits: Int64, isNegative: Bool), group: UInt16, to place: UnsafeMutableRawPointer) {
    place.storeBytes(of: operatorNumber.bigEndian, as: UInt16.self)
    place.storeBytes(of: group.bigEndian, toByteOffset: 2, as: UInt16.self)
    place.storeBytes(of: KeyEncoding.Tag.integer, toByteOffset: 4, as: UInt8.self)
    place.storeBytes(of: key.isNegative ? 0 : 1, toByteOffset: 5, as: UInt8.self)
    place.storeBytes(of: key.bits.bigEndian, toByteOffset: 6, as: Int64.self)
    place.storeBytes(of: StoreKeys.record, toByteOffset: 14, as: UInt8.self)
  }

  /// The same for broadcast states.
  func beginBroadcast(_ bytes: inout [UInt8]) {
    bytes.removeAll(keepingCapacity: true)
    StoreKeys.append(operatorNumber, to: &bytes)
    StoreKeys.append(StoreKeys.broadcastGroup, to: &bytes)
  }

  /// What all rows of a key group begin with.
  func group(_ group: Int32) -> [UInt8] {
    var bytes: [UInt8] = []
    StoreKeys.append(operatorNumber, to: &bytes)
    StoreKeys.append(UInt16(truncatingIfNeeded: group), to: &bytes)
    return bytes
  }

  static func append<Value: FixedWidthInteger>(_ value: Value, to bytes: inout [UInt8]) {
    withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
  }
}
