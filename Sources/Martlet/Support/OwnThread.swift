#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A thread of the engine's own, which takes no signals: those are for the threads of the program that uses the library.
package struct OwnThread {
  /// No thread could be started; `status` is the system's error number.
  package struct Failure: Error {
    package let status: Int32
  }

  private let thread: pthread_t

  /// Starts a thread that runs `body` once. Whoever has it joins it or detaches it, once.
  package init(_ body: @escaping @Sendable () -> Void) throws(Failure) {
    #if canImport(Darwin)
      var thread: pthread_t?
    #else
      var thread = pthread_t()
    #endif
    let box = Unmanaged.passRetained(ThreadBody(body))
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    let status = pthread_create(&thread, nil, runThreadBody, box.toOpaque())
    pthread_sigmask(SIG_SETMASK, &before, nil)
    guard status == 0 else {
      box.release()
      throw Failure(status: status)
    }
    #if canImport(Darwin)
      guard let thread else { throw Failure(status: EAGAIN) }
    #endif
    self.thread = thread
  }

  /// Waits for its end.
  package func join() { pthread_join(thread, nil) }

  /// Leaves it to itself.
  package func detach() { pthread_detach(thread) }
}

private final class ThreadBody {
  let run: @Sendable () -> Void

  init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

// The argument is optional in one C library and not in the other.
#if canImport(Darwin)
  private func runThreadBody(_ body: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
    Unmanaged<ThreadBody>.fromOpaque(body).takeRetainedValue().run()
    return nil
  }
#else
  private func runThreadBody(_ body: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let body else { return nil }
    Unmanaged<ThreadBody>.fromOpaque(body).takeRetainedValue().run()
    return nil
  }
#endif
