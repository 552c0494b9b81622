#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The lock under which a job and the threads that read for it meet, so that the job can wait for several of them at once.
final class PumpGate: @unchecked Sendable {
  // The two are used through calls of pthread only.
  let lock: UnsafeMutablePointer<pthread_mutex_t>
  /// Something arrived, or was asked for.
  let changed: UnsafeMutablePointer<pthread_cond_t>

  init() {
    lock = .allocate(capacity: 1)
    pthread_mutex_init(lock, nil)
    changed = .allocate(capacity: 1)
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    #if !canImport(Darwin)
      pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    #endif
    pthread_cond_init(changed, &attributes)
    pthread_condattr_destroy(&attributes)
  }

  deinit {
    pthread_cond_destroy(changed)
    pthread_mutex_destroy(lock)
    changed.deallocate()
    lock.deallocate()
  }

  /// Makes a change under the lock, and wakes those that wait.
  func change(_ body: () -> Void) {
    pthread_mutex_lock(lock)
    body()
    pthread_cond_broadcast(changed)
    pthread_mutex_unlock(lock)
  }

  /// Waits until `condition`, which is evaluated under the lock, or the time is over.
  func wait(within milliseconds: Int64, until condition: () -> Bool) {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    var deadline = MonotonicTime.after(milliseconds: milliseconds)
    while !condition() {
      if pthread_cond_timedwait(changed, lock, &deadline) == ETIMEDOUT { return }
    }
  }
}

/// A time to wait until, for condition variables that use the monotonic clock (on Darwin there are none, and it is the wall clock).
enum MonotonicTime {
  static func after(milliseconds: Int64) -> timespec {
    var time = timespec()
    #if canImport(Darwin)
      clock_gettime(CLOCK_REALTIME, &time)
    #else
      clock_gettime(CLOCK_MONOTONIC, &time)
    #endif
    let nanoseconds = Int64(time.tv_nsec) + (milliseconds % 1000) * 1_000_000
    time.tv_sec += Int(milliseconds / 1000 + nanoseconds / 1_000_000_000)
    time.tv_nsec = Int(nanoseconds % 1_000_000_000)
    return time
  }
}
