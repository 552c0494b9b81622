#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// What the system said when it refused a call.
package enum SystemError {
  /// The error of a call that has just failed: `cannot write '/data/x': No space left on device (errno 28); …`.
  package static func last(_ operation: String, _ path: String) -> EngineError { make(operation, path, errno) }

  package static func make(_ operation: String, _ path: String, _ code: Int32) -> EngineError {
    EngineError(.storageFailed, "cannot \(operation) '\(path)': \(text(code)) (errno \(code))\(remedy(code))")
  }

  package static func text(_ code: Int32) -> String {
    // Not strerror_r: Glibc and the others disagree on what it returns. Its static buffer is only for unknown numbers.
    strerror(code).map { String(cString: $0) } ?? "unknown error"
  }

  private static func remedy(_ code: Int32) -> String {
    switch code {
    case ENOSPC, EDQUOT: "; make room on that disk, then start again"
    case EROFS: "; that file system is read-only: choose a directory that can be written"
    case EACCES, EPERM: "; give this user the right to, or choose another directory"
    case EMFILE, ENFILE: "; raise the limit of open files (ulimit -n)"
    default: ""
    }
  }
}
