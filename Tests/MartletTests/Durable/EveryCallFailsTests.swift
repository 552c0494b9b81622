import MartletRocksDB
import Testing

@testable import Martlet

/// A job in a state directory whose files and stores fail at call N, for every N, in every way. It says what failed and where; the next
/// life, over a disk that works, ends as if nothing had happened. (Without a store, see `StateDirectoryTests`.)
@Suite struct EveryCallFailsTests {
  /// How a call goes wrong; see `FaultPlan`.
  struct Fault: CustomTestStringConvertible, Sendable {
    var effect: FaultPlan.Effect
    var moment: FaultPlan.Moment

    var testDescription: String { "\(effect) \(moment)" }

    init(_ effect: FaultPlan.Effect, _ moment: FaultPlan.Moment) { (self.effect, self.moment) = (effect, moment) }
  }

  // The plainest of them, a call that fails once, is for `statesInRocksDB`.
  static let faults = [Fault(.once, .after), Fault(.forGood, .before), Fault(.crash, .before), Fault(.crash, .torn)]

  /// What one job does: two functions with values, lists, maps and timers, of which the lists and maps soon have rows of their own.
  struct Work {
    let program: ParallelProgramTests.Program
    let whole: Lives

    init() throws {
      var random = SeededGenerator(5)
      var program = ParallelProgramTests.Program(&random, rows: 36, fails: false)
      program.policies = RecordPolicies(nullKeys: .drop, nullTimestamps: .process)
      program.atEnd = .keep
      self.program = program
      whole = try Lives(uninterrupted: Work.job(program, pauses: false), outputs: 2)
    }

    static func job(_ program: ParallelProgramTests.Program, pauses: Bool = true) throws -> Job {
      let job = Job(name: "job", program.policies, clock: ManualClock(), atEnd: program.atEnd)
      let source = ReplaySource(Gadget.fields, program.rows, sizes: [9])
      source.onRead = { [weak job] number in if pauses, number % 2 == 1 { job?.pause() } }
      try job.addSource(source, timestamp: "t", maxOutOfOrderness: program.bound)
      try job.addProcess(.gadget("gadget", by: "k"))
      try job.addProcess(.witness())
      try job.addOutput(OutputSelector(process: 1))
      try job.addOutput(OutputSelector(process: 0, tag: "side"))
      return job
    }

    /// One life, to the end of the input; the state that it leaves, in portable form.
    func live(
      _ path: String, _ backend: (any StoreBackend)?, _ files: any FileSystem, _ sink: inout TransactionalRows
    ) throws -> [[UInt8]] {
      var options = StateDirectory.Options()
      options.backend = backend
      options.memoryLimit = backend == nil ? nil : StoreOptions.leastMemory
      options.instanceMemory = backend == nil ? nil : 2_000
      (options.retained, options.largeAbove, options.listChunk) = (1, 3, 2)
      let directory = try StateDirectory(path, options, files)
      let job = try Work.job(program)
      job.staysOpenAtEnd = true
      defer { try? job.close() }
      sink.recover(try directory.attach(job).id)
      var hasEnded = false
      while !hasEnded {
        if let batch = try job.next(minRows: 1000) {
          sink.write(batch.rows, to: 0)
          continue
        }
        hasEnded = !job.isPaused
        for output in 0..<2 { while let batch = try job.takeReady(from: output) { sink.write(batch.rows, to: output) } }
        let id = directory.nextID
        sink.prepare(id)
        try directory.begin(job, id: id)
        #expect(try directory.finish(job, waiting: true))
        sink.commit(id)
      }
      return try job.checkpoint(id: directory.nextID).snapshots()
    }
  }

  /// Every `step`th of the calls that a life makes, of those that read one record after the other from the store only some. `disk` gives an
  /// empty one, and what is to be done when the machine has stopped.
  private func fail(
    _ fault: Fault, every step: Int = 1, _ path: String,
    _ disk: (FaultPlan) throws -> (
      files: any FileSystem, backend: (any StoreBackend)?, crash: () -> Void, clear: () -> Void
    )
  ) throws {
    let work = try Work()
    var whole = TransactionalRows(outputs: 2)
    let calmPlan = FaultPlan()
    let calm = try disk(calmPlan)
    let state = try work.live(path, calm.backend, calm.files, &whole)
    calm.clear()
    #expect(whole.committed == work.whole.rows)
    let log = calmPlan.log
    let calls = log.indices.filter { $0 == 0 || !log[$0].hasPrefix("read ") || log[$0] != log[$0 - 1] || $0 % 50 == 0 }
    #expect(calls.count > 100)
    for call in calls.enumerated().filter({ $0.offset % step == 0 }).map({ $0.element + 1 }) {
      let plan = FaultPlan()
      let (files, backend, crash, clear) = try disk(plan)
      var sink = TransactionalRows(outputs: 2)
      plan.arm(at: call, fault.effect, fault.moment)
      do {
        _ = try work.live(path, backend, files, &sink)
      } catch {
        let error = try #require(error as? EngineError, "\(error)")
        let place = "'" + FilePath.parent(path)
        #expect(error.kind == .storageFailed && error.message.contains(place), "call \(call): \(error)")
      }
      let what = log[call - 1]
      plan.recover()
      if fault.effect == .crash { crash() }
      do {
        let left = try work.live(path, backend, files, &sink)
        #expect(sink.committed == work.whole.rows, "call \(call), \(what)")
        #expect(left == state, "call \(call), \(what)")
      } catch {
        Issue.record("call \(call), \(what): the next life ends with \(error)")
      }
      clear()
    }
  }

  @Test(arguments: faults)
  func statesInAStoreInMemory(fault: Fault) throws {
    try fail(fault, "/state") { plan in
      let disk = MemoryFileSystem()
      let files = FaultyFileSystem(disk, plan)
      return (files, FaultyBackend(MemoryStoreBackend(files), plan), { disk.crash() }, {})
    }
  }

  /// The files are those of the system: what a crash of the machine takes away cannot be shown.
  @Test(arguments: [Fault(.once, .before), Fault(.once, .after), Fault(.forGood, .before)])
  func statesInRocksDB(fault: Fault) throws {
    let directory = try TemporaryDirectory()
    try fail(fault, every: fault.effect == .once && fault.moment == .before ? 1 : 7, directory("state")) { plan in
      let system = PosixFileSystem()
      return (
        FaultyFileSystem(system, plan), FaultyBackend(RocksDBBackend(), plan), {},
        { try? system.removeTree(directory("state")) }
      )
    }
  }
}
