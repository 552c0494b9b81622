/// What a snapshot holds for states that the function no longer declares: kept as it is and written again, so that a state that was
/// taken out by mistake, or for a while, is not lost.
struct KeptStates {
  private(set) var descriptors: [StateDescriptor] = []
  /// By canonical key bytes: the number of the state in `descriptors`, and its entries.
  private var entries: [[UInt8]: [(state: Int, bytes: [UInt8])]] = [:]

  /// The number under which entries of the state are added.
  mutating func add(_ descriptor: StateDescriptor) -> Int {
    descriptors.append(descriptor)
    return descriptors.count - 1
  }

  mutating func add(_ bytes: [UInt8], state: Int, of key: [UInt8]) { entries[key, default: []].append((state, bytes)) }

  /// Adds what another part of the same snapshot gave.
  mutating func merge(_ other: KeptStates) {
    if descriptors.isEmpty { descriptors = other.descriptors }
    for (key, kept) in other.entries { entries[key, default: []] += kept }
  }

  func entries(of key: [UInt8]) -> [(state: Int, bytes: [UInt8])] { entries[key] ?? [] }

  /// The keys that have kept entries, in order.
  var keys: [[UInt8]] { entries.keys.sorted { $0.lexicographicallyPrecedes($1) } }
}
