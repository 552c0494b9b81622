import Synchronization
import Testing

@testable import Martlet

/// A pause is heard also while a source has nothing to give.
@Suite(.serialized) struct WaitingSourceTests {
  private static let fields = [Field("k", .int64)]

  /// Says by batches without rows that it waits.
  private final class Patient: Source {
    let schema: Schema? = Schema(WaitingSourceTests.fields)
    private let empty: RecordBatch
    private(set) var reads = 0
    var onRead: (Int) -> Void = { _ in }

    init() throws { empty = try batch(WaitingSourceTests.fields, []) }

    func next() -> RecordBatch? {
      reads += 1
      onRead(reads)
      return reads < 100 ? empty : nil
    }
  }

  /// Says nothing while it waits.
  private final class Blocking: Source, @unchecked Sendable {
    // Read by one thread at a time; what both touch is atomic.
    let schema: Schema? = Schema(WaitingSourceTests.fields)
    let isRead = Atomic<Bool>(false)
    let isOver = Atomic<Bool>(false)

    func next() -> RecordBatch? {
      isRead.store(true, ordering: .sequentiallyConsistent)
      while !isOver.load(ordering: .sequentiallyConsistent) { shortSleep() }
      return nil
    }
    func abandon() { isOver.store(true, ordering: .sequentiallyConsistent) }
  }

  private struct Silent: ProcessFunction {
    func onEvent(key: Key, batch: Record, row: Int, context: Context) {}
  }

  @Test func aBatchWithoutRowsLetsTheJobLookUp() throws {
    let source = try Patient()
    let job = try makeJob(source, ProcessSpec("silent", by: "k", Silent()))
    source.onRead = { [unowned job] in if $0 == 5 { job.pause() } }
    #expect(try job.next() == nil)
    #expect(job.isPaused)
    #expect(source.reads == 5)
    #expect(try job.next() == nil)
    #expect(!job.isPaused)
    #expect(source.reads == 100)
  }

  @Test func aLiveSourceIsNotWaitedForByAJobWithCheckpoints() throws {
    let source = Blocking()
    let job = Job()
    var options = SourceOptions()
    options.isLive = true
    _ = try job.addSource(source, name: "blocking", options)
    try job.addProcess(ProcessSpec("silent", by: "k", Silent()))
    job.staysOpenAtEnd = true
    let pausing = SecondThread { [unowned job] in
      while !source.isRead.load(ordering: .sequentiallyConsistent) { shortSleep() }
      job.pause()
    }
    #expect(try job.next() == nil)
    #expect(job.isPaused)
    pausing.join()
    try job.close()
    while !source.isOver.load(ordering: .sequentiallyConsistent) { shortSleep() }
  }
}
