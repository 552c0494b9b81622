/// The snapshot of one operator, wherever it is. Its keys are read one after the other, and only in memory is it held as a whole.
///
/// Flink has the same idea under the same name: a state handle of bytes or of a file.
enum SnapshotHandle {
  case bytes([UInt8])
  /// A file, and what a manifest says of it.
  case file(SnapshotFile, Manifest.File)
  /// The keys are rows of a checkpoint's stores.
  case rows(OpenStores, SnapshotHeader, StoreLayout.Operator)

  var header: SnapshotHeader {
    get throws(EngineError) {
      switch self {
      case .bytes(let bytes): try SnapshotBytesReader(bytes).header
      case .file(let file, _): file.header
      case .rows(_, let header, _): header
      }
    }
  }

  /// The whole snapshot, if it is in memory.
  var bytes: [UInt8]? { if case .bytes(let bytes) = self { bytes } else { nil } }

  /// Its keys, from the first one on.
  func keys() throws(EngineError) -> any SnapshotKeySource {
    switch self {
    case .bytes(let bytes): try SnapshotBytesReader(bytes)
    case .file(let file, _): try file.keys()
    case .rows(let stores, let header, let numbers): try StoredKeySource(stores, header, numbers)
    }
  }

  /// Writes it to a new file, synced. Gives what a manifest says of that.
  func write(to path: String, _ files: any FileSystem) throws(EngineError) -> Manifest.File {
    switch self {
    case .bytes(let bytes):
      try files.write(bytes, to: path)
      return Manifest.File(FilePath.name(path), bytes)
    case .file, .rows:
      var keys = try keys()
      var writer = try SnapshotFileWriter(path, keys.header, files)
      while let key = try keys.next() { try writer.add(key) }
      return try writer.finish()
    }
  }
}

/// Reads a snapshot in memory, which it has to itself.
struct SnapshotBytesReader: SnapshotKeySource {
  private let block: SnapshotBytes
  private var reader: SnapshotReader

  init(_ bytes: [UInt8]) throws(EngineError) {
    block = SnapshotBytes(bytes)
    reader = try SnapshotReader(block.bytes)
  }

  var header: SnapshotHeader { reader.header }

  mutating func next() throws(EngineError) -> SnapshotKey? {
    defer { withExtendedLifetime(block) {} }
    return try reader.next()
  }
}
