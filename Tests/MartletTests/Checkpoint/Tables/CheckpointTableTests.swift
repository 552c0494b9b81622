import Testing

@testable import Martlet

/// What a checkpoint holds as tables, and tables as what a job begins with.
@Suite struct CheckpointTableTests {
  /// A checkpoint of one operator, from its snapshot.
  static func checkpoint(_ name: String, _ snapshot: [UInt8], inputs: Int = 2) -> Checkpoint {
    var merge = ByteWriter()
    if inputs == 2 { merge.merge(MergeStage(.broadcast, .timestamps)) }
    let one = JobSnapshot.Operator(
      name: name, isOpen: true, hasEnded: false, firstRecords: Array(repeating: 0, count: inputs), lanes: [],
      merge: merge.bytes)
    let sources = (0..<inputs).map { number in
      JobSnapshot.Source(
        name: "source \(number)", offset: [UInt8(number)], rows: 3, firstRecord: 4, watermark: 9, hasEnded: false,
        isIdle: false)
    }
    let job = JobSnapshot(
      maxParallelism: 128, parallelism: 1, processingTime: 5, turn: 0, sources: sources, operators: [one], sink: [])
    return Checkpoint(id: 7, time: 5, jobName: "tables", job: job, operators: [.bytes(snapshot)])
  }

  static func disk() throws -> MemoryFileSystem {
    let files = MemoryFileSystem()
    try files.makeDirectories("/state")
    return files
  }

  /// All of a table.
  static func batches(_ rows: StateRows, by size: Int = StateRows.batchRows) throws -> [RecordBatch] {
    var batches: [RecordBatch] = []
    while let batch = try rows.next(maxRows: size) {
      #expect(batch.numRows <= size)
      batches.append(batch)
    }
    return batches
  }

  static func everyJob(key: String) throws -> Job {
    let nothing = Stream(BatchSource([]))
    let function = try EveryState()
    return try broadcastStream(nothing, nothing.broadcast(), key: key, function, name: "every").job()
  }

  /// Every state and every timer, read and written again, in tables of any batch size: the same bytes.
  @Test(arguments: ["k", "s"], [1, 2, 3])
  func thereAndBack(key: String, seed: Int) throws {
    var random = SeededGenerator(UInt64(seed))
    let rig = try EveryStateRig(MemoryStoreBackend(), EveryStateRig.Shape(key: key))
    try rig.push(&random, records: 1500)
    let files = try CheckpointTableTests.disk()
    try CheckpointTableTests.checkpoint("every", rig.plain.snapshot()).write(to: "/state/one", files)
    let reader = try StateReader("/state/one", files)
    let one = try #require(reader.operators.first)
    #expect(one.name == "every" && one.kind == .broadcast && one.keys.map(\.name) == [key])
    #expect(one.states.map(\.name).sorted() == EveryStateRig.stateNames)
    let counts = try reader.counts(operator: 0)

    let builder = try StateBuilder("/state/two", template: CheckpointTableTests.everyJob(key: key), files)
    let size = [1, 7, 8192][seed - 1]
    var timers: Int64 = 0
    for batch in try CheckpointTableTests.batches(reader.timers(operator: 0), by: size) {
      timers += Int64(batch.numRows)
      try builder.add(operator: "every", table: "timers", batch)
    }
    #expect(timers == counts.timers && timers > 10)
    for (number, state) in one.states.enumerated() {
      var rows: Int64 = 0
      for batch in try CheckpointTableTests.batches(reader.rows(operator: 0, state: number), by: size) {
        rows += Int64(batch.numRows)
        try builder.add(operator: nil, table: state.name, batch)
      }
      #expect(rows == counts.states[number].entries && rows > 3, "\(state.name)")
    }
    try builder.finish()

    let again = try StateReader("/state/two", files)
    var keys: [SnapshotKey] = []
    var source = try again.keys(of: 0)
    while let key = try source.next() { keys.append(key) }
    let text = difference(keys, try rig.expected())
    #expect(text == nil)
    #expect(
      again.sources.allSatisfy { $0.name == "stream" && $0.offset == nil }
        && again.operators[0].watermark == EventTime.min)
    try rig.close()
  }

  @Test func oneKeyOfManyIsFound() throws {
    var random = SeededGenerator(5)
    let rig = try EveryStateRig(MemoryStoreBackend(), EveryStateRig.Shape())
    try rig.push(&random, records: 800)
    let files = try CheckpointTableTests.disk()
    try CheckpointTableTests.checkpoint("every", rig.plain.snapshot()).write(to: "/state/one", files)
    let reader = try StateReader("/state/one", files)
    let (index, state) = try reader.find(operator: nil, state: "map")
    let number = try #require(state)
    let all = try CheckpointTableTests.batches(reader.rows(operator: index, state: number)).flatMap { $0.rows }
    for wanted in Int64(-6)...41 {
      let key = try batch([Field("any name", .int16)], [[.int(wanted)]])
      let found = try CheckpointTableTests.batches(reader.rows(operator: index, state: number, key: key)).flatMap {
        $0.rows
      }
      #expect(found == all.filter { $0[0] == .int(wanted) })
    }
    let text = try batch([Field("k", .utf8)], [[.text("5")]])
    #expect(throws: EngineError.self) { try reader.rows(operator: index, state: number, key: text) }
    try rig.close()
  }

  @Test func aDirectoryGivesItsNewestWholeCheckpoint() throws {
    let files = MemoryFileSystem()
    try files.makeDirectories("/job/checkpoints")
    let job = try CheckpointTableTests.everyJob(key: "k")
    for id in 1...3 {
      let place = "/job/checkpoints/0000000000000000000\(id)"
      let builder = try StateBuilder(place, template: job, files)
      try builder.add(
        operator: nil, table: "value",
        batch([Field("k", .int64), Field("value", .int64)], [[.int(1), .int(Int64(id))]])
      )
      try builder.finish()
    }
    #expect(try StateReader("/job", files).path.hasSuffix("3"))
    var bytes = try files.contents("/job/checkpoints/00000000000000000003/operator-1.snapshot")
    bytes[bytes.count / 2] ^= 1
    try files.write(bytes, to: "/job/checkpoints/00000000000000000003/operator-1.snapshot", .replace)
    let reader = try StateReader("/job", files)
    #expect(reader.path.hasSuffix("2") && reader.damaged.count == 1)
    #expect(reader.damaged[0].message.contains("00000000000000000003/operator-1.snapshot"))
    let value = try #require(try reader.find(operator: "every", state: "value").state)
    let rows = try CheckpointTableTests.batches(reader.rows(operator: 0, state: value)).flatMap { $0.rows }
    #expect(rows == [[.int(1), .int(2)]])
    #expect(try StateReader("/job/checkpoints", files).path == reader.path)
  }

  /// A savepoint of format version 1 stays readable.
  @Test func theGoldenSavepointHasItsTables() throws {
    let files = try CheckpointTableTests.disk()
    try files.makeDirectory("/state/golden")
    for name in ["manifest", "job.state", "operator-1.snapshot"] {
      try files.write(SnapshotTests.hexFile("Tests/Golden/savepoint-1/\(name).hex"), to: "/state/golden/\(name)")
    }
    let reader = try StateReader("/state/golden", files)
    #expect(reader.jobName == "golden" && reader.id == 1 && reader.time == 5)
    #expect(reader.sources.map(\.name) == ["left", "right"] && reader.sources.map(\.records) == [2, 5])
    #expect(reader.operators.map(\.name) == ["co"] && reader.operators[0].kind == .connect)
    let counts = try reader.counts(operator: 0)
    for (number, state) in reader.operators[0].states.enumerated() {
      let rows = try CheckpointTableTests.batches(reader.rows(operator: 0, state: number)).reduce(0) { $0 + $1.numRows }
      #expect(Int64(rows) == counts.states[number].entries, "\(state.name)")
    }
    #expect(counts.keys > 0 && counts.states.contains { $0.entries > 0 })
  }

  @Test func whatIsNotThereIsSaid() throws {
    let files = try CheckpointTableTests.disk()
    func message(_ body: () throws -> Void) -> String {
      do {
        try body()
        return "nothing"
      } catch { return "\(error)" }
    }
    #expect(message { _ = try StateReader("/nowhere", files) }.contains("no such directory"))
    #expect(message { _ = try StateReader("/state", files) }.contains("neither a manifest"))
    let builder = try StateBuilder("/state/one", template: CheckpointTableTests.everyJob(key: "k"), files)
    try builder.finish()
    let reader = try StateReader("/state/one", files)
    let state = message { _ = try reader.find(operator: nil, state: "valu") }
    #expect(state.contains("there is no state 'valu' (did you mean 'value'?); operator 'every' has the states 'value'"))
    let name = message { _ = try reader.find(operator: "Every", state: nil) }
    #expect(name.contains("there is no operator 'Every' (did you mean 'every'?)"))
    // An operator without a record has no key types, and its tables no rows.
    let rows = try reader.rows(operator: 0, state: 0)
    #expect(rows.schema.fields[0].type == .null)
    #expect(try rows.next() == nil)
    #expect(
      message { _ = try StateBuilder("/state/one", template: CheckpointTableTests.everyJob(key: "k"), files) }
        .contains("something of that name is there"))
  }
}

extension EveryStateRig {
  static let stateNames = [
    "brief", "briefList", "briefMap", "counts", "flag", "joined", "list", "map", "numbers", "rules", "sum", "text",
    "value",
  ]
}
