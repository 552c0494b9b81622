import CMartlet

/// Instances in worker processes: one connection for each worker, which has instance i of every operator.
///
/// Everything happens on the job's thread, inside of `send`, `receive` and `shutDown`: there is no other thread, and nothing is read or
/// sent between two calls. Used by one thread at a time.
final class ProcessTransport: InstanceTransport {
  /// One worker, and what has been sent and not answered.
  fileprivate final class Worker {
    let channel: SocketChannel
    let inbox: FrameInbox
    let results: ResultReader
    /// Per operator.
    var waiting: [Int: [Sent]] = [:]
    var arrived: [Int: [InstanceResult]] = [:]
    /// Per operator, since when its work need not be done; nothing is sent after that but `close`.
    var skipTime: [Int: Int64] = [:]
    var hasEnded = false
    /// What it said about its store, by what it was told.
    var storeReplies: [WorkerMessage: StoreReply] = [:]

    init(_ channel: SocketChannel) {
      self.channel = channel
      inbox = FrameInbox(channel)
      results = ResultReader(inbox: inbox)
    }
  }

  /// What a result may refer to.
  fileprivate struct Sent {
    let left: SentRows?
    let right: SentRows?
    let isClose: Bool
  }

  /// How often a wait looks whether it is to be given up.
  private static let pollMilliseconds: Int64 = 50
  /// What is not taken by a worker's socket before `send` waits; records do not count, they are in shared memory.
  private static let mostPendingBytes = 1 << 20
  /// How long workers have to end by themselves.
  static let graceMilliseconds: Int64 = 2000

  /// Called every now and then while the job waits; what it throws ends the job.
  var poll: () throws -> Void = {}
  private let workers: [Worker]
  private let outbox: FrameOutbox
  private let writer: WorkWriter
  /// Why nothing can be sent or received any more.
  private var failure: (any Error)?
  private var isShutDown = false
  private var lastPoll = monotonicMilliseconds()

  /// Takes the sockets, one for each worker in the order of the instances, also when it throws.
  init(moving sockets: [Int32]) throws(EngineError) {
    var channels: [SocketChannel] = []
    var problem: EngineError?
    for socket in sockets {
      do { channels.append(try SocketChannel(moving: socket)) } catch { problem = problem ?? error }
    }
    if let problem { throw problem }
    guard !channels.isEmpty else {
      throw EngineError(.invalidArgument, "there are no workers; give at least one socket")
    }
    workers = channels.map { Worker($0) }
    outbox = FrameOutbox(channels)
    writer = WorkWriter(outbox)
  }

  deinit { shutDown() }

  var workerCount: Int { workers.count }
  /// Blocks of shared memory that were made and not let go, and those of them that somebody uses.
  var blocks: (made: Int, used: Int) { (outbox.pool.blockCount, outbox.pool.blocksInUse) }

  func link(process: Int, _ place: InstancePlace) throws -> any InstanceLink {
    guard workers.indices.contains(Int(place.instance)), workers.count == Int(place.parallelism) else {
      throw EngineError(
        .invalidArgument,
        "the job has \(workers.count) workers and a parallelism of \(place.parallelism); give it as many sockets as instances"
      )
    }
    return ProcessLink(self, worker: Int(place.instance), process: process)
  }

  // MARK: - Links

  fileprivate func send(_ work: InstanceWork, now: Int64?, process: Int, to index: Int) throws {
    if let failure { throw failure }
    let worker = workers[index]
    let (payload, left, right) = try writer.message(work, now: now, process: process, to: index)
    worker.waiting[process, default: []].append(Sent(left: left, right: right, isClose: work.isClose))
    worker.inbox.giveBack()
    worker.channel.send(WorkerMessage.work.rawValue, payload)
    try guarding { try flush(index) }
    // A job that never waits is interrupted here.
    if monotonicMilliseconds() - lastPoll >= Self.pollMilliseconds { try askWhetherToGoOn() }
    while worker.channel.pendingBytes > Self.mostPendingBytes { try waitAndRead(Self.pollMilliseconds) }
  }

  /// The job was interrupted: nothing more is waited for.
  func giveUp(_ error: any Error) { failure = failure ?? error }

  fileprivate func skip(_ process: Int, on index: Int) {
    guard failure == nil else { return }
    workers[index].skipTime[process] = monotonicMilliseconds()
    var message = ByteWriter()
    message.integer(UInt32(process))
    workers[index].channel.send(WorkerMessage.skip.rawValue, message.bytes)
    try? guarding { try flush(index) }
  }

  fileprivate func receive(_ process: Int, from index: Int, within milliseconds: Int64?) throws -> InstanceResult? {
    let worker = workers[index]
    if let result = worker.take(process) { return result }
    if let failure { throw failure }
    try guarding { try read(index) }
    let deadline = milliseconds.map { monotonicMilliseconds().saturatingAdding($0) }
    while true {
      if let result = worker.take(process) { return result }
      var time = Self.pollMilliseconds
      if let deadline {
        let left = deadline - monotonicMilliseconds()
        if left <= 0 { return nil }
        time = min(time, left)
      }
      // Work that nobody needs is not waited for without end: the worker is in a long call, and ends with the connection.
      if let since = worker.skipTime[process], !worker.isAtClose(process),
        monotonicMilliseconds() - since > Self.graceMilliseconds
      {
        giveUp(EngineError(.closed, "worker process \(index) was busy for too long after the job's end"))
        throw failure!
      }
      try waitAndRead(time)
    }
  }

  /// Waits for anything from any worker, takes it in, and looks whether the wait is to be given up.
  private func waitAndRead(_ milliseconds: Int64) throws {
    let begin = monotonicMilliseconds()
    SocketChannel.wait(for: workers.map(\.channel), milliseconds: milliseconds)
    try guarding {
      for index in workers.indices {
        try flush(index)
        try read(index)
      }
    }
    if monotonicMilliseconds() - begin >= milliseconds { try askWhetherToGoOn() }
  }

  private func askWhetherToGoOn() throws {
    lastPoll = monotonicMilliseconds()
    try guarding { try poll() }
  }

  /// What `body` throws ends it all.
  private func guarding(_ body: () throws -> Void) throws {
    do { try body() } catch {
      failure = failure ?? error
      throw error
    }
  }

  // MARK: - Stores

  func tell(_ index: Int, _ what: WorkerMessage, _ payload: [UInt8]) throws {
    if let failure { throw failure }
    workers[index].channel.send(what.rawValue, payload)
    try guarding { try flush(index) }
  }

  /// What a worker said to that; nil if nothing yet, unless it is to be waited for.
  func reply(from index: Int, to what: WorkerMessage, waiting: Bool) throws -> StoreReply? {
    while true {
      if let failure { throw failure }
      try guarding { try read(index) }
      if let reply = workers[index].storeReplies[what] { return reply }
      guard waiting else { return nil }
      try waitAndRead(Self.pollMilliseconds)
    }
  }

  func takeReply(from index: Int, to what: WorkerMessage) { workers[index].storeReplies[what] = nil }

  // MARK: - One worker

  private func flush(_ index: Int) throws {
    do { try workers[index].channel.flush() } catch { throw died(index, error) }
  }

  private func read(_ index: Int) throws {
    let worker = workers[index]
    do {
      while let message = try worker.channel.receive() { try take(message, from: worker, index) }
    } catch let error as SocketChannel.Failure {
      throw died(index, error)
    } catch is ByteReader.Malformed {
      throw died(index, .broken("a message is cut short"))
    }
  }

  private func take(_ message: SocketChannel.Message, from worker: Worker, _ index: Int) throws {
    if message.kind == FrameMessage.release.rawValue { return try outbox.released(message.payload) }
    if try worker.inbox.take(message) { return }
    switch WorkerMessage(rawValue: message.kind) {
    case .hello: try Greeting.check(message.payload)
    case .storeOpened:
      worker.storeReplies[.openStore] = try Self.readReply(message.payload, from: index, of: workers.count)
    case .persisted:
      worker.storeReplies[.persist] = try Self.readReply(message.payload, from: index, of: workers.count)
    case .result:
      let process = try ResultReader.process(message.payload)
      guard var queue = worker.waiting[process], !queue.isEmpty else {
        throw SocketChannel.Failure.broken("a result of operator \(process), which was given no work")
      }
      let sent = queue.removeFirst()
      worker.waiting[process] = queue
      worker.arrived[process, default: []].append(
        try worker.results.read(message.payload, left: sent.left, right: sent.right))
    default: throw SocketChannel.Failure.broken("a message of kind \(message.kind)")
    }
  }

  private func died(_ index: Int, _ failure: SocketChannel.Failure) -> EngineError {
    workers[index].hasEnded = true
    let which = "worker process \(index) of \(workers.count)"
    switch failure {
    case .ended:
      return EngineError(
        .workerDied,
        "\(which) ended before its work was done; what it wrote to standard error, or its exit status, tells why")
    case .broken(let what):
      return EngineError(.internalError, "the connection to \(which) is broken: \(what)")
    }
  }

  // MARK: - The end

  /// Asks the workers to end, gives them a moment, and closes the connections: what is still there then ends at once.
  func shutDown() {
    guard !isShutDown else { return }
    isShutDown = true
    if failure == nil { failure = EngineError(.closed, "the job's workers have ended") }
    writer.forget()
    for worker in workers where !worker.hasEnded { worker.channel.send(WorkerMessage.bye.rawValue) }
    let deadline = monotonicMilliseconds() + Self.graceMilliseconds
    while true {
      let open = workers.filter { !$0.hasEnded }
      for worker in open {
        do {
          try worker.channel.flush()
          // What still comes is of no interest; descriptors are closed with the channel.
          while try worker.channel.receive() != nil {}
        } catch { worker.hasEnded = true }
      }
      let left = deadline - monotonicMilliseconds()
      let waiting = open.filter { !$0.hasEnded }.map(\.channel)
      if waiting.isEmpty || left <= 0 { break }
      SocketChannel.wait(for: waiting, milliseconds: min(left, Self.pollMilliseconds))
    }
    for worker in workers { worker.channel.end() }
  }
}

extension ProcessTransport.Worker {
  /// Whether only `close` is still under way.
  fileprivate func isAtClose(_ process: Int) -> Bool { waiting[process]?.first?.isClose ?? true }

  fileprivate func take(_ process: Int) -> InstanceResult? {
    guard let first = arrived[process]?.first else { return nil }
    arrived[process]!.removeFirst()
    return first
  }
}

/// One operator's instance in a worker process.
final class ProcessLink: InstanceLink {
  private let transport: ProcessTransport
  private let worker: Int
  private let process: Int

  fileprivate init(_ transport: ProcessTransport, worker: Int, process: Int) {
    self.transport = transport
    self.worker = worker
    self.process = process
  }

  func send(_ work: InstanceWork, now: Int64?) throws {
    try transport.send(work, now: now, process: process, to: worker)
  }

  func receive(within milliseconds: Int64?) throws -> InstanceResult? {
    try transport.receive(process, from: worker, within: milliseconds)
  }

  func skipWaitingWork() { transport.skip(process, on: worker) }
}

/// What both ends must agree on: they exchange structs as they are in memory.
enum Greeting {
  static var own: [UInt8] {
    var message = ByteWriter()
    message.integer(UInt32(MARTLET_ABI_VERSION))
    message.integer(BatchFrame.magic)
    for size in [
      MemoryLayout<OperatorCounters>.size, MemoryLayout<OrderDetail>.size, MemoryLayout<WatermarkMark>.size,
    ] { message.integer(UInt32(size)) }
    return message.bytes
  }

  static func check(_ payload: [UInt8]) throws {
    guard payload != own else { return }
    throw EngineError(
      .invalidArgument,
      "a worker process runs another build of martlet than this process; let both use the same installation")
  }
}
