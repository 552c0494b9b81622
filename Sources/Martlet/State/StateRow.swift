/// The row of one key: what its states hold.
///
/// ```
/// for each state that holds something: number (2) | form (1) | length (4; forms 0 and 1) | content
/// form 0: the entries, as `StateColumn.encodeEntries` writes them
/// form 1: a list or map with rows of its own; the content is how many elements or entries it has (8)
/// form 2: one value that is a number: its 8 bytes
/// form 3: the same with a stamp behind it (8)
/// ```
///
/// Little-endian.
enum StateRow {
  static let inline: UInt8 = 0
  static let large: UInt8 = 1
  static let word: UInt8 = 2
  static let timedWord: UInt8 = 3
  private static let headSize = 7
  /// Of the forms whose length is known.
  static let shortHeadSize = 3

  /// Appends what a column holds for the slot; nothing if it holds nothing.
  static func append(_ column: StateColumn, _ number: UInt16, _ slot: UInt32, to bytes: inout [UInt8])
    throws(EngineError)
  {
    guard column.isSet(slot) else { return }
    if let words = (column as? ValueStateColumn)?.words(number) { return words.append(slot, to: &bytes) }
    let start = bytes.count
    appendHead(number, inline, 0, to: &bytes)
    column.encodeEntries(of: slot, into: &bytes)
    let length = bytes.count - start - headSize
    guard let short = UInt32(exactly: length) else { throw tooLong("'\(column.descriptor.name)'", length) }
    withUnsafeBytes(of: short.littleEndian) { length in
      for index in 0..<4 { bytes[start + 3 + index] = length[index] }
    }
  }

  /// The same of entries that another store or a snapshot had.
  static func append(_ entries: [UInt8], _ number: UInt16, to bytes: inout [UInt8]) throws(EngineError) {
    guard let length = UInt32(exactly: entries.count) else { throw tooLong("number \(number)", entries.count) }
    appendHead(number, inline, length, to: &bytes)
    bytes += entries
  }

  private static func tooLong(_ state: String, _ length: Int) -> EngineError {
    EngineError(
      .valueRange,
      "state \(state) holds \(length) bytes for one key; a store takes less than 4 GiB: split the value over several keys"
    )
  }

  static func appendLarge(_ number: UInt16, count: Int, to bytes: inout [UInt8]) {
    appendHead(number, large, 8, to: &bytes)
    withUnsafeBytes(of: Int64(count).littleEndian) { bytes.append(contentsOf: $0) }
  }

  private static func appendHead(_ number: UInt16, _ form: UInt8, _ length: UInt32, to bytes: inout [UInt8]) {
    withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
    bytes.append(form)
    withUnsafeBytes(of: length.littleEndian) { bytes.append(contentsOf: $0) }
  }

  /// One state of a row.
  struct Part {
    let number: UInt16
    let form: UInt8
    let content: UnsafeRawBufferPointer
    /// Head and content.
    let whole: UnsafeRawBufferPointer

    /// How many entries it has in rows of its own.
    var count: Int? {
      form == StateRow.large && content.count == 8
        ? Int(Int64(littleEndian: content.loadUnaligned(as: Int64.self))) : nil
    }

    /// As `StateColumn.encodeEntries` writes what it holds, but for large lists and maps.
    var entries: [UInt8] {
      guard form >= StateRow.word else { return Array(content) }
      return [1, form == StateRow.timedWord ? 1 : 0, 1, 0, 0, 0, 0, 0, 0, 0] + content
    }
  }

  /// Calls `body` with every state; false if the bytes are damaged.
  static func forEach(_ row: UnsafeRawBufferPointer, _ body: (Part) throws(EngineError) -> Void) throws(EngineError)
    -> Bool
  {
    var offset = 0
    while offset < row.count {
      guard row.count - offset >= headSize else { return false }
      let number = UInt16(littleEndian: row.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
      let form = row[offset + 2]
      var start = offset + headSize
      let length: Int
      switch form {
      case inline, large:
        length = Int(UInt32(littleEndian: row.loadUnaligned(fromByteOffset: offset + 3, as: UInt32.self)))
      case word, timedWord:
        start = offset + shortHeadSize
        length = form == word ? 8 : 16
      default: return false
      }
      guard length <= row.count - start else { return false }
      let end = start + length
      try body(
        Part(
          number: number, form: form,
          content: UnsafeRawBufferPointer(rebasing: row[start..<end]),
          whole: UnsafeRawBufferPointer(rebasing: row[offset..<end])))
      offset = end
    }
    return true
  }
}
