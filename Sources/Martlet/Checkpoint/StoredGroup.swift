/// The rows that a store has of one key group of an operator, by key: the row of states and that of timers together. Some are read ahead,
/// so that no cursor stays open while other groups are read.
final class StoredGroup {
  struct Row {
    /// The canonical bytes.
    let key: [UInt8]
    /// Empty if there is none.
    var states: [UInt8] = []
    var timers: [UInt8] = []

    fileprivate var byteCount: Int { key.count + states.count + timers.count }
  }

  /// How much is read ahead.
  struct Ahead {
    var keys: Int
    var bytes: Int
  }

  let part: StoredPart
  let head: [UInt8]
  private let classes: [KeyClass]
  private let most: Ahead
  /// The next one last.
  private var ahead: [Row] = []
  /// Where to read on; nil at the end.
  private var from: [UInt8]?

  init(_ part: StoredPart, _ head: [UInt8], _ classes: [KeyClass], _ most: Ahead) throws(EngineError) {
    self.part = part
    self.head = head
    self.classes = classes
    self.most = most
    from = head
    try readAhead()
  }

  /// The next key.
  var firstKey: [UInt8]? { ahead.last?.key }

  func removeFirst() throws(EngineError) -> Row {
    let row = ahead.removeLast()
    if ahead.isEmpty { try readAhead() }
    return row
  }

  private func readAhead() throws(EngineError) {
    guard let from else { return }
    let range = KeyRange(from, upTo: KeyRange.successor(ofPrefix: head))
    var states = try KeyRowCursor(part, head, range, classes, .states)
    var timers = try KeyRowCursor(part, head, range, classes, .timers)
    defer {
      states.close()
      timers.close()
    }
    var rows: [Row] = []
    var bytes = 0
    self.from = nil
    while let key = KeyRowCursor.least(states.key, timers.key) {
      if rows.count >= most.keys || bytes >= most.bytes {
        // Before the first row of this key, and after all of those before it.
        self.from = head + key
        break
      }
      var row = Row(key: key)
      if states.key == key { row.states = try states.take() }
      if timers.key == key { row.timers = try timers.take() }
      bytes += row.byteCount
      rows.append(row)
    }
    ahead = rows.reversed()
  }
}

/// Goes through the rows of one family that are of a key as a whole: over those of large lists and maps at one go.
private struct KeyRowCursor {
  enum Family { case states, timers }

  private let part: StoredPart
  private let head: [UInt8]
  private let upper: [UInt8]?
  private let classes: [KeyClass]
  private let family: Family
  private var cursor: any StoreCursor
  /// The key of the row; nil at the end.
  private(set) var key: [UInt8]?

  init(_ part: StoredPart, _ head: [UInt8], _ range: KeyRange, _ classes: [KeyClass], _ family: Family)
    throws(EngineError)
  {
    self.part = part
    self.head = head
    self.classes = classes
    self.family = family
    upper = range.upper
    cursor = try part.store.cursor(family == .states ? part.states : part.timers, range)
    try advance()
  }

  func close() { cursor.close() }

  static func least(_ a: [UInt8]?, _ b: [UInt8]?) -> [UInt8]? {
    guard let a, let b else { return a ?? b }
    return b.lexicographicallyPrecedes(a) ? b : a
  }

  /// The value, and on to the next row.
  mutating func take() throws(EngineError) -> [UInt8] {
    let value = Array(cursor.value)
    try advance()
    return value
  }

  private mutating func advance() throws(EngineError) {
    key = nil
    while try cursor.next() {
      let rest = UnsafeRawBufferPointer(rebasing: cursor.key[head.count...])
      guard let size = KeyEncoding.size(rest, classes), size > 0 else { throw foreignKey }
      switch family {
      case .timers:
        guard size == rest.count else { throw foreignKey }
        key = Array(rest)
        return
      case .states:
        guard size < rest.count else { throw foreignKey }
        if rest[size] == StoreKeys.record, rest.count == size + 1 {
          key = Array(rest[..<size])
          return
        }
        let next = head + Array(rest[..<size]) + [StoreKeys.entries + 1]
        cursor.close()
        cursor = try part.store.cursor(part.states, KeyRange(next, upTo: upper))
      }
    }
  }

  private var foreignKey: EngineError { part.store.damaged("it has a row whose key is none of the operator's") }
}
