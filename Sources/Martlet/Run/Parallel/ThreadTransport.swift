#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Instances on threads of this process: thread i does the work of instance i of every operator.
final class ThreadTransport: InstanceTransport {
  private let makeProcess: (Int, InstancePlace) throws -> ProcessOperator
  private var threads: [InstanceThread] = []
  /// Gives an instance that is not open yet the store that it keeps its state in, if there is one.
  var makeStorage: (ProcessOperator, Int, InstancePlace) throws -> InstanceStorage? = { _, _, _ in nil }

  /// `makeProcess` gives instance `place.instance` of operator number `process`; called on the job's thread.
  init(makeProcess: @escaping (_ process: Int, _ place: InstancePlace) throws -> ProcessOperator) {
    self.makeProcess = makeProcess
  }

  deinit { shutDown() }

  func link(process: Int, _ place: InstancePlace) throws -> any InstanceLink {
    let runner = InstanceRunner(try makeProcess(process, place), place)
    runner.storage = try makeStorage(runner.process, process, place)
    while threads.count <= Int(place.instance) { threads.append(try InstanceThread()) }
    return ThreadLink(threads[Int(place.instance)], runner)
  }

  func shutDown() {
    for thread in threads { thread.stop() }
    threads.removeAll()
  }
}

/// An instance of this process.
final class ThreadLink: InstanceLink {
  private let thread: InstanceThread
  private let tasks: InstanceTasks

  init(_ thread: InstanceThread, _ runner: InstanceRunner) {
    self.thread = thread
    tasks = InstanceTasks(runner)
  }

  func send(_ work: InstanceWork, now: Int64?) { thread.add(InstanceThread.Task(tasks: tasks, work: work, now: now)) }

  func receive(within milliseconds: Int64?) -> InstanceResult? { thread.wait(for: tasks, within: milliseconds) }

  func skipWaitingWork() { tasks.runner.skipWaitingWork() }
}

/// One runner and the results that wait to be received.
///
/// `@unchecked Sendable`: the runner is used by the instance's thread only (but for `skipWaitingWork`), `results` under its lock.
final class InstanceTasks: @unchecked Sendable {
  let runner: InstanceRunner
  fileprivate var results: [InstanceResult] = []

  init(_ runner: InstanceRunner) { self.runner = runner }
}

/// A thread that does one piece of work after another, for as many operators as there are.
///
/// `@unchecked Sendable`: every field below the lock is used under it.
final class InstanceThread: @unchecked Sendable {
  struct Task {
    let tasks: InstanceTasks
    /// Nil once it is done.
    var work: InstanceWork?
    let now: Int64?

    /// Does the work and lets it go before anybody hears of the result: so the job's thread is the last to have the input's batches.
    mutating func run() -> InstanceResult {
      guard let doing = work else { return InstanceResult() }
      work = nil
      return tasks.runner.run(doing, now: now)
    }
  }

  private let lock: UnsafeMutablePointer<pthread_mutex_t>
  /// Signalled when there is work, or none will come any more.
  private let hasWork: UnsafeMutablePointer<pthread_cond_t>
  /// Signalled when there is a result.
  private let hasResult: UnsafeMutablePointer<pthread_cond_t>
  private var queue: [Task] = []
  private var isStopping = false
  private var thread: OwnThread?

  init() throws(EngineError) {
    lock = .allocate(capacity: 1)
    pthread_mutex_init(lock, nil)
    hasWork = .allocate(capacity: 1)
    hasResult = .allocate(capacity: 1)
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    #if !canImport(Darwin)
      pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    #endif
    pthread_cond_init(hasWork, &attributes)
    pthread_cond_init(hasResult, &attributes)
    pthread_condattr_destroy(&attributes)
    try start()
  }

  deinit {
    pthread_cond_destroy(hasWork)
    pthread_cond_destroy(hasResult)
    pthread_mutex_destroy(lock)
    hasWork.deallocate()
    hasResult.deallocate()
    lock.deallocate()
  }

  // MARK: - The job's side

  func add(_ task: Task) {
    pthread_mutex_lock(lock)
    queue.append(task)
    pthread_cond_signal(hasWork)
    pthread_mutex_unlock(lock)
  }

  func wait(for tasks: InstanceTasks, within milliseconds: Int64?) -> InstanceResult? {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    var deadline = milliseconds.map { MonotonicTime.after(milliseconds: $0) }
    while tasks.results.isEmpty {
      if deadline != nil {
        if milliseconds == 0 { return nil }
        if pthread_cond_timedwait(hasResult, lock, &deadline!) == ETIMEDOUT, tasks.results.isEmpty { return nil }
      } else {
        pthread_cond_wait(hasResult, lock)
      }
    }
    return tasks.results.removeFirst()
  }

  /// Ends the thread once its work is done, and waits for that.
  func stop() {
    pthread_mutex_lock(lock)
    isStopping = true
    pthread_cond_signal(hasWork)
    pthread_mutex_unlock(lock)
    thread?.join()
    thread = nil
  }

  // MARK: - The thread

  private func start() throws(EngineError) {
    do throws(OwnThread.Failure) {
      thread = try OwnThread { self.run() }
    } catch {
      throw EngineError(
        .invalidArgument,
        "no thread could be started for a parallel instance (error \(error.status)); lower the parallelism or raise the limit of "
          + "threads of this process")
    }
  }

  private func run() {
    while var task = nextTask() {
      let result = task.run()
      pthread_mutex_lock(lock)
      task.tasks.results.append(result)
      pthread_cond_signal(hasResult)
      pthread_mutex_unlock(lock)
    }
  }

  private func nextTask() -> Task? {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    while queue.isEmpty, !isStopping { pthread_cond_wait(hasWork, lock) }
    return queue.isEmpty ? nil : queue.removeFirst()
  }
}
