import MartletRocksDB
import Synchronization
import Testing

@testable import Martlet

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

extension WorkerTransportTests {
  /// The same as `DurableJobTests` in worker processes, each with a store of its own, in turn with threads and other numbers of workers; and
  /// workers that die at any moment, also while they write a checkpoint. (They are threads here, whose sockets are cut.)
  @Suite struct Durable {
    static let kinds: [[DurableKind]] = [[.rocksdb], [.rocksdb], [.memoryStore], [.memory, .memoryStore, .rocksdb]]

    @Test(arguments: 1..<4, UInt64(1)...3)
    func chains(mix: Int, seed: UInt64) throws {
      var random = SeededGenerator(seed + 50)
      let program = DurableProgram(chain: &random, seed: seed)
      try run(program, Durable.kinds[mix], &random, "mix \(mix), seed \(seed)")
    }

    @Test(arguments: ParallelTwoInputTests.Shape.allCases, UInt64(1)...3)
    func twoInputs(shape: ParallelTwoInputTests.Shape, seed: UInt64) throws {
      var random = SeededGenerator(seed + 70)
      let program = DurableProgram(twoInputs: shape, &random, seed: seed)
      try run(program, Durable.kinds[Int(seed % 4)], &random, "\(shape), seed \(seed)")
    }

    private func run(
      _ program: DurableProgram, _ kinds: [DurableKind], _ random: inout SeededGenerator, _ what: String
    ) throws {
      let whole = try program.whole()
      var hooks = SeededGenerator(random.next())
      var served: [ServedJob] = []
      let directory = try TemporaryDirectory()
      let lives = try DurableLives(&random, outputs: program.outputs, at: directory("state"), kinds) { life, random in
        let sizes = [program.sizes, [1], [5, 2], [400]][Int.random(in: 0..<4, using: &random)]
        let count = Int.random(in: 1...3, using: &random)
        for job in served { job.join() }
        served = []
        if random.chance(25) { return try program.make(count, sizes) { hooks.chance(30) } }
        let workers = try ServedJob(count, program)
        served = [workers]
        let mayDie = life < 5 && random.chance(40)
        let job = try workers.job(sizes) {
          if mayDie, hooks.chance(8) { workers.kill(Int.random(in: 0..<count, using: &hooks)) }
          return hooks.chance(30)
        }
        // Also where nothing is read: while the job begins, puts down, waits.
        if mayDie, random.chance(50) {
          workers.kill(
            Int.random(in: 0..<count, using: &random), after: Int64.random(in: 0...400, using: &random))
        }
        return job
      }
      for job in served { job.join() }
      for output in whole.indices {
        #expect(
          lives.sink.committed[output] == whole[output],
          "\(what), output \(output), \(lives.lives) lives, \(lives.deaths) deaths")
      }
    }

    /// Where each step on the way to a worker's store fails: an error that names the worker, and the next life goes on from the checkpoint before.
    @Test(arguments: [FaultPoint.storeBeforeWrite, .storeAfterWrite, .storeBeforeCopy, .storeAfterCopy])
    func everyStepThatFails(point: FaultPoint) throws {
      var random = SeededGenerator(11)
      let program = DurableProgram(chain: &random, seed: 11)
      let whole = try program.whole()
      for visit in [1, 3] {
        let directory = try TemporaryDirectory()
        var sink = TransactionalRows(outputs: program.outputs)
        func life(_ workers: Int) throws {
          let served = try ServedJob(workers, program)
          defer { served.join() }
          var options = DurableKind.rocksdb.options(&random)
          options.instanceMemory = 1
          let state = try StateDirectory(directory("state"), options)
          let job = try served.job([25]) { true }
          defer { try? job.close() }
          job.staysOpenAtEnd = true
          let resumed = try state.attach(job)
          sink.recover(resumed.id)
          while true {
            let batch = try job.next()
            if let batch { sink.write(batch.rows, to: 0) }
            for output in 0..<program.outputs {
              while let more = try job.takeReady(from: output) { sink.write(more.rows, to: output) }
            }
            let id = state.nextID
            sink.prepare(id)
            try state.begin(job, id: id)
            #expect(try state.finish(job, waiting: true))
            sink.commit(id)
            if batch == nil, !job.isPaused { return }
          }
        }
        point.arm(.fail, at: visit)
        do {
          try life(2)
        } catch let error as EngineError {
          #expect(error.message.contains("worker process") && error.message.contains(" of 2"), "\(error)")
        }
        point.disarm()
        try life(3)
        #expect(sink.committed == whole, "\(point), visit \(visit)")
      }
    }
  }
}

/// A job whose workers are threads that serve jobs built alike.
final class ServedJob: @unchecked Sendable {
  // The program is built from by several threads, each job used by one.
  private let program: DurableProgram
  private let sockets: [Int32]
  private let ends: [Int32]
  private var threads: [TestThread] = []
  private var killer: TestThread?
  private let isOver = Atomic<Bool>(false)

  init(_ count: Int, _ program: DurableProgram) throws {
    self.program = program
    let pairs = (0..<count).map { _ in socketPair() }
    sockets = pairs.map(\.0)
    // To be cut from outside, whoever has closed the others.
    let ends = pairs.map { dup($0.1) }
    self.ends = ends
    for worker in 0..<count {
      threads.append(
        TestThread {
          // As with the end of a process; its coordinator waits for it.
          defer { _ = shutdown(ends[worker], Int32(SHUT_RDWR)) }
          do {
            let job = try program.make(1, [1]) { false }
            try job.serve(
              socket: pairs[worker].1, instance: worker, of: Parallelism(count),
              backends: [RocksDBBackend(), MemoryStoreBackend()], watched: false
            ) { nil }
          } catch let error as EngineError where error.kind == .closed {
            // Its coordinator has gone, or it was cut off.
          } catch {
            Issue.record("worker \(worker): \(error)")
          }
        })
    }
  }

  func job(_ sizes: [Int], pause: @escaping () -> Bool) throws -> Job {
    let job = try program.make(1, sizes, pause)
    try job.useWorkers(sockets, maxParallelism: 128)
    return job
  }

  func kill(_ worker: Int) { _ = shutdown(ends[worker], Int32(SHUT_RDWR)) }

  func kill(_ worker: Int, after milliseconds: Int64) {
    killer = TestThread { [self] in
      let deadline = monotonicMilliseconds() + milliseconds
      while monotonicMilliseconds() < deadline, !isOver.load(ordering: .relaxed) { shortSleep() }
      kill(worker)
    }
  }

  /// After the job was closed, or dropped.
  func join() {
    isOver.store(true, ordering: .relaxed)
    killer?.join()
    killer = nil
    for thread in threads { thread.join() }
    threads = []
    for end in ends { _ = close(end) }
  }
}
