@testable import Martlet

extension Checkpoint {
  /// The snapshots of its operators, in memory, wherever the checkpoint has them.
  func snapshots() throws -> [[UInt8]] {
    try operators.map { handle in
      if let bytes = handle.bytes { return bytes }
      var keys = try handle.keys()
      var writer = SnapshotWriter(keys.header)
      while let key = try keys.next() { writer.add(key) }
      return writer.finish()
    }
  }
}
