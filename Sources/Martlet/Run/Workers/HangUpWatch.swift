import CMartlet

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Ends this process as soon as the other end of a socket is gone, whatever the process is doing then: a worker whose
/// coordinator was killed must not run on, and its function may be in a call that takes hours.
///
/// A thread waits for the hang-up, and looks four times a second whether the parent process is still the same, since a process that
/// somebody else forked may hold the other end open. `@unchecked Sendable`: nothing changes after `init`.
final class HangUpWatch: @unchecked Sendable {
  /// What the process ends with. Nobody is left to read it.
  static let exitStatus: Int32 = 75
  private static let lookMilliseconds: Int32 = 250

  private let socket: Int32
  private let parent: pid_t
  /// Closing the one end wakes the thread at the other.
  private let stopReader: Int32
  private let stopWriter: Int32
  private let end: () -> Void

  /// Starts to watch a socket, which stays the caller's. `end` is for tests.
  init(_ socket: Int32, end: @escaping () -> Void = { _exit(HangUpWatch.exitStatus) }) throws(EngineError) {
    var ends: [Int32] = [-1, -1]
    self.socket = dup(socket)
    let status = pipe(&ends)
    (stopReader, stopWriter) = (ends[0], ends[1])
    parent = getppid()
    self.end = end
    guard self.socket >= 0, status == 0 else { throw HangUpWatch.failure(errno) }
    for descriptor in [self.socket, stopReader, stopWriter] { _ = martlet_socket_prepare(descriptor) }
    try start()
  }

  deinit {
    if socket >= 0 { _ = close(socket) }
    if stopReader >= 0 { _ = close(stopReader) }
  }

  /// The other end may go now.
  func stop() { _ = close(stopWriter) }

  private func start() throws(EngineError) {
    do throws(OwnThread.Failure) {
      try OwnThread { self.run() }.detach()
    } catch {
      _ = close(stopWriter)
      throw HangUpWatch.failure(error.status)
    }
  }

  private func run() {
    while true {
      var entries = [
        pollfd(fd: socket, events: Int16(MARTLET_POLL_HANG_UP), revents: 0),
        pollfd(fd: stopReader, events: 0, revents: 0),
      ]
      _ = poll(&entries, 2, Self.lookMilliseconds)
      if entries[1].revents != 0 { return }
      if entries[0].revents != 0 || getppid() != parent { return end() }
    }
  }

  private static func failure(_ status: Int32) -> EngineError {
    EngineError(
      .sourceFailed,
      "a worker process could not watch its coordinator (\(String(cString: strerror(status)))); raise the limits of threads and "
        + "open files of this process")
  }
}
