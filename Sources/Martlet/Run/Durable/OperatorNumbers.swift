/// Under which numbers an operator and its states are kept in a store, and how much of them an instance may have in memory.
struct OperatorNumbers: Equatable, Sendable {
  var number: UInt16
  /// Of each declared state.
  var states: [UInt16]
  /// Of states that need not be kept.
  var forgotten: Set<UInt16> = []
  /// Of states that are kept although the function does not declare them, by name.
  var kept: [String: UInt16] = [:]
  /// Bytes of one instance, about.
  var memoryLimit: Int
  /// As in `StoreBinding`.
  var largeAbove = 256
  var listChunk = 512
}

extension ProcessStore {
  /// What ties an instance to this store: one that has all key groups of it, or of several those that `mine` are.
  func binding(_ numbers: OperatorNumbers, _ mine: KeyGroupRange? = nil, writesBroadcast: Bool = true) -> StoreBinding {
    let part = StoredPart(store, mine ?? groups)
    var binding = StoreBinding(
      store, states: part.states, timers: part.timers, operatorNumber: numbers.number, stateNumbers: numbers.states,
      groups: part.groups, memoryLimit: numbers.memoryLimit)
    binding.forgotten = numbers.forgotten
    binding.kept = numbers.kept
    binding.largeAbove = numbers.largeAbove
    binding.listChunk = numbers.listChunk
    binding.writesBroadcast = writesBroadcast
    return binding
  }
}
