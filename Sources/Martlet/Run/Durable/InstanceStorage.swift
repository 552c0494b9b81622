/// How one operator instance and the store of its process keep step. On the instance's thread.
final class InstanceStorage {
  let store: ProcessStore
  private unowned let process: ProcessOperator
  /// The checkpoint in the store that the instance has put something down for and that is not copied yet.
  private var waiting: Int?

  /// Before the operator opens. `binding` is one of that store.
  init(_ process: ProcessOperator, _ store: ProcessStore, _ binding: StoreBinding) {
    self.process = process
    self.store = store
    process.attach(binding)
    process.relieveStore = { [unowned self] () throws(EngineError) in try afterWork() }
  }

  var isShort: Bool { process.writeBack?.isShort ?? false }

  /// Puts what changed since the last time down, for the checkpoint that comes next.
  func flush() throws(EngineError) {
    if let waiting, store.isBegun(waiting) {
      try store.waitUntilCopied(waiting)
      noteCopied()
    }
    let batch = WriteBatch()
    try process.flush(into: batch)
    waiting = store.add(batch)
  }

  /// Brings the store up to date, so that everything can be read from it.
  func settle() throws(EngineError) {
    if let waiting, store.isBegun(waiting) {
      try store.waitUntilCopied(waiting)
      noteCopied()
    }
    try spill()
  }

  private func spill() throws(EngineError) {
    let batch = WriteBatch()
    try process.flush(into: batch)
    try store.spill(batch)
    process.didCommit()
  }

  /// After every piece of work: lets what the store has leave memory, and writes where there is too much in it.
  ///
  /// While a checkpoint is copied memory may go to twice the limit; then the instance waits.
  func afterWork() throws(EngineError) {
    if let waiting {
      if store.isCopied(waiting) {
        noteCopied()
      } else if process.isFarOverItsLimit, store.isBegun(waiting) {
        try store.waitUntilCopied(waiting)
        noteCopied()
      } else {
        return
      }
    }
    guard process.wantsFlush else { return }
    let batch = WriteBatch()
    try process.spill(into: batch)
    try store.spill(batch)
    process.didCommit()
  }

  private func noteCopied() {
    waiting = nil
    process.didCommit()
  }
}

extension ProcessOperator {
  /// More than twice what it may have in memory.
  fileprivate var isFarOverItsLimit: Bool {
    guard let writeBack else { return false }
    return writeBack.memoryInUse / 2 > writeBack.binding.memoryLimit
  }
}
