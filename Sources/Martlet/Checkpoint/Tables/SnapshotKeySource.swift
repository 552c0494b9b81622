/// The keys of one operator in the order of their canonical bytes, from whatever form of a checkpoint.
protocol SnapshotKeySource {
  var header: SnapshotHeader { get }
  /// The next key, nil after the last one; the first may be that of the broadcast states, which has no bytes.
  mutating func next() throws(EngineError) -> SnapshotKey?
}

/// A snapshot in memory.
struct PortableKeySource: SnapshotKeySource {
  private let block: SnapshotBytes
  private var reader: SnapshotReader
  var header: SnapshotHeader { reader.header }

  init(_ block: SnapshotBytes) throws(EngineError) {
    self.block = block
    reader = try SnapshotReader(block.bytes)
  }

  mutating func next() throws(EngineError) -> SnapshotKey? { try reader.next() }
}
