/// The files of a store's copy in a checkpoint, for its manifest.
enum StoreFiles {
  /// The copy of the same store in the checkpoint before, and what its manifest says of it.
  struct Previous {
    var folder: String
    var files: [Manifest.File]
  }

  private static let blockSize = 1 << 20

  /// Every file of the folder, by name, with its hash. Those that are one with a file of the copy before, by name, length and inode, are
  /// not read again: most of a store does not change between two checkpoints.
  static func list(_ folder: String, since previous: Previous?, _ files: any FileSystem) throws(EngineError)
    -> [Manifest.File]
  {
    let known = Dictionary(
      (previous?.files ?? []).map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    var found: [Manifest.File] = []
    for name in try files.list(folder) {
      let path = FilePath.join(folder, name)
      guard let info = try files.info(path) else { throw FilePath.missing(path) }
      if let previous, let same = known[name], same.byteCount == UInt64(info.size), info.inode != 0,
        try files.info(FilePath.join(previous.folder, name))?.inode == info.inode
      {
        found.append(same)
      } else {
        found.append(
          Manifest.File(name: name, byteCount: UInt64(info.size), checksum: try hash(path, files)))
      }
    }
    return found
  }

  /// XXH64 of a whole file.
  static func hash(_ path: String, _ files: any FileSystem) throws(EngineError) -> UInt64 {
    try hash(files.open(path, .read), 0..<Int64.max).finish()
  }

  /// XXH64 of a part of a file, after what was hashed `before`, to be gone on with. It may end before the part does.
  static func hash(
    _ file: any OpenFile, _ part: Range<Int64>, after before: StableHashStream = StableHashStream()
  ) throws(EngineError) -> StableHashStream {
    let block = UnsafeMutableRawBufferPointer.allocate(byteCount: blockSize, alignment: 16)
    defer { block.deallocate() }
    var hash = before
    var offset = part.lowerBound
    while offset < part.upperBound {
      let room = min(blockSize, Int(clamping: part.upperBound - offset))
      let count = try file.read(at: offset, into: UnsafeMutableRawBufferPointer(rebasing: block[..<room]))
      if count == 0 { break }
      hash.update(UnsafeRawBufferPointer(rebasing: block[..<count]))
      offset += Int64(count)
    }
    return hash
  }
}
