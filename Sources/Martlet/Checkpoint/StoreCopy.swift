/// Brings the rows of some key groups from the stores of a checkpoint into another store: how state goes over when a job has other
/// processes than before. The rows stay as they are, since a key's group is part of their keys, so they are copied in ranges.
struct StoreCopy {
  /// What the checkpoint has: every key group is in one of the parts, and the broadcast states in the first.
  let sources: [StoredPart]
  /// The numbers of the operators that go over; what the stores have of others stays behind.
  let operators: [UInt16]
  /// So many bytes are written at a time, and a row more.
  var batchBytes = 4 << 20

  /// How much was copied.
  struct Amount: Equatable {
    var rows = 0
    var bytes = 0
  }

  /// Adds the rows of the target's groups, and the broadcast states, to what its store has: it should have none of them. After an error it
  /// has some, and must be made anew. Errors name both stores; `.storageCorrupt` where a group is in no part.
  @discardableResult
  func fill(_ target: StoredPart) throws(EngineError) -> Amount {
    try checkGroups(of: target)
    var amount = Amount()
    let batch = WriteBatch(capacity: batchBytes + batchBytes / 4)
    for number in operators {
      for source in sources {
        let groups = source.groups.groups.clamped(to: target.groups.groups)
        guard !groups.isEmpty else { continue }
        let range = KeyRange(
          StoredPart.head(number, group: UInt16(groups.lowerBound)),
          upTo: StoredPart.head(number, group: UInt16(groups.upperBound)))
        try copy(range, source, target, batch, &amount)
      }
      if let first = sources.first {
        let head = StoredPart.head(number, group: StoreKeys.broadcastGroup)
        try copy(.prefix(head), first, target, batch, &amount)
      }
    }
    try write(batch, target)
    return amount
  }

  private func copy(
    _ range: KeyRange, _ source: StoredPart, _ target: StoredPart, _ batch: WriteBatch, _ amount: inout Amount
  ) throws(EngineError) {
    for (from, to) in [(source.states, target.states), (source.timers, target.timers)] {
      do throws(EngineError) {
        let cursor = try source.store.cursor(from, range)
        defer { cursor.close() }
        while try cursor.next() {
          try batch.put(cursor.key, cursor.value, in: to)
          amount.rows += 1
          amount.bytes += cursor.key.count + cursor.value.count
          if batch.size >= batchBytes { try write(batch, target) }
        }
      } catch {
        throw StoreCopy.located(error, from: source, to: target)
      }
    }
  }

  /// Removes the rows of all operators but these: of those that the job has no more. (FFFF is no operator's number.)
  static func removeAll(but kept: [UInt16], from target: StoredPart) throws(EngineError) {
    let batch = WriteBatch()
    var lower: [UInt8] = []
    // What lies between one kept operator and the next.
    for number in kept.sorted() {
      var head: [UInt8] = []
      StoreKeys.append(number, to: &head)
      try remove(KeyRange(lower, upTo: head), from: target, batch)
      lower = KeyRange.successor(ofPrefix: head) ?? [0xFF, 0xFF, 0xFF]
    }
    try remove(KeyRange(lower, upTo: [0xFF, 0xFF, 0xFF]), from: target, batch)
    if !batch.isEmpty { try target.store.write(batch, .process) }
  }

  private static func remove(_ range: KeyRange, from target: StoredPart, _ batch: WriteBatch) throws(EngineError) {
    for family in [target.states, target.timers] {
      // A removal that removes nothing would cost every later read.
      let cursor = try target.store.cursor(family, range)
      defer { cursor.close() }
      if try cursor.next() { try batch.remove(range, in: family) }
    }
  }

  private func write(_ batch: WriteBatch, _ target: StoredPart) throws(EngineError) {
    if !batch.isEmpty { try target.store.write(batch, .process) }
    batch.removeAll()
  }

  private func checkGroups(of target: StoredPart) throws(EngineError) {
    for source in sources where source.groups.maxParallelism != target.groups.maxParallelism {
      throw EngineError(
        .snapshotMismatch,
        "max_parallelism is \(target.groups.maxParallelism) and was \(source.groups.maxParallelism) for the store at "
          + "'\(source.store.path)'; it decides where a key lives, so set it as it was")
    }
    for group in target.groups.groups where !sources.contains(where: { $0.groups.groups.contains(group) }) {
      throw EngineError(
        .storageCorrupt,
        "none of the checkpoint's \(sources.count) stores has key group \(group) of \(target.groups.maxParallelism); restore from "
          + "another checkpoint")
    }
  }

  private static func located(_ error: EngineError, from source: StoredPart, to target: StoredPart) -> EngineError {
    var error = error
    error.message = "while state was copied from '\(source.store.path)' to '\(target.store.path)': \(error.message)"
    return error
  }
}
