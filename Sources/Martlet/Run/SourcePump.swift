#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Reads a source on a thread of its own, so that timers can fire on the job's thread while the source waits.
///
/// It is there only from the moment the job has processing-time timers to fire and a source that may wait. It never reads
/// ahead: the thread calls `next` when the job asks for a batch and at no other time, so records, callbacks and the source's
/// own side effects keep their order. The two threads hand a batch over under one lock, and never touch the source at once.
///
/// A job can end (closed, failed, interrupted) while the source waits inside of `next`, where nothing can reach it. The pump then
/// leaves the source to the thread: the job's end does not wait. The thread ends when `next` returns; it drops what it returned,
/// and then the source.
final class SourcePump: @unchecked Sendable {
  // Every field below is used under `lock`; `source` is used by the thread while `state` is `.reading` and by nobody else then.

  enum Arrival {
    case batch(SourceRead)
    case end
    /// The time is over; the source is still reading.
    case notYet
  }

  private enum State {
    case idle
    case asked
    case reading
    case arrived(Result<SourceRead?, any Error>)
    case stopping
    /// The job has gone while the thread was reading.
    case abandoned
  }

  private let gate: PumpGate
  private var lock: UnsafeMutablePointer<pthread_mutex_t> { gate.lock }
  private var changed: UnsafeMutablePointer<pthread_cond_t> { gate.changed }
  private var state = State.idle
  private var source: (any Source)?
  private var thread: OwnThread?

  /// `gate`: shared with the other pumps that a job waits for at the same time.
  init(_ source: any Source, gate: PumpGate? = nil) throws(EngineError) {
    self.source = source
    self.gate = gate ?? PumpGate()
    try start()
  }

  // MARK: - The job's side

  /// The next batch, waiting for it at most that long. Ask again after `.notYet`: the same read goes on.
  func next(within milliseconds: Int64) throws -> Arrival {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    if case .idle = state {
      state = .asked
      pthread_cond_broadcast(changed)
    }
    var deadline = MonotonicTime.after(milliseconds: milliseconds)
    while true {
      if case .arrived(let result) = state {
        state = .idle
        guard let read = try result.get() else { return .end }
        return .batch(read)
      }
      if waitForChange(until: &deadline) == ETIMEDOUT {
        if case .arrived = state { continue }
        return .notYet
      }
    }
  }

  /// Whether `next` would not wait. Under the gate's lock.
  var hasArrival: Bool { if case .arrived = state { true } else { false } }

  /// Ends the thread, and gives the source back; nil if the thread still reads, in which case the source is now the thread's.
  func stop() -> (any Source)? {
    pthread_mutex_lock(lock)
    switch state {
    case .reading:
      state = .abandoned
      source?.abandon()
      source = nil
      pthread_mutex_unlock(lock)
      thread?.detach()
      thread = nil
      return nil
    case .idle, .asked, .arrived, .stopping, .abandoned:
      state = .stopping
      pthread_cond_broadcast(changed)
      pthread_mutex_unlock(lock)
    }
    thread?.join()
    thread = nil
    let source = source
    self.source = nil
    return source
  }

  // MARK: - The thread

  private func start() throws(EngineError) {
    do throws(OwnThread.Failure) {
      thread = try OwnThread { self.run() }
    } catch {
      throw EngineError(
        .sourceFailed,
        "no thread could be started to read the source while processing-time timers are pending (error \(error.status)); raise the "
          + "limit of threads of this process")
    }
  }

  private func run() {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    while true {
      switch state {
      case .asked:
        state = .reading
        read()
        if case .abandoned = state { return }
        pthread_cond_broadcast(changed)
      case .stopping:
        return
      case .idle, .arrived:
        pthread_cond_wait(changed, lock)
      case .reading, .abandoned:
        preconditionFailure("the pump's thread sets these itself, or returns")
      }
    }
  }

  /// One call of `next`, outside of the lock. The reference is held by hand: that of an abandoned source must be the last one, so
  /// that the source ends on this thread, as its `abandon` was told.
  private func read() {
    guard let reading = source.map({ Unmanaged.passRetained($0 as AnyObject) }) else {
      state = .arrived(.success(nil))
      return
    }
    pthread_mutex_unlock(lock)
    let result = SourcePump.readOnce(reading)
    pthread_mutex_lock(lock)
    guard case .abandoned = state else {
      state = .arrived(result)
      reading.release()
      return
    }
    // Not under the lock: the end of a source may run code of the user's.
    pthread_mutex_unlock(lock)
    reading.release()
    pthread_mutex_lock(lock)
  }

  private static func readOnce(_ source: Unmanaged<AnyObject>) -> Result<SourceRead?, any Error> {
    source._withUnsafeGuaranteedRef { source in
      guard let source = source as? any Source else { return .success(nil) }
      do { return .success(try source.read(inBackground: true)) } catch { return .failure(error) }
    }
  }

  // MARK: - Waiting

  private func waitForChange(until deadline: inout timespec) -> Int32 {
    pthread_cond_timedwait(changed, lock, &deadline)
  }
}
