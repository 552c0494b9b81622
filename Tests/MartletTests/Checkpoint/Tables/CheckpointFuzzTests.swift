import Testing

@testable import Martlet

/// Whatever the bytes of a checkpoint are: it is read, or refused with an error that says which file is wrong. Nothing traps.
///
/// `tools/fuzz_checkpoints.sh` runs it for longer, from a seed of its own.
@Suite struct CheckpointFuzzTests {
  static let rounds = testSetting("MARTLET_FUZZ_ROUNDS", 300)
  static let firstSeed = testSetting("MARTLET_FUZZ_SEED", 1)

  /// Goes to any place: what its own offset means, a source has to look after itself.
  private final class NoRows: Source {
    let schema: Schema? = Schema(Gadget.fields)
    func next() throws -> RecordBatch? { nil }
    func restore(_ offset: SourceOffset) throws {}
  }

  /// The files of a checkpoint without its manifest.
  struct Files {
    var job: [UInt8]
    var operators: [[UInt8]]

    func write(_ manifest: [UInt8]? = nil) throws -> MemoryFileSystem {
      let files = try CheckpointTableTests.disk()
      try files.makeDirectory("/state/one")
      var listed = [Manifest.File(Manifest.jobFile, job)]
      try files.write(job, to: "/state/one/\(Manifest.jobFile)")
      for (index, bytes) in operators.enumerated() {
        listed.append(Manifest.File(Checkpoint.operatorFile(index), bytes))
        try files.write(bytes, to: "/state/one/\(Checkpoint.operatorFile(index))")
      }
      let whole = Manifest(id: 1, time: 2, jobName: "job", notReplayable: ["a"], files: listed).encoded()
      try files.write(manifest ?? whole, to: "/state/one/\(Manifest.fileName)")
      return files
    }
  }

  /// A function with every kind of state, and one of two inputs with records that wait.
  static func original() throws -> [Files] {
    var random = SeededGenerator(11)
    let rig = try EveryStateRig(MemoryStoreBackend(), EveryStateRig.Shape(key: "s"))
    try rig.push(&random, records: 150, keys: 6)
    let every = try CheckpointTableTests.checkpoint("every", rig.plain.snapshot())
    try rig.close()
    let waiting = try CheckpointFileTests.checkpoint(id: 1)
    return try [every, waiting].map { Files(job: $0.job.encoded(), operators: try $0.snapshots()) }
  }

  /// Everything that looks into a checkpoint, and a job that goes on from it. What is thrown is an `EngineError` that names something.
  static func use(_ files: MemoryFileSystem, _ place: String) {
    func expect(_ what: String, _ body: () throws -> Void) {
      do { try body() } catch let error as EngineError {
        #expect(error.kind != .internalError && error.message.utf8.count > 20, "\(place), \(what): \(error)")
      } catch {
        Issue.record("\(place), \(what): \(error)")
      }
    }
    expect("reading") {
      let reader = try StateReader("/state/one", files)
      for (index, one) in reader.operators.enumerated() {
        expect("counts") { _ = try reader.counts(operator: index) }
        expect("timers") { while try reader.timers(operator: index).next() != nil { break } }
        for state in one.states.indices {
          expect("rows") {
            let rows = try reader.rows(operator: index, state: state)
            while try rows.next(maxRows: 50) != nil {}
          }
        }
      }
    }
    expect("restoring") {
      let checkpoint = try Checkpoint(reading: "/state/one", files)
      let job = Job(name: "job", nullTimestamps: .process, clock: ManualClock(5))
      for source in ["left", "right"] { try job.addSource(NoRows(), name: source) }
      try job.addProcess(.twoInputs("co", .connect, (["k"], ["k"])) { CoGadget() }, [.source(0), .source(1)])
      try job.restore(checkpoint)
      job.staysOpenAtEnd = true
      // Records that waited are the function's to refuse.
      do { while try job.next() != nil {} } catch let error as EngineError { throw error } catch {}
    }
  }

  static func mutated(_ bytes: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<(random.chance(60) ? 1 : Int.random(in: 2...6, using: &random)) where !bytes.isEmpty {
      let at = Int.random(in: 0..<bytes.count, using: &random)
      switch Int.random(in: 0..<7, using: &random) {
      case 0: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      case 1: bytes[at] = [0, 1, 0x7F, 0x80, 0xFF][Int.random(in: 0..<5, using: &random)]
      case 2: bytes.remove(at: at)
      case 3: bytes.insert(UInt8.random(in: 0...255, using: &random), at: at)
      case 4: bytes.removeLast(bytes.count - at)
      case 5: for index in at..<min(at + 8, bytes.count) { bytes[index] = random.chance(50) ? 0xFF : 0 }
      default:
        let from = Int.random(in: 0..<bytes.count, using: &random)
        let count = min(Int.random(in: 1...16, using: &random), bytes.count - max(at, from))
        for index in 0..<count { bytes[at + index] = bytes[from + index] }
      }
    }
    return bytes
  }

  /// With length and checksum of the frame as they should be, so that the content is looked at.
  static func sealed(_ bytes: [UInt8]) -> [UInt8] {
    guard bytes.count >= 32 else { return bytes }
    var bytes = bytes
    withUnsafeBytes(of: UInt64(bytes.count).littleEndian) { bytes.replaceSubrange(16..<24, with: $0) }
    let end = bytes.count - 8
    let hash = bytes.withUnsafeBytes { StableHash.hash(UnsafeRawBufferPointer(rebasing: $0[..<end])) }
    withUnsafeBytes(of: hash.littleEndian) { bytes.replaceSubrange(end..., with: $0) }
    return bytes
  }

  @Test func anyBytesAreReadOrRefused() throws {
    let originals = try CheckpointFuzzTests.original()
    for round in 0..<CheckpointFuzzTests.rounds {
      let seed = UInt64(CheckpointFuzzTests.firstSeed + round)
      var random = SeededGenerator(seed)
      var files = originals[round % originals.count]
      let isSealed = random.chance(85)
      func change(_ bytes: [UInt8]) -> [UInt8] {
        let changed = CheckpointFuzzTests.mutated(bytes, &random)
        return isSealed ? CheckpointFuzzTests.sealed(changed) : changed
      }
      var manifest: [UInt8]?
      switch round / originals.count % 4 {
      case 0: files.job = change(files.job)
      case 1, 2: files.operators[0] = change(files.operators[0])
      default:
        let disk = try files.write()
        manifest = change(try disk.contents("/state/one/\(Manifest.fileName)"))
      }
      CheckpointFuzzTests.use(try files.write(manifest), "seed \(seed)")
    }
  }

  /// No bytes at all, and bytes that were never a checkpoint's.
  @Test func randomFilesAreRefused() throws {
    var random = SeededGenerator(UInt64(CheckpointFuzzTests.firstSeed))
    for round in 0..<CheckpointFuzzTests.rounds / 3 {
      func bytes() -> [UInt8] {
        let count = Int.random(in: 0...100, using: &random)
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
      }
      let files = Files(job: bytes(), operators: [bytes()])
      CheckpointFuzzTests.use(try files.write(round % 3 == 0 ? bytes() : nil), "round \(round)")
    }
  }
}
