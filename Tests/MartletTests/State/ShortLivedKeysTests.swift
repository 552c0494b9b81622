import CMartlet
import Testing

@testable import Martlet

/// Keys whose states are cleared and that have no timers cost nothing, however many there were.
@Suite struct ShortLivedKeysTests {
  /// Counts to two per key and forgets it.
  struct Pairs: ProcessFunction {
    let seen = ValueState<Int64>("seen")
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      if seen.exists() { seen.clear() } else { seen.set(1) }
    }
  }

  /// The same with a list of elements in blocks of their own.
  struct Lists: ProcessFunction {
    let seen = ListState<String>("seen")
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      if seen.count > 0 {
        seen.add("added to what is there already")
        seen.clear()
      } else {
        for number in 0..<3 { seen.add(number == 1 ? "longer than what lies inside" : "short") }
      }
    }
  }

  /// And with a map, which goes entry by entry.
  struct Maps: ProcessFunction {
    let seen = MapState<Int64, String>("seen")
    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      if seen.count > 0 {
        for entry in seen.keys() { seen.remove(entry) }
      } else {
        for number in Int64(0)..<3 { seen.put(number, number == 1 ? "longer than what lies inside" : "short") }
      }
    }
  }

  /// Ten million keys, each there for two records.
  @Test func tenMillionKeysRunInFlatMemory() throws {
    try run(Pairs(), keys: 10_000_000, most: 4_000_000)
  }

  /// `MARTLET_SHORT_LIVED_KEYS=10000000` runs as many of these too: seconds in a release build, minutes in a debug build.
  @Test func keysWithListsRunInFlatMemory() throws { try run(Lists(), keys: keysOfCollections, most: 12_000_000) }

  @Test func keysWithMapsRunInFlatMemory() throws { try run(Maps(), keys: keysOfCollections, most: 12_000_000) }

  private var keysOfCollections: Int { testSetting("MARTLET_SHORT_LIVED_KEYS", 500_000) }

  /// Runs two records of each of so many keys, 25,000 keys at a time, and checks what is held on the way.
  private func run(_ function: some ProcessFunction, keys count: Int, most: Int) throws {
    let schema = Schema([Field("k", .int64)])
    let process = try ProcessOperator(
      ProcessSpec(name: "pairs", keyColumns: ["k"], function, states: [], outputSchema: nil), nullKeys: .raise)
    try process.open(inputSchema: schema)
    let rows = 50_000
    let keys = UnsafeMutablePointer<Int64>.allocate(capacity: rows)
    defer { keys.deallocate() }
    let batch = try RecordBatch.borrowing(keys, rows, schema)
    var highest = 0
    for chunk in 0..<(count / (rows / 2)) {
      for row in 0..<rows { keys[row] = Int64(chunk * rows / 2 + row / 2) }
      try process.process(
        Chunk(
          batch: batch, selection: RowSelection(start: 0, count: rows), timestamps: nil,
          marks: UnsafeBufferPointer(start: nil, count: 0), firstRecord: Int64(chunk * rows)))
      let counters = process.counters
      highest = max(highest, counters.stateBytes)
      #expect(counters.keys == 0 && counters.stateEntries == 0)
    }
    #expect(highest < most, "\(highest) bytes for 25,000 keys at a time")
  }

  /// The same with strings, timers and the keys of several columns.
  @Test func timersAndStringsAreGivenBack() throws {
    struct Expiring: ProcessFunction {
      let last = ValueState<String>("last")
      func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
        last.set(String(repeating: key.string, count: 5))
        try context.registerEventTimeTimer(context.timestamp! + 100)
      }
      func onTimer(key: Key, fireTime: Int64, context: Context) throws { last.clear() }
    }
    let rig = try OperatorRig(Expiring())
    var highest = 0
    for second in 0..<3000 {
      let keys = (0..<10).map { "user-number-\(second * 10 + $0)@\(second * 10)" }
      try rig.run(Timeline(stringLiteral: keys.joined(separator: " ") + " W\(second * 10)"))
      highest = max(highest, rig.process.counters.stateBytes)
      #expect(rig.process.counters.keys <= 130)
    }
    #expect(highest < 200_000, "\(highest) bytes for 120 keys at a time")
    try rig.run("END")
    #expect(rig.process.counters.keys == 0 && rig.process.counters.timersPending == 0)
  }
}

extension RecordBatch {
  /// One column over memory that the test owns and may change between calls.
  static func borrowing(_ values: UnsafeMutablePointer<Int64>, _ rows: Int, _ schema: Schema) throws -> RecordBatch {
    let tally = Tally()
    let child = ArrowFixture.Node(tally)
    child.buffers = [nil, nil]
    let parent = ArrowFixture.Node(tally)
    parent.buffers = [nil]
    let column = child.finish(length: rows, offset: 0, nullCount: 0)
    column.buffers[1] = UnsafeRawPointer(values)
    parent.children = [column]
    var array = parent.finish(length: rows, offset: 0, nullCount: 0)
    return try RecordBatch(moving: &array, schema: schema)
  }
}
