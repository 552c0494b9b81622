/// What a job keeps its state in.
public struct StateBackend: Sendable {
  /// Nil: in memory.
  package let store: (any StoreBackend)?

  package init(_ store: (any StoreBackend)?) { self.store = store }

  /// In memory; a checkpoint is a portable copy of all of it. The product `MartletRocksDB` adds `.rocksDB`.
  public static let memory = StateBackend(nil)
}
