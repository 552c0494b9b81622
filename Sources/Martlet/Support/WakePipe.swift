#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Wakes a thread that waits for descriptors, from another thread.
final class WakePipe: Sendable {
  /// Readable after `wake`.
  let descriptor: Int32
  private let writer: Int32

  init() throws(EngineError) {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { throw SystemError.last("make a", "pipe") }
    (descriptor, writer) = (ends[0], ends[1])
    for end in ends {
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
      _ = fcntl(end, F_SETFL, O_NONBLOCK)
    }
  }

  deinit {
    _ = close(descriptor)
    _ = close(writer)
  }

  /// Any thread. If the pipe is full, it is readable already.
  func wake() {
    var byte: UInt8 = 1
    _ = write(writer, &byte, 1)
  }

  /// The thread that waits: takes note of all calls of `wake` so far.
  func drain() {
    var bytes = [UInt8](repeating: 0, count: 64)
    while read(descriptor, &bytes, 64) > 0 {}
  }
}
