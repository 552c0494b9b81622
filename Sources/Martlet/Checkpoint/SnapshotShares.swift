// One operator's keys, in one snapshot or shared out to parallel instances: each instance has those of its key groups, in key order.

/// Puts the snapshots of all instances of an operator together, as one instance with all keys would have written it.
func mergeSnapshots(
  _ shares: [[UInt8]], _ change: (inout SnapshotHeader) -> Void
) throws(EngineError) -> [UInt8] {
  let blocks = shares.map { SnapshotBytes($0) }
  var readers: [SnapshotReader] = []
  for block in blocks { readers.append(try SnapshotReader(block.bytes)) }
  defer { withExtendedLifetime(blocks) {} }
  guard var header = readers.first?.header else {
    throw EngineError(.internalError, "a snapshot of no instances; please report this")
  }
  change(&header)
  var writer = SnapshotWriter(header)
  var heads: [SnapshotKey?] = []
  for index in readers.indices { heads.append(try readers[index].next()) }
  // What broadcast states hold, the entry without a key, is the same everywhere.
  for index in heads.indices where heads[index]?.key.isEmpty ?? false {
    if index == 0, let entry = heads[index] { writer.add(entry) }
    heads[index] = try readers[index].next()
  }
  while true {
    var least: Int?
    for (index, head) in heads.enumerated() {
      guard let head else { continue }
      if let known = least.flatMap({ heads[$0] }), !head.key.lexicographicallyPrecedes(known.key) { continue }
      least = index
    }
    guard let least, let key = heads[least] else { return writer.finish() }
    writer.add(key)
    heads[least] = try readers[least].next()
  }
}

/// Shares the keys of a snapshot out. An instance gets several snapshots where one would have more than `largest` bytes, and always at
/// least one.
func splitSnapshot(
  _ snapshot: [UInt8], instances: Int32, maxParallelism: Int32, largest: Int = 64 << 20
) throws(EngineError) -> [[[UInt8]]] {
  let block = SnapshotBytes(snapshot)
  defer { withExtendedLifetime(block) {} }
  var reader = try SnapshotReader(block.bytes)
  let header = reader.header
  var writers = (0..<instances).map { _ in SnapshotWriter(header) }
  var shares: [[[UInt8]]] = writers.map { _ in [] }
  while let key = try reader.next() {
    guard !key.key.isEmpty else {
      for index in writers.indices { writers[index].add(key) }
      continue
    }
    let group = KeyGroup(
      hash: key.key.withUnsafeBytes { StableHash.hash($0) }, maxParallelism: maxParallelism)
    let index = Int(group.instance(parallelism: instances, maxParallelism: maxParallelism))
    writers[index].add(key)
    if writers[index].byteCount > largest {
      shares[index].append(writers[index].finish())
      writers[index] = SnapshotWriter(header)
    }
  }
  for index in writers.indices { shares[index].append(writers[index].finish()) }
  return shares
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
