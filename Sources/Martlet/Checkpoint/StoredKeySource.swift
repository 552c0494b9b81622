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
            "the state of the checkpoint '\(folder)' is kept by '\(store.backend)', which is not there; use it where that backend "
              + "is, or a savepoint")
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
