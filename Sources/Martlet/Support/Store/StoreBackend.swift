/// A kind of store: how one is opened, and what its copies are made into. This is all that the engine knows of RocksDB.
package protocol StoreBackend: Sendable {
  /// As settings and checkpoints name it.
  var name: String { get }

  /// Opens the store. `.storageInUse` naming the folder if it is open already, here or elsewhere; `.storageCorrupt` if its files are
  /// damaged or missing; `.storageFailed` if they cannot be read or written; `.invalidArgument` if there is no store and none may
  /// be made.
  func open(_ options: StoreOptions) throws(EngineError) -> any KeyValueStore

  /// Makes the new folder `path` a store of its own with the content of `copy`, a folder that `KeyValueStore.copy` made and which stays
  /// as it is. Files that never change are shared by hard links where both are on one disk. A crash leaves nothing at `path`, and
  /// at most a folder `path.new`, which the next call replaces.
  func clone(_ copy: String, to path: String) throws(EngineError)
}

package struct StoreOptions: Sendable {
  /// A folder. Made if need be, its parent too.
  package var path: String
  /// The names of the families; each is made if it is not there. Others that the store has stay as they are.
  package var families: [String]
  package var access: StoreAccess
  /// Bytes that caches and write buffers of this store may take together, about.
  package var memoryLimit: Int
  /// Whether writes survive the process. If not, only copies do: what is written costs less, and all of it is in files that copies share.
  package var isLogged = true
  /// How many stores of a job are written at once, this one included: each must find room on the disk that it shares with the others.
  package var writers = 1

  package init(_ path: String, families: [String], access: StoreAccess = .create, memoryLimit: Int = 256 << 20) {
    self.path = path
    self.families = families
    self.access = access
    self.memoryLimit = memoryLimit
  }

  /// Throws `.invalidArgument` for names that are no use as families.
  package func check() throws(EngineError) {
    if families.isEmpty || families.count > Int(UInt8.max) || Set(families).count != families.count
      || families.contains(where: \.isEmpty)
    {
      throw EngineError(
        .invalidArgument, "the store at '\(path)' needs between 1 and 255 different family names, not \(families)")
    }
    if memoryLimit < StoreOptions.leastMemory {
      throw EngineError(
        .invalidArgument,
        "the store at '\(path)' cannot work with a memory limit of \(memoryLimit) bytes; give it at least "
          + "\(StoreOptions.leastMemory)")
    }
  }

  package static let leastMemory = 1 << 20
}

package enum StoreAccess: Sendable {
  /// For reading and writing; made if it is not there.
  case create
  /// For reading and writing; it must be there.
  case existing
  /// For reading. Takes no lock and changes no file, so a copy can be read by several at once.
  case readOnly
}
