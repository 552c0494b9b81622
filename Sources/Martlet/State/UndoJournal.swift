/// What the running call changed, so that a call that fails can be taken back (`on_error="skip"` and `"dead_letter"`).
///
/// One record per change, with what was there before: the cost follows what a call changes, not how much state there is.
/// Memory of what a change replaces moves into the record, and is freed when the call is kept.
final class UndoJournal {
  /// What a record takes back. The meaning of its fields is the column's that wrote it.
  enum Action: UInt8 {
    /// The slot had no value, element or entry.
    case absent
    /// The slot had the value in `old`, with `stamp`.
    case value
    /// The list was `count` elements shorter.
    case shorter
    /// The list was the block in `old.0`.
    case list
    /// The map had no entry with the key in `key`.
    case noEntry
    /// The map's entry with the key in `key` had the value in `old`, with `stamp`.
    case entry
    /// The map was the table whose root is `old.0`, with `count` entries and `stamp` as its oldest stamp.
    case map
  }

  struct Record: BitwiseCopyable {
    var column: UInt32
    var slot: UInt32
    var action: Action
    var key: (UInt64, UInt64) = (0, 0)
    var old: (UInt64, UInt64) = (0, 0)
    var stamp: Int64 = 0
    var count: Int = 0
  }

  @exclusivity(unchecked) private(set) var records = ContiguousArray<Record>()
  /// Whether a call is running: what the sweep between calls does is not taken back.
  @exclusivity(unchecked) private(set) var isActive = false

  func begin() {
    isActive = true
  }

  /// Runs `body`, whose changes are not recorded: what comes from a store or goes back to it is no change of the call's.
  func suspended<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
    let wasActive = isActive
    isActive = false
    defer { isActive = wasActive }
    return try body()
  }

  @inline(__always)
  func append(_ record: Record) { records.append(record) }

  /// Ends the call; the records are the caller's to apply or discard.
  func end() -> ContiguousArray<Record> {
    isActive = false
    guard !records.isEmpty else { return [] }
    let ended = records
    records.removeAll(keepingCapacity: ended.count <= 1024)
    return ended
  }
}
