/// The keys of one operator in the order of their canonical bytes, from whatever form of a checkpoint.
protocol SnapshotKeySource {
  var header: SnapshotHeader { get }
  /// The next key, nil after the last one; the first may be that of the broadcast states, which has no bytes.
  mutating func next() throws(EngineError) -> SnapshotKey?
}

extension SnapshotReader: SnapshotKeySource {}
