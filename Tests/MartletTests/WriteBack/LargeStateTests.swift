import MartletRocksDB
import Testing

@testable import Martlet

/// Lists and maps of many entries: a flush writes what changed of them and no more, and another life has them again.
@Suite struct LargeStateTests {
  final class Seen { var counts: [Int] = [] }

  /// `op`: 0 appends `arg` elements, 1 puts `arg` entries from key `at` on, 2 removes one, 3 tells the counts and `at`'s value, 4 clears.
  struct Large: ProcessFunction {
    let seen: Seen
    let list = ListState<Int64>("list")
    let map = MapState<Int64, Int64>("map")
    let op = InputColumn<Int64>("op")
    let arg = InputColumn<Int64>("arg")
    let at = InputColumn<Int64>("at")
    static let fields = [Field("k", .int64), Field("op", .int64), Field("arg", .int64), Field("at", .int64)]

    func onEvent(key: Key, batch: Record, row: Int, context: Context) {
      let (arg, at) = (batch[arg]!, batch[at]!)
      switch batch[op]! {
      case 0: for number in 0..<arg { list.add(number) }
      case 1: for number in 0..<arg { map.put(at + number, at) }
      case 2: map.remove(at)
      case 3: seen.counts += [list.count, map.count, Int(map.get(at) ?? -1)]
      default:
        list.clear()
        map.clear()
      }
    }
  }

  private func rig(_ kind: StoredProgramTests.Kind, _ seen: Seen) throws -> StoredRig {
    let rig = try StoredRig(kind == .memory ? MemoryStoreBackend() : RocksDBBackend(), Schema(Large.fields)) {
      try ProcessSpec("large", by: "k", Large(seen: seen))
    }
    rig.policies.onError = .raise
    rig.limits = .init(memory: 1 << 30, largeAbove: 256, listChunk: 512)
    try rig.open()
    return rig
  }

  private func push(_ rig: StoredRig, _ op: Int64, _ arg: Int64 = 0, at: Int64 = 0) throws {
    try rig.push(Large.fields, [[.int(1), .int(op), .int(arg), .int(at)]], times: [0], watermark: 0)
  }

  @Test(arguments: StoredProgramTests.Kind.allCases)
  func aFlushWritesWhatChanged(_ kind: StoredProgramTests.Kind) throws {
    let seen = Seen()
    let rig = try rig(kind, seen)
    // (A store in memory copies its whole table with every write.)
    let many: Int64 = kind == .memory ? 20_000 : 1_000_000
    try push(rig, 0, many)
    try push(rig, 1, many, at: 0)
    // One row per entry, one per 512 elements, and the key's own.
    #expect(try rig.flush().count == Int(many) + (Int(many) + 511) / 512 + 1)

    try push(rig, 1, 1, at: many / 2)
    var batch = try rig.flush()
    #expect(batch.count == 2 && batch.size < 200)
    try push(rig, 2, at: 7)
    try push(rig, 1, 3, at: many - 1)
    batch = try rig.flush()
    #expect(batch.count == 5 && batch.size < 400)
    try push(rig, 0, 1)
    batch = try rig.flush()
    #expect(batch.count == 2 && batch.size < 10_000)
    // Read only: the row of the key, and none of its entries.
    try push(rig, 3, at: many / 2)
    #expect(try rig.flush().count == 1)
    #expect(seen.counts == [Int(many) + 1, Int(many) + 1, Int(many) / 2])

    try rig.reopen([0])
    try push(rig, 3, at: 7)
    try push(rig, 3, at: many + 1)
    #expect(seen.counts[3...] == [Int(many) + 1, Int(many) + 1, -1, Int(many) + 1, Int(many) + 1, Int(many) - 1])
    // Gone, and not found again: one removal of a range for each, and the row of the key.
    try push(rig, 4)
    #expect(try rig.flush().count == 3)
    try rig.reopen([0])
    try push(rig, 3)
    #expect(seen.counts[9...] == [0, 0, -1])
    #expect(try rig.content().isEmpty)
  }

  /// Over the border and back, cleared and filled again between two flushes.
  @Test(arguments: StoredProgramTests.Kind.allCases)
  func smallAndLarge(_ kind: StoredProgramTests.Kind) throws {
    let seen = Seen()
    let rig = try rig(kind, seen)
    for (elements, entries) in [(10, 10), (300, 300), (400, 0), (0, 5), (2000, 2000), (3, 400)] as [(Int64, Int64)] {
      try push(rig, 4)
      try push(rig, 0, elements)
      try push(rig, 1, entries, at: -40)
      try rig.reopen([0])
      seen.counts = []
      try push(rig, 3, at: -40)
      #expect(seen.counts == [Int(elements), Int(entries), entries > 0 ? -40 : -1])
    }
    try push(rig, 4)
    try rig.flush()
    let cursor = try #require(try rig.store?.cursor(StoreFamily(0), KeyRange()))
    #expect(try !cursor.next())
    cursor.close()
  }
}
