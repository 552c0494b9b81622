/// How one operator instance and the store of its process keep step. On the instance's thread.
final class InstanceStorage {
  let store: ProcessStore
  private unowned let process: ProcessOperator
  /// The checkpoint in the store that the instance has put something down for and that is not copied yet.
  private var waiting: Int?
  /// What is written while the instance goes on, because there was too much in memory.
  private var spilling: BackgroundWork?

  /// Before the operator opens. `binding` is one of that store.
  init(_ process: ProcessOperator, _ store: ProcessStore, _ binding: StoreBinding) {
    self.process = process
    self.store = store
    process.attach(binding)
    process.relieveStore = { [unowned self] () throws(EngineError) in try afterWork() }
  }

  var isShort: Bool { process.writeBack?.isShort ?? false }

  /// So many new keys take an eighth of the memory.
  var chunkRows: Int { process.writeBack.map { $0.binding.memoryLimit / 8 / $0.meanKeyBytes } ?? .max }

  /// Puts what changed since the last time down, for the checkpoint that comes next. What is being spilled then is in the store before it.
  func flush() throws(EngineError) {
    if let waiting, store.isBegun(waiting) {
      try store.waitUntilCopied(waiting)
      try noteCopied()
    }
    let batch = WriteBatch()
    try process.flush(into: batch)
    waiting = store.add(batch)
  }

  /// Brings the store up to date, so that everything can be read from it.
  func settle() throws(EngineError) {
    if let waiting, store.isBegun(waiting) {
      try store.waitUntilCopied(waiting)
      try noteCopied()
    }
    try endSpill()
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
  /// The instance goes on while a part of it is written, and waits at an eighth above its limit; while a checkpoint is copied, at twice the
  /// limit.
  func afterWork() throws(EngineError) {
    if let waiting {
      if store.isCopied(waiting) {
        try noteCopied()
      } else if process.isOver(times: 2), store.isBegun(waiting) {
        try store.waitUntilCopied(waiting)
        try noteCopied()
      } else {
        return
      }
    }
    if let spilling, !spilling.isDone, !process.isOver(times: 1.125) { return }
    try endSpill()
    guard process.wantsFlush else { return }
    let batch = WriteBatch()
    try process.spill(into: batch)
    if batch.isEmpty { return process.didCommit() }
    spilling = try store.spillBehind(batch)
  }

  private func noteCopied() throws(EngineError) {
    waiting = nil
    if let spilling {
      self.spilling = nil
      try spilling.wait()
    }
    process.didCommit()
  }

  private func endSpill() throws(EngineError) {
    guard let spilling else { return }
    self.spilling = nil
    try spilling.wait()
    process.didCommit()
  }
}

extension ProcessOperator {
  /// Whether it has more than so many times what it may have in memory.
  fileprivate func isOver(times factor: Double) -> Bool {
    guard let writeBack else { return false }
    return Double(writeBack.memoryInUse) > factor * Double(writeBack.binding.memoryLimit)
  }
}
