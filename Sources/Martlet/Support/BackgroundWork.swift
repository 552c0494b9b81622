import Synchronization

/// One piece of work on a thread of its own, and what came of it.
package final class BackgroundWork: Sendable {
  private let outcome = Locked<EngineError?>(nil)
  private let hasEnded = Atomic<Bool>(false)
  private let thread = Locked<OwnThread?>(nil)

  /// Begins it. Throws where no thread can be started.
  package init(_ name: String, _ work: @escaping @Sendable () throws(EngineError) -> Void) throws(EngineError) {
    do throws(OwnThread.Failure) {
      let started = try OwnThread { [self] in
        do throws(EngineError) { try work() } catch { outcome.withLock { $0 = error } }
        hasEnded.store(true, ordering: .releasing)
      }
      thread.withLock { $0 = started }
    } catch {
      throw EngineError(
        .storageFailed,
        "no thread could be started for \(name) (error \(error.status)); raise the limit of threads of this process")
    }
  }

  // Nobody has waited. The thread holds on to this until it is done.
  deinit { thread.withLock { $0 }?.detach() }

  /// Whether `wait` would not have to wait.
  var isDone: Bool { hasEnded.load(ordering: .acquiring) }

  /// Waits for its end, and throws what it threw; so do all who wait.
  package func wait() throws(EngineError) {
    thread.withLock { thread in
      thread?.join()
      thread = nil
    }
    if let error = outcome.withLock({ $0 }) { throw error }
  }
}
