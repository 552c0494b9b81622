/// The keys of one operator in the order of their canonical bytes, from whatever form of a checkpoint.
protocol SnapshotKeySource {
  var header: SnapshotHeader { get }
  /// The next key, nil after the last one; the first may be that of the broadcast states, which has no bytes.
  mutating func next() throws(EngineError) -> SnapshotKey?
}

/// A snapshot in its file, with the part that is read in memory.
///
/// The file was verified as a whole before.
final class SnapshotFile: SnapshotKeySource {
  let header: SnapshotHeader
  private let window: FileWindow
  private var remainingKeys: UInt64

  /// Throws `.snapshotInvalid` for what is no snapshot, `.storageFailed` where it cannot be read.
  init(_ path: String, _ files: any FileSystem) throws(EngineError) {
    let window = try FileWindow(path, files)
    self.window = window
    let version = try window.parse { reader throws(ByteReader.Malformed) in
      let magic = try reader.take(SnapshotFormat.magic.count)
      let version = try reader.integer(UInt32.self)
      _ = try reader.take(SnapshotFormat.headSize - SnapshotFormat.magic.count - 4)
      return magic.elementsEqual(SnapshotFormat.magic) ? version : 0
    }
    guard version >= 1, version <= SnapshotFormat.version else {
      throw EngineError(
        .snapshotInvalid,
        version == 0
          ? "'\(path)' is no snapshot of Martlet"
          : "'\(path)' has format version \(version), this version of Martlet reads up to version \(SnapshotFormat.version)"
      )
    }
    (header, remainingKeys) = try window.parse { reader throws(ByteReader.Malformed) in
      (try reader.header(version), try reader.integer(UInt64.self))
    }
    if header.keySource == nil, header.second == nil, remainingKeys > 0 { throw window.malformed }
  }

  func next() throws(EngineError) -> SnapshotKey? {
    guard remainingKeys > 0 else {
      guard window.isAtEnd else { throw window.malformed }
      return nil
    }
    remainingKeys -= 1
    let states = header.states.count
    return try window.parse { reader throws(ByteReader.Malformed) in try reader.key(states: states) }
  }
}

/// The content of a snapshot's file, up to its checksum, of which as much is in memory as is needed to read on.
private final class FileWindow {
  private let path: String
  private let file: any OpenFile
  /// Of the file, where the checksum begins.
  private let end: Int64
  /// Where the next bytes are read from.
  private var fileOffset: Int64 = 0
  private var memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 8)
  private var used = 0..<0

  init(_ path: String, _ files: any FileSystem) throws(EngineError) {
    self.path = path
    guard let info = try files.info(path) else { throw FilePath.missing(path) }
    file = try files.open(path, .read)
    end = max(info.size - Int64(SnapshotFormat.checksumSize), 0)
  }

  deinit { memory.deallocate() }

  var isAtEnd: Bool { used.isEmpty && fileOffset == end }

  var malformed: EngineError {
    EngineError(
      .snapshotInvalid,
      "'\(path)' makes no sense at byte \(fileOffset - Int64(used.count)), although its checksum is right; restore from another checkpoint"
    )
  }

  /// Reads what `body` reads at once: where the bytes in memory end too early, it is called again with more of them.
  func parse<Content>(
    _ body: (inout ByteReader) throws(ByteReader.Malformed) -> Content
  ) throws(EngineError) -> Content {
    while true {
      var reader = ByteReader(UnsafeRawBufferPointer(rebasing: memory[used]))
      do throws(ByteReader.Malformed) {
        let content = try body(&reader)
        used = (used.lowerBound + reader.offset)..<used.upperBound
        return content
      } catch {
        guard try fill() else { throw malformed }
      }
    }
  }

  /// Adds to what is in memory; false at the end.
  private func fill() throws(EngineError) -> Bool {
    guard fileOffset < end else { return false }
    if used.count == memory.count {
      let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: 2 * memory.count, alignment: 8)
      larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: memory[used]))
      memory.deallocate()
      memory = larger
    } else if used.lowerBound > 0, let base = memory.baseAddress {
      base.copyMemory(from: base + used.lowerBound, byteCount: used.count)
    }
    used = 0..<used.count
    let room = min(memory.count - used.count, Int(clamping: end - fileOffset))
    let count = try file.read(
      at: fileOffset, into: UnsafeMutableRawBufferPointer(rebasing: memory[used.count..<(used.count + room)]))
    guard count > 0 else { return false }
    used = 0..<(used.count + count)
    fileOffset += Int64(count)
    return true
  }
}

/// The copies of stores that a checkpoint has, open for reading as long as somebody reads them.
final class OpenStores {
  let parts: [StoredPart]

  /// Errors: `.storageCorrupt`; `.invalidArgument` if they are of a backend that is not among `backends`.
  init(
    _ stores: [Manifest.Store], in folder: String, maxParallelism: Int32, _ backends: [any StoreBackend]
  ) throws(EngineError) {
    var parts: [StoredPart] = []
    do throws(EngineError) {
      for store in stores {
        guard let backend = backends.first(where: { $0.name == store.backend }) else {
          throw EngineError(
            .invalidArgument,
            "the state of the checkpoint '\(folder)' is kept by '\(store.backend)', which is not there; read it where that backend is, "
              + "or a savepoint")
        }
        let options = StoreOptions(
          FilePath.join(folder, store.folder), families: StoredPart.families, access: .readOnly, memoryLimit: 8 << 20)
        parts.append(StoredPart(try backend.open(options), try KeyGroupRange(store.groups, of: maxParallelism)))
      }
    } catch {
      for part in parts { try? part.store.close() }
      throw error
    }
    self.parts = parts
  }

  deinit { for part in parts { try? part.store.close() } }
}

/// The keys of an operator in the copies of stores.
struct StoredKeySource: SnapshotKeySource {
  private let stores: OpenStores
  private var reader: StoredSnapshotReader
  var header: SnapshotHeader { reader.header }

  init(_ stores: OpenStores, _ header: SnapshotHeader, _ numbers: StoreLayout.Operator) throws(EngineError) {
    self.stores = stores
    var stateNumbers: [UInt16] = []
    for state in header.states {
      guard let number = numbers[state.name] else {
        throw EngineError(
          .storageCorrupt,
          "the checkpoint has no number for state '\(state.name)' of operator '\(header.operatorName)'; restore from another one"
        )
      }
      stateNumbers.append(number)
    }
    reader = try StoredSnapshotReader(
      stores.parts, header, operatorNumber: numbers.number, stateNumbers: stateNumbers)
  }

  mutating func next() throws(EngineError) -> SnapshotKey? { try reader.next() }
}
