import MartletRocksDB
import Testing

@testable import Martlet

/// What has expired leaves the store though its key is never met again.
@Suite struct StoreExpiryTests {
  struct Brief: ProcessFunction {
    let value: ValueState<Int64>
    let text: ValueState<String>
    let list: ListState<Int64>
    let map: MapState<Int64, Int64>
    let lasting = ValueState<Int64>("lasting")

    init() throws {
      let ttl = try StateTTL(milliseconds: 100)
      value = ValueState("value", ttl: ttl)
      text = ValueState("text", ttl: ttl)
      list = ListState("list", ttl: ttl)
      map = MapState("map", ttl: ttl)
    }

    func onEvent(key: Key, batch: Record, row: Int, context: Context) {
      switch key.int64 % 6 {
      case 0: value.set(1)
      case 1: text.set("some text")
      case 2: list.add(1)
      case 3: map.put(1, 1)
      case 4: for number in Int64(0)..<20 { map.put(number, number) }
      default: lasting.set(1)
      }
      // One in ten has something that stays.
      if key.int64 % 10 == 0 { lasting.set(key.int64) }
    }
  }

  static let fields = [Field("k", .int64)]

  /// Keys with rows in the store, and how many rows there are in all.
  private func stored(_ rig: StoredRig) throws -> (keys: Int, rows: Int) {
    let store = try #require(rig.store)
    let cursor = try store.cursor(StoreFamily(0), KeyRange())
    defer { cursor.close() }
    var (keys, rows) = (0, 0)
    while try cursor.next() {
      rows += 1
      if cursor.key.last == StoreKeys.record, cursor.key.count == StoreKeys.plainKeySize { keys += 1 }
    }
    return (keys, rows)
  }

  @Test(arguments: StoredProgramTests.Kind.allCases, [false, true])
  func expiredRowsGo(_ kind: StoredProgramTests.Kind, isIdle: Bool) throws {
    let rig = try StoredRig(kind == .memory ? MemoryStoreBackend() : RocksDBBackend(), Schema(Self.fields)) {
      try ProcessSpec("brief", by: "k", try Brief())
    }
    rig.policies.onError = .raise
    rig.limits.memory = 1
    try rig.open([0, 5])
    func push(_ keys: Range<Int64>) throws {
      let rows = keys.map { [Value.int($0)] }
      try rig.push(Self.fields, rows, times: rows.map { _ in 0 }, watermark: 0)
      try rig.flush()
    }
    try push(0..<1200)
    // Nothing is in memory, and all of it is in the store: 1200 keys, and 20 entries for each of 200.
    #expect(rig.instances.allSatisfy { $0.counters.keys == 0 })
    #expect(try stored(rig) == (1200, 1200 + 200 * 20))
    try rig.clock.advance(to: 99)
    for instance in rig.instances { instance.sweepExpired() }
    #expect(try rig.flush().isEmpty)
    try rig.clock.advance(to: 100)
    // Of keys that lasting is set of: one in six, and one in ten; of these one in thirty is both.
    let left = (0..<1200).count { $0 % 6 == 5 || $0 % 10 == 0 }
    if isIdle {
      for _ in 0..<4 {
        for instance in rig.instances { instance.sweepExpired() }
        try rig.flush()
      }
    } else {
      // A few records of other keys, each of which lets some rows be looked at.
      for round in Int64(0)..<200 {
        try push((12_000 + 6 * round + 5)..<(12_000 + 6 * round + 6))
      }
    }
    let extra = isIdle ? 0 : 200
    #expect(try stored(rig) == (left + extra, left + extra))
    #expect(rig.instances.allSatisfy { $0.memoryInUse < 1 << 20 })
  }
}
