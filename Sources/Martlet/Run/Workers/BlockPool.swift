/// The shared memory that one side writes, used again and again: making and mapping it costs more than filling it.
///
/// A block is in use from `take` until everybody it was lent to has given it back; readers do so when they have dropped the last
/// batch that lies in it, however long that takes. So a block is never written while somebody may read it. What is free beyond
/// `mostFreeBytes` is let go.
///
/// Not thread-safe.
final class BlockPool {
  typealias Number = UInt32

  private struct Entry {
    let block: SharedBlock
    /// Who uses it; 0 makes it free.
    var uses = 0
    /// Whom it was introduced to, as a number of the reader.
    var readers: Set<Int> = []
  }

  private static let smallestBlock = 1 << 16
  private let readerCount: Int
  private let mostFreeBytes: Int
  private var entries: [Number: Entry] = [:]
  private var nextNumber: Number = 0
  /// By size, ascending.
  private var free: [Number] = []
  private var freeBytes = 0
  /// Those that were let go, with whom has to be told.
  private(set) var dropped: [(number: Number, readers: Set<Int>)] = []

  init(readers: Int, mostFreeBytes: Int = 64 << 20) {
    readerCount = readers
    self.mostFreeBytes = mostFreeBytes
  }

  var blockCount: Int { entries.count }
  var blocksInUse: Int { entries.count - free.count }

  /// A block of at least `size` bytes, used once by the caller: give it back with `release`.
  func take(_ size: Int) throws(EngineError) -> Number {
    if let position = free.firstIndex(where: { entries[$0]!.block.size >= size }) {
      let number = free[position]
      let fits = entries[number]!.block.size
      // A few cells must not hold on to the memory of a large batch while small blocks could be had.
      if fits <= 16 * max(size, Self.smallestBlock) {
        free.remove(at: position)
        freeBytes -= fits
        entries[number]!.uses = 1
        return number
      }
    }
    var rounded = Self.smallestBlock
    while rounded < size { rounded *= 2 }
    let number = nextNumber
    nextNumber += 1
    entries[number] = Entry(block: try SharedBlock(creating: rounded), uses: 1)
    return number
  }

  func block(_ number: Number) -> SharedBlock { entries[number]!.block }

  /// Notes that a reader uses the block. The block itself if that reader does not know it yet, to be introduced.
  func lend(_ number: Number, to reader: Int) -> SharedBlock? {
    entries[number]!.uses += 1
    guard entries[number]!.readers.insert(reader).inserted else { return nil }
    return entries[number]!.block
  }

  /// All readers have it: its descriptor is of no more use.
  func closeDescriptorIfKnownToAll(_ number: Number) {
    if let entry = entries[number], entry.readers.count == readerCount { entry.block.closeDescriptor() }
  }

  /// One use ended. A number that is not in use is nobody's; that is for the caller to complain about.
  @discardableResult
  func release(_ number: Number) -> Bool {
    guard let uses = entries[number]?.uses, uses > 0 else { return false }
    entries[number]!.uses = uses - 1
    if uses == 1 { becomeFree(number) }
    return true
  }

  private func becomeFree(_ number: Number) {
    let size = entries[number]!.block.size
    let position = free.firstIndex { entries[$0]!.block.size >= size } ?? free.count
    free.insert(number, at: position)
    freeBytes += size
    while freeBytes > mostFreeBytes, let largest = free.popLast(), let entry = entries.removeValue(forKey: largest) {
      freeBytes -= entry.block.size
      dropped.append((largest, entry.readers))
    }
  }

  func takeDropped() -> [(number: Number, readers: Set<Int>)] {
    defer { dropped = [] }
    return dropped
  }
}
