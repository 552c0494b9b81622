/// The stable hash of integer keys, one after another: `StableHash` of their canonical bytes (`KeyEncoding`: a tag, a sign, eight
/// bytes), without writing them down.
///
/// Eight of the ten bytes are the same for 65,536 neighbouring keys, and what the hash makes of them is half of its chain of
/// multiplications. So it is kept for the heads seen last, in a table that one look decides: dense keys mostly find theirs.
struct IntegerKeyHash {
  private struct Entry: BitwiseCopyable {
    var word: UInt64
    var state: UInt64
  }

  private static let entryCount = 256
  private let entries: UnsafeMutablePointer<Entry>

  init() {
    entries = .allocate(capacity: IntegerKeyHash.entryCount)
    // No head is 0: its lowest byte is a tag.
    entries.initialize(repeating: Entry(word: 0, state: 0), count: IntegerKeyHash.entryCount)
  }

  /// Gives its memory back; whoever has it calls it once.
  func free() { entries.deallocate() }

  @inline(__always)
  func callAsFunction(_ value: Int64, isNegative: Bool) -> UInt64 {
    let bits = UInt64(bitPattern: value)
    let word = UInt64(KeyEncoding.Tag.integer) | (isNegative ? 0 : 1) << 8 | bits.byteSwapped << 16
    let place = Int(truncatingIfNeeded: (bits >> 16) & UInt64(IntegerKeyHash.entryCount - 1))
    var state = entries[place].state
    if _slowPath(entries[place].word != word) {
      state = StableHash.begin(tenBytes: word)
      entries[place] = Entry(word: word, state: state)
    }
    return StableHash.end(state, tail: (UInt8(truncatingIfNeeded: bits >> 8), UInt8(truncatingIfNeeded: bits)))
  }
}
