import MartletRocksDB
import Testing

@testable import Martlet

/// Where the jobs of a test keep their state.
enum DurableKind: CaseIterable, CustomTestStringConvertible {
  case memory, memoryStore, rocksdb

  var testDescription: String { "\(self)" }

  func options(_ random: inout SeededGenerator) -> StateDirectory.Options {
    var options = StateDirectory.Options()
    options.readers = [RocksDBBackend(), MemoryStoreBackend()]
    switch self {
    case .memory: break
    case .memoryStore: options.backend = MemoryStoreBackend()
    case .rocksdb: options.backend = RocksDBBackend()
    }
    options.memoryLimit = 2 << 20
    options.instanceMemory = [1, 4_000, 100_000][Int.random(in: 0..<3, using: &random)]
    options.largeAbove = [2, 20][Int.random(in: 0..<2, using: &random)]
    options.listChunk = 3
    options.retained = Int.random(in: 1...3, using: &random)
    return options
  }
}

/// A sink whose transactions are rows in memory, which outlives its jobs.
struct TransactionalRows {
  /// Per output.
  var committed: [[[Value]]]
  private var prepared: [Int64: [[[Value]]]] = [:]
  private var open: [[[Value]]]

  init(outputs: Int) {
    committed = Array(repeating: [], count: outputs)
    open = committed
  }

  mutating func write(_ rows: [[Value]], to output: Int) { open[output] += rows }

  mutating func prepare(_ id: Int64) {
    prepared[id] = open
    open = open.map { _ in [] }
  }

  mutating func commit(_ id: Int64) {
    guard let rows = prepared.removeValue(forKey: id) else { return }
    for output in rows.indices { committed[output] += rows[output] }
  }

  /// A new life that goes on from this checkpoint: what was prepared up to it counts, and nothing else.
  mutating func recover(_ id: Int64) {
    for prepared in prepared.keys.sorted() where prepared <= id { commit(prepared) }
    prepared = [:]
    open = open.map { _ in [] }
  }
}

/// A run of one job in several lives in a state directory, of which most end without a word.
struct DurableLives {
  private(set) var sink: TransactionalRows
  private(set) var checkpoints = 0
  private(set) var lives = 0
  /// How many of them ended because a worker process did.
  private(set) var deaths = 0
  private var kinds: [DurableKind]
  private let path: String

  /// `make` gives the job of a life, from 0. Every life has one of the kinds; number `most` comes to the end.
  init(
    _ random: inout SeededGenerator, outputs: Int, at path: String, _ kinds: [DurableKind], most: Int = 5,
    make: (Int, inout SeededGenerator) throws -> Job
  ) throws {
    sink = TransactionalRows(outputs: outputs)
    (self.path, self.kinds) = (path, kinds)
    while true {
      do {
        if try live(&random, isLast: lives >= most, outputs, make) { return }
      } catch let error as EngineError where error.kind == .workerDied && lives <= most {
        deaths += 1
      }
    }
  }

  /// One life; whether it came to the end of the input and said so.
  private mutating func live(
    _ random: inout SeededGenerator, isLast: Bool, _ outputs: Int, _ make: (Int, inout SeededGenerator) throws -> Job
  ) throws -> Bool {
    let directory = try StateDirectory(
      path, kinds[Int.random(in: 0..<kinds.count, using: &random)].options(&random))
    let job = try make(lives, &random)
    defer { try? job.close() }
    lives += 1
    job.staysOpenAtEnd = true
    let resumed = try directory.attach(job)
    sink.recover(resumed.id)
    var steps = isLast ? Int.max : Int.random(in: 1...25, using: &random)
    var underWay: Int64?
    var held: [(rows: [[Value]], output: Int)] = []
    var hasEnded = false
    func give(_ rows: [[Value]], _ output: Int) {
      if underWay == nil { sink.write(rows, to: output) } else { held.append((rows, output)) }
    }
    func takeAll() throws {
      for output in 0..<outputs { while let batch = try job.takeReady(from: output) { give(batch.rows, output) } }
    }
    func finish(waiting: Bool) throws {
      guard let id = underWay, try directory.finish(job, waiting: waiting) else { return }
      underWay = nil
      sink.commit(id)
      for (rows, output) in held { sink.write(rows, to: output) }
      held = []
    }
    func begin() throws {
      try takeAll()
      let id = directory.nextID
      sink.prepare(id)
      do { try directory.begin(job, id: id, sink: [UInt8(truncatingIfNeeded: id)]) } catch let error as EngineError {
        // Of a job that has failed; it says why.
        if error.kind == .closed { while try job.next() != nil {} }
        throw error
      }
      underWay = id
      checkpoints += 1
    }
    while steps > 0, !hasEnded {
      steps -= 1
      if let batch = try job.next(minRows: random.chance(50) ? 1 : 7) {
        give(batch.rows, 0)
      } else {
        hasEnded = !job.isPaused
      }
      try finish(waiting: random.chance(20))
      if underWay == nil, random.chance(30) { try begin() }
    }
    // The end comes without a word, with a checkpoint under way, or after the last one.
    if !hasEnded, random.chance(60) { return false }
    try finish(waiting: true)
    try begin()
    if !isLast, random.chance(30) { return false }
    try finish(waiting: true)
    if hasEnded { try job.close() }
    return hasEnded
  }
}
