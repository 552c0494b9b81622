/// The file that a copy of a `MemoryStore` is: `memory-store` in the folder of the copy.
///
/// ```
/// "MTMEMKV" 0 (8) | version (4) | families (4)
/// for each family, by number: name (text) | entries (8), and for each, ascending: key (short) | value (long)
/// XXH64 of all before (8)
/// ```
///
/// Numbers are little-endian; texts, shorts and longs as in `ByteWriter`.
enum MemoryStoreFile {
  static let name = "memory-store"
  private static let magic = Array("MTMEMKV\0".utf8)
  private static let version: UInt32 = 1

  /// Makes the new folder and the file in it, durably; both appear at once.
  static func write(_ content: [(name: String, table: MemoryTable)], to path: String, _ fileSystem: any FileSystem)
    throws(EngineError)
  {
    var writer = ByteWriter(bytes: magic)
    writer.integer(version)
    writer.integer(UInt32(content.count))
    for (name, table) in content {
      writer.text(name)
      writer.integer(UInt64(table.count))
      for index in 0..<table.count {
        writer.short(table.keyBytes(index))
        writer.long(table.valueBytes(index))
      }
    }
    writer.integer(writer.bytes.withUnsafeBytes { StableHash.hash($0) })

    if try fileSystem.info(path) != nil {
      throw EngineError(
        .invalidArgument, "cannot copy a store to '\(path)': there is something already; choose a new name")
    }
    let fresh = path + ".new"
    try fileSystem.removeTree(fresh)
    try FaultPoint.storeBeforeCopy.reach()
    try fileSystem.makeDirectory(fresh)
    try fileSystem.write(writer.bytes, to: FilePath.join(fresh, name))
    try fileSystem.syncDirectory(fresh)
    try fileSystem.rename(fresh, to: path)
    try FaultPoint.storeAfterCopy.reach()
    try fileSystem.syncDirectory(FilePath.parent(path))
  }

  /// What the folder holds; nil if there is no such file.
  static func read(_ path: String, _ fileSystem: any FileSystem) throws(EngineError) -> [(
    name: String, table: MemoryTable
  )]? {
    let file = FilePath.join(path, name)
    guard try fileSystem.info(file) != nil else { return nil }
    let bytes = try fileSystem.contents(file)
    var content: [(name: String, table: MemoryTable)]?
    bytes.withUnsafeBytes { buffer in
      if buffer.count >= magic.count + 8,
        StableHash.hash(UnsafeRawBufferPointer(rebasing: buffer.dropLast(8)))
          == UInt64(littleEndian: buffer.loadUnaligned(fromByteOffset: buffer.count - 8, as: UInt64.self))
      {
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: buffer.dropLast(8)))
        content = try? parse(&reader)
      }
    }
    guard let content else {
      throw EngineError(
        .storageCorrupt, "the copy of a store in '\(file)' (\(bytes.count) bytes) is damaged; restore from another one")
    }
    return content
  }

  private static func parse(_ reader: inout ByteReader) throws(ByteReader.Malformed) -> [(
    name: String, table: MemoryTable
  )] {
    guard try reader.take(magic.count).elementsEqual(magic), try reader.integer(UInt32.self) == version else {
      throw ByteReader.Malformed()
    }
    var content: [(name: String, table: MemoryTable)] = []
    for _ in 0..<(try reader.integer(UInt32.self)) {
      let name = try reader.text()
      var table = MemoryTable()
      for _ in 0..<(try reader.integer(UInt64.self)) {
        guard table.append(try reader.short(), try reader.long()) else { throw ByteReader.Malformed() }
      }
      content.append((name, table))
    }
    guard reader.isAtEnd else { throw ByteReader.Malformed() }
    return content
  }
}
