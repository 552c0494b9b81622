/// The table of contents of a checkpoint, its last file to be written: a folder without one is no checkpoint.
struct Manifest: Equatable {
  struct File: Equatable {
    var name: String
    var byteCount: UInt64
    /// XXH64 of the whole file, seed 0.
    var checksum: UInt64

    init(name: String, byteCount: UInt64, checksum: UInt64) {
      (self.name, self.byteCount, self.checksum) = (name, byteCount, checksum)
    }

    init(_ name: String, _ bytes: [UInt8]) {
      self.init(
        name: name, byteCount: UInt64(bytes.count), checksum: bytes.withUnsafeBytes { StableHash.hash($0) })
    }
  }

  static let fileName = "manifest"
  static let jobFile = "job.state"
  private static let file = CheckedBytes(magic: Array("MRTLTCKP".utf8), version: 1)

  /// The number of the checkpoint, from 1.
  var id: Int64
  /// When it was taken, in milliseconds since the epoch.
  var time: Int64
  var jobName: String
  /// The sources whose records after the checkpoint cannot be read again.
  var notReplayable: [String]
  var files: [File]

  func encoded() -> [UInt8] {
    Manifest.file.write { writer in
      writer.integer(id)
      writer.integer(time)
      writer.text(jobName)
      writer.integer(UInt32(notReplayable.count))
      for name in notReplayable { writer.text(name) }
      writer.integer(UInt32(files.count))
      for file in files {
        writer.text(file.name)
        writer.integer(file.byteCount)
        writer.integer(file.checksum)
      }
    }
  }

  init(id: Int64, time: Int64, jobName: String, notReplayable: [String], files: [File]) {
    (self.id, self.time, self.jobName) = (id, time, jobName)
    (self.notReplayable, self.files) = (notReplayable, files)
  }

  init(decoding bytes: [UInt8], _ path: String) throws(EngineError) {
    self = try Manifest.file.read(bytes, path) { reader in
      var manifest = Manifest(
        id: try reader.integer(Int64.self), time: try reader.integer(Int64.self), jobName: try reader.text(),
        notReplayable: [], files: [])
      for _ in 0..<(try reader.integer(UInt32.self)) { manifest.notReplayable.append(try reader.text()) }
      for _ in 0..<(try reader.integer(UInt32.self)) {
        let name = try reader.text()
        // A name leads nowhere but into the folder.
        guard !name.isEmpty, !name.utf8.contains(UInt8(ascii: "/")), name != ".", name != ".." else {
          throw ByteReader.Malformed()
        }
        manifest.files.append(
          File(name: name, byteCount: try reader.integer(UInt64.self), checksum: try reader.integer(UInt64.self)))
      }
      return manifest
    }
  }
}
