// One operator's keys, in one snapshot or shared out to parallel instances: each instance has those of its key groups, in key order.

/// Puts the snapshots of all instances of an operator together, as one instance with all keys would have written it.
func mergeSnapshots(
  _ shares: [any SnapshotKeySource], to target: SnapshotTarget, _ change: (inout SnapshotHeader) -> Void
) throws(EngineError) -> SnapshotHandle {
  guard var header = shares.first?.header else {
    throw EngineError(.internalError, "a snapshot of no instances; please report this")
  }
  change(&header)
  return try target.write(header) { add throws(EngineError) in
    var shares = shares
    var heads: [SnapshotKey?] = []
    for index in shares.indices { heads.append(try shares[index].next()) }
    // What broadcast states hold, the entry without a key, is the same everywhere.
    for index in heads.indices where heads[index]?.key.isEmpty ?? false {
      if index == 0, let entry = heads[index] { try add(entry) }
      heads[index] = try shares[index].next()
    }
    while true {
      var least: Int?
      for (index, head) in heads.enumerated() {
        guard let head else { continue }
        if let known = least.flatMap({ heads[$0] }), !head.key.lexicographicallyPrecedes(known.key) { continue }
        least = index
      }
      guard let least, let key = heads[least] else { return }
      try add(key)
      heads[least] = try shares[least].next()
    }
  }
}

/// Shares the keys of a snapshot out: gives parts, each a snapshot, to instances by their numbers. An instance gets another part whenever
/// it would have more than `largest` bytes, and always at least one.
func splitSnapshot(
  _ keys: any SnapshotKeySource, instances: Int32, maxParallelism: Int32, largest: Int,
  _ give: (_ instance: Int, _ part: [UInt8]) throws -> Void
) throws {
  var keys = keys
  let header = keys.header
  var writers = (0..<instances).map { _ in SnapshotWriter(header) }
  while let key = try keys.next() {
    guard !key.key.isEmpty else {
      for index in writers.indices { writers[index].add(key) }
      continue
    }
    let group = KeyGroup(
      hash: key.key.withUnsafeBytes { StableHash.hash($0) }, maxParallelism: maxParallelism)
    let index = Int(group.instance(parallelism: instances, maxParallelism: maxParallelism))
    writers[index].add(key)
    if writers[index].byteCount > largest {
      try give(index, writers[index].finish())
      writers[index] = SnapshotWriter(header)
    }
  }
  for index in writers.indices { try give(index, writers[index].finish()) }
}

/// Bytes that stay where they are while a reader looks at them.
final class SnapshotBytes {
  private let memory: UnsafeMutableRawBufferPointer
  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(memory) }

  init(_ bytes: [UInt8]) {
    memory = .allocate(byteCount: bytes.count, alignment: 8)
    bytes.withUnsafeBytes { memory.copyMemory(from: $0) }
  }

  deinit { memory.deallocate() }
}
