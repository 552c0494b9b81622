@testable import Martlet

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A folder of its own for a test, removed at the end.
final class TemporaryDirectory {
  let path: String

  init() throws {
    let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var template = Array(FilePath.join(base, "martlet-test-XXXXXX").utf8CString)
    guard mkdtemp(&template) != nil else { throw SystemError.last("make a folder like", base) }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit { try? PosixFileSystem().removeTree(path) }

  func callAsFunction(_ name: String) -> String { FilePath.join(path, name) }
}
