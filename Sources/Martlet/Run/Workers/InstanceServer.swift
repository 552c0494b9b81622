/// The loop of a worker process: takes work from the coordinator, lets it be done, and sends the results.
///
/// While work is done nothing is read, so the coordinator can hand over some more and go on; how much is for the coordinator to
/// bound. Work is done in the order it came, for whichever operator it is.
final class InstanceServer {
  /// What does the work of one process.
  struct Instances {
    /// Runs work on operator number `process`.
    let run: (_ process: Int, _ work: InstanceWork, _ now: Int64?) throws -> InstanceResult
    /// What the binding says about the failure that it was just told of, if anything.
    let cause: () -> [UInt8]?
    /// The store of this process, where it may have one.
    var storage: WorkerStorage?
  }

  private let channel: SocketChannel
  private let inbox: FrameInbox
  private let outbox: FrameOutbox
  private let reader: WorkReader
  private let writer: ResultWriter
  private var waiting: [WorkReader.Work] = []
  /// How many of the waiting ones, from the first, need not be done; per operator.
  private var skipped: Set<Int> = []
  private var wasDismissed = false

  /// Takes the socket, also when it throws.
  init(moving socket: Int32) throws(EngineError) {
    channel = try SocketChannel(moving: socket)
    inbox = FrameInbox(channel)
    outbox = FrameOutbox([channel])
    reader = WorkReader(inbox: inbox)
    writer = ResultWriter(outbox)
    channel.send(WorkerMessage.hello.rawValue, Greeting.own)
  }

  /// Serves until the coordinator dismisses the worker. Errors: `.closed` if it went without a word.
  func serve(_ instances: Instances, watched: Bool = true) throws {
    let watch = watched ? try HangUpWatch(channel.socket) : nil
    defer {
      watch?.stop()
      channel.end()
    }
    do {
      while !wasDismissed {
        try channel.flush()
        try read(instances)
        tellPersisted(instances)
        guard !waiting.isEmpty else {
          if !wasDismissed { SocketChannel.wait(for: [channel], or: instances.storage?.descriptor, milliseconds: nil) }
          continue
        }
        try doNext(instances)
      }
    } catch let failure as SocketChannel.Failure {
      switch failure {
      case .ended: throw EngineError(.closed, "the coordinator of this worker process is gone")
      case .broken(let what): throw EngineError(.internalError, "the connection to the coordinator is broken: \(what)")
      }
    } catch is ByteReader.Malformed {
      throw EngineError(.internalError, "the connection to the coordinator is broken: a message is cut short")
    }
  }

  private func doNext(_ instances: Instances) throws {
    let payload: [UInt8]
    do {
      let next = waiting.removeFirst()
      var result = InstanceResult()
      if !skipped.contains(next.process) || next.work.isClose {
        result = try instances.run(next.process, next.work, next.now)
      }
      payload = try writer.message(
        result, of: next.work, process: next.process, cause: result.failure == nil ? nil : instances.cause())
      // The work's records go here, so that their memory can be given back with the result.
    }
    channel.send(WorkerMessage.result.rawValue, payload)
    inbox.giveBack()
    try channel.flush()
    // A coordinator that does not read has to send on all the same, and is heard while its results wait.
    while channel.pendingBytes > 1 << 20, !wasDismissed {
      channel.wait(milliseconds: nil)
      try channel.flush()
      try read(instances)
    }
  }

  private func tellPersisted(_ instances: Instances) {
    guard let persisted = instances.storage?.takePersisted() else { return }
    channel.send(WorkerMessage.persisted.rawValue, ProcessTransport.writeReply(persisted))
  }

  private func read(_ instances: Instances) throws {
    while let message = try channel.receive() {
      if message.kind == FrameMessage.release.rawValue {
        try outbox.released(message.payload)
        continue
      }
      if try inbox.take(message) { continue }
      switch WorkerMessage(rawValue: message.kind) {
      case .work: waiting.append(try reader.read(message.payload))
      case .skip: skipped.insert(try ResultReader.process(message.payload))
      case .bye: wasDismissed = true
      case .openStore:
        let reply = StoreReply(of: instances.storage, message.payload) { try $0.open($1.storeOrder()) }
        channel.send(WorkerMessage.storeOpened.rawValue, ProcessTransport.writeReply(reply ?? .success([])))
      case .persist:
        // Without an error the reply comes when it is done.
        if let reply = StoreReply(of: instances.storage, message.payload, { try $0.persist($1.persistOrder()) }) {
          channel.send(WorkerMessage.persisted.rawValue, ProcessTransport.writeReply(reply))
        }
      default: throw SocketChannel.Failure.broken("a message of kind \(message.kind)")
      }
    }
  }
}

extension StoreReply {
  /// The error of `body`, which reads the payload; nil if it threw none.
  fileprivate init?(
    of storage: WorkerStorage?, _ payload: [UInt8], _ body: (WorkerStorage, inout ByteReader) throws -> Void
  ) {
    do {
      guard let storage else {
        throw EngineError(.internalError, "this worker serves no stores; please report this")
      }
      try payload.withUnsafeBytes { bytes in
        var reader = ByteReader(bytes)
        try body(storage, &reader)
      }
      return nil
    } catch {
      self = .failure(EngineError(any: error))
    }
  }
}

extension InstanceWork {
  var isClose: Bool { if case .close = self { true } else { false } }
}
