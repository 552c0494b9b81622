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
  private static let file = CheckedBytes(magic: Array("MRTLTCKP".utf8), version: 2)

  /// The copy of the store of one process: a folder `store-<process>` with these files.
  struct Store: Equatable {
    /// 0: that of the job itself.
    var process: UInt32
    /// The name of its backend.
    var backend: String
    /// The key groups whose rows it has.
    var groups: Range<Int32>
    var files: [File]

    var folder: String { Manifest.storeFolder(process) }
  }

  static func storeFolder(_ process: UInt32) -> String { "store-\(process)" }

  /// The number of the checkpoint, from 1.
  var id: Int64
  /// When it was taken, in milliseconds since the epoch.
  var time: Int64
  var jobName: String
  /// The sources whose records after the checkpoint cannot be read again.
  var notReplayable: [String]
  var files: [File]
  /// Where operators keep their states, if they keep them in stores. Since version 2.
  var stores: [Store] = []
  /// The version of the engine that wrote it. Since version 2.
  var engine = EngineVersion.text

  func encoded() -> [UInt8] {
    Manifest.file.write { writer in
      writer.integer(id)
      writer.integer(time)
      writer.text(jobName)
      writer.integer(UInt32(notReplayable.count))
      for name in notReplayable { writer.text(name) }
      writer.manifestFiles(files)
      writer.text(engine)
      writer.integer(UInt32(stores.count))
      for store in stores {
        writer.integer(store.process)
        writer.text(store.backend)
        writer.integer(store.groups.lowerBound)
        writer.integer(store.groups.upperBound)
        writer.manifestFiles(store.files)
      }
    }
  }

  init(
    id: Int64, time: Int64, jobName: String, notReplayable: [String], files: [File], stores: [Store] = []
  ) {
    (self.id, self.time, self.jobName) = (id, time, jobName)
    (self.notReplayable, self.files, self.stores) = (notReplayable, files, stores)
  }

  init(decoding bytes: [UInt8], _ path: String) throws(EngineError) {
    self = try Manifest.file.read(bytes, path) { reader, version in
      var manifest = Manifest(
        id: try reader.integer(Int64.self), time: try reader.integer(Int64.self), jobName: try reader.text(),
        notReplayable: [], files: [])
      for _ in 0..<(try reader.integer(UInt32.self)) { manifest.notReplayable.append(try reader.text()) }
      manifest.files = try reader.manifestFiles()
      manifest.engine = version >= 2 ? try reader.text() : "0.1"
      guard version >= 2 else { return manifest }
      for _ in 0..<(try reader.integer(UInt32.self)) { manifest.stores.append(try reader.store()) }
      return manifest
    }
  }
}

extension ByteWriter {
  mutating func manifestFiles(_ files: [Manifest.File]) {
    integer(UInt32(files.count))
    for file in files {
      text(file.name)
      integer(file.byteCount)
      integer(file.checksum)
    }
  }
}

extension ByteReader {
  mutating func manifestFiles() throws(Malformed) -> [Manifest.File] {
    var files: [Manifest.File] = []
    for _ in 0..<(try integer(UInt32.self)) {
      let name = try text()
      // A name leads nowhere but into the folder.
      guard !name.isEmpty, !name.utf8.contains(UInt8(ascii: "/")), name != ".", name != ".." else { throw Malformed() }
      files.append(
        Manifest.File(name: name, byteCount: try integer(UInt64.self), checksum: try integer(UInt64.self)))
    }
    return files
  }

  fileprivate mutating func store() throws(Malformed) -> Manifest.Store {
    let process = try integer(UInt32.self)
    let backend = try text()
    let (lower, upper) = (try integer(Int32.self), try integer(Int32.self))
    guard lower >= 0, lower <= upper else { throw Malformed() }
    return Manifest.Store(process: process, backend: backend, groups: lower..<upper, files: try manifestFiles())
  }
}
