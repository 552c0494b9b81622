/// Where a snapshot is written.
enum SnapshotTarget: Sendable {
  case memory
  /// A new file of that path.
  case file(String, any FileSystem)

  /// Writes a snapshot with what `body` adds, which comes in the order of the keys' canonical bytes.
  func write(
    _ header: SnapshotHeader,
    _ body: (_ add: (SnapshotKey) throws(EngineError) -> Void) throws(EngineError) -> Void = {
      (_: (SnapshotKey) throws(EngineError) -> Void) throws(EngineError) in
    }
  ) throws(EngineError) -> SnapshotHandle {
    switch self {
    case .memory:
      var writer = SnapshotWriter(header)
      try body { (key) throws(EngineError) in writer.add(key) }
      return .bytes(writer.finish())
    case .file(let path, let files):
      var writer = try SnapshotFileWriter(path, header, files)
      try body { (key) throws(EngineError) in try writer.add(key) }
      let written = try writer.finish()
      return .file(try SnapshotFile(path, files), written)
    }
  }
}
