/// A transport to processes that have stores of their own: process i has what instance i of every operator keeps.
///
/// A checkpoint goes: `InstanceWork.flush` to every instance, and their results; `persistStores`; then the job goes on, and asks
/// `takePersisted` now and then. What a worker reports names it, and the path of its store.
protocol StoringTransport: InstanceTransport {
  /// Has every process make its store, before any operator opens: process i that of `openings[i]`. `numbers` are those of the job's operators, in
  /// their order. Waits until all have.
  func openStores(_ openings: [ProcessStore.Opening], _ numbers: [OperatorNumbers], backend: String) throws

  /// Has process i write what its instances have put down, and copy its store to `folders[i]`, a new folder in one that is there.
  /// `previous[i]` is the copy of its store in the checkpoint before. Comes back at once.
  func persistStores(to folders: [String], since previous: [StoreFiles.Previous?]) throws

  /// The files of every process's copy; nil if not all are done, unless it is to wait for that.
  func takePersisted(waiting: Bool) throws -> [[Manifest.File]]?
}
