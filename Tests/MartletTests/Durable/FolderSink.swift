@testable import Martlet

/// Rows as lines of text in a folder: a file for each transaction, which its last name makes readable.
final class FolderSink: Sink {
  private let folder: String
  private let files = PosixFileSystem()
  private var lines = ""

  init(_ folder: String) throws {
    self.folder = folder
    try files.makeDirectories(folder)
  }

  func recover(_ checkpoint: Int64?) throws { try abort(checkpoint ?? 0) }

  func write(_ batch: RecordBatch) throws { for row in batch.rows { lines += "\(row)\n" } }

  func prepare(_ checkpoint: Int64) throws {
    try files.replaceFile(name(checkpoint, "prepared"), with: Array(lines.utf8))
    lines = ""
  }

  func commit(_ checkpoint: Int64) throws {
    for number in try numbers("prepared") where number <= checkpoint {
      try files.rename(name(number, "prepared"), to: name(number, "rows"))
    }
    try files.syncDirectory(folder)
  }

  func abort(_ checkpoint: Int64) throws {
    lines = ""
    try commit(checkpoint)
    for number in try numbers("prepared") { try files.remove(name(number, "prepared")) }
  }

  func close() {}

  private func name(_ number: Int64, _ kind: String) -> String { FilePath.join(folder, "\(number).\(kind)") }

  private func numbers(_ kind: String) throws -> [Int64] {
    try files.list(folder).compactMap { name in
      let parts = name.split(separator: ".")
      return parts.count == 2 && parts[1] == kind ? Int64(parts[0]) : nil
    }.sorted()
  }

  /// What can be read, in the order of the transactions.
  func text() throws -> String {
    try numbers("rows").map { String(decoding: try files.contents(name($0, "rows")), as: UTF8.self) }.joined()
  }
}
