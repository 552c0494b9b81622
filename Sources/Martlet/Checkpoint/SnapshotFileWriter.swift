/// Writes the snapshot of one operator to a file, of which a block is in memory: the same bytes as a `SnapshotWriter` gives.
///
/// The head says how long the snapshot is and how many keys it has, which is known at the end only. The two numbers are put in then, and the
/// file is read once more for its checksum, which is over them too.
struct SnapshotFileWriter {
  private let path: String
  private let files: any FileSystem
  private let file: any OpenFile
  private var writer: SnapshotWriter
  /// Bytes in the file.
  private var written: Int64 = 0

  private static let blockSize = 1 << 20

  /// Makes the file, which does not exist yet.
  init(_ path: String, _ header: SnapshotHeader, _ files: any FileSystem) throws(EngineError) {
    (self.path, self.files) = (path, files)
    file = try files.open(path, .create)
    writer = SnapshotWriter(header)
  }

  mutating func add(_ key: SnapshotKey) throws(EngineError) {
    writer.add(key)
    if writer.byteCount >= SnapshotFileWriter.blockSize { try flush() }
  }

  private mutating func flush() throws(EngineError) {
    let block = writer.take()
    try file.write(block)
    written += Int64(block.count)
  }

  /// Completes and syncs the file. Gives what a manifest says of it.
  mutating func finish() throws(EngineError) -> Manifest.File {
    try flush()
    let byteCount = UInt64(written) + UInt64(SnapshotFormat.checksumSize)
    try file.overwrite(at: Int64(writer.keyCountAt), with: SnapshotFileWriter.bytes(writer.keyCount))
    try file.overwrite(at: Int64(SnapshotFormat.lengthAt), with: SnapshotFileWriter.bytes(byteCount))
    var hash = try StoreFiles.hash(files.open(path, .read), 0..<written)
    let checksum = SnapshotFileWriter.bytes(hash.finish())
    try file.write(checksum)
    try file.sync()
    try file.close()
    checksum.withUnsafeBytes { hash.update($0) }
    return Manifest.File(name: FilePath.name(path), byteCount: byteCount, checksum: hash.finish())
  }

  private static func bytes(_ number: UInt64) -> [UInt8] { withUnsafeBytes(of: number.littleEndian) { Array($0) } }
}
