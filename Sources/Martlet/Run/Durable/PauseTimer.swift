/// Has a job come back at regular times, also while nothing is put out.
final class PauseTimer {
  private let gate = PumpGate()
  private let state = Locked(isStopping: false)
  private var thread: OwnThread?

  /// Until `stop`, which is called before the job goes. Throws where no thread can be started.
  init(_ job: Job, every milliseconds: Int64) throws(EngineError) {
    // `pause` is for any thread, and the job outlives this one.
    nonisolated(unsafe) let job = job
    let (gate, state) = (gate, state)
    do throws(OwnThread.Failure) {
      thread = try OwnThread {
        while !state.isStopping {
          gate.wait(within: milliseconds) { state.isStopping }
          if !state.isStopping { job.pause() }
        }
      }
    } catch {
      throw EngineError(
        .invalidArgument,
        "no thread could be started for regular checkpoints (error \(error.status)); raise the limit of threads of this process"
      )
    }
  }

  deinit { stop() }

  func stop() {
    gate.change { state.withLock { $0 = true } }
    thread?.join()
    thread = nil
  }
}

extension Locked<Bool> {
  fileprivate convenience init(isStopping: Bool) { self.init(isStopping) }
  fileprivate var isStopping: Bool { withLock { $0 } }
}
