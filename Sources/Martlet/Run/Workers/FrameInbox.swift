#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// One use of a block that somebody else writes: as long as it lives the memory stays as it is.
///
/// Every batch of a frame holds it, so it ends on whatever thread drops the last one. `@unchecked Sendable`: nothing changes
/// after `init`.
final class BlockLease: @unchecked Sendable {
  let block: SharedBlock
  private let number: BlockPool.Number
  private let returns: BlockReturns

  init(_ block: SharedBlock, _ number: BlockPool.Number, _ returns: BlockReturns) {
    self.block = block
    self.number = number
    self.returns = returns
  }

  deinit { returns.add(number) }
}

/// Blocks whose uses have ended, until the writer is told. Used by any thread: everything under the lock.
final class BlockReturns: @unchecked Sendable {
  private let lock: UnsafeMutablePointer<pthread_mutex_t>
  private var numbers: [BlockPool.Number] = []

  init() {
    lock = .allocate(capacity: 1)
    pthread_mutex_init(lock, nil)
  }

  deinit {
    pthread_mutex_destroy(lock)
    lock.deallocate()
  }

  func add(_ number: BlockPool.Number) {
    pthread_mutex_lock(lock)
    numbers.append(number)
    pthread_mutex_unlock(lock)
  }

  func take() -> [BlockPool.Number] {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    if numbers.isEmpty { return [] }
    defer { numbers = [] }
    return numbers
  }
}

/// What came from a `FrameOutbox`, and the batches of its frames. Not thread-safe, but the batches are.
final class FrameInbox {
  private let channel: SocketChannel
  private let returns = BlockReturns()
  private var blocks: [BlockPool.Number: SharedBlock] = [:]
  private var schemas: [Schema?] = []
  private var dictionaries: [Int64: RecordBatch] = [:]

  init(_ channel: SocketChannel) { self.channel = channel }

  /// Takes a message about shared memory in; false if it is about something else.
  func take(_ message: SocketChannel.Message) throws(SocketChannel.Failure) -> Bool {
    guard let kind = FrameMessage(rawValue: message.kind), kind != .release else { return false }
    var failure: SocketChannel.Failure?
    message.payload.withUnsafeBytes { bytes in
      var reader = ByteReader(bytes)
      do {
        try take(kind, &reader)
      } catch let error as SocketChannel.Failure {
        failure = error
      } catch let error as EngineError {
        failure = .broken(error.message)
      } catch {
        failure = .broken("message \(kind) is cut short")
      }
    }
    if let failure { throw failure }
    return true
  }

  private func take(_ kind: FrameMessage, _ reader: inout ByteReader) throws {
    switch kind {
    case .block:
      let number = try reader.integer(BlockPool.Number.self)
      let size = Int(clamping: try reader.integer(UInt64.self))
      blocks[number] = try SharedBlock(mapping: try channel.takeDescriptor(), size: size)
    case .forgetBlock:
      blocks[try reader.integer(BlockPool.Number.self)] = nil
    case .schema:
      let slot = Int(try reader.integer(UInt32.self))
      guard slot < 1 << 10 else { throw SocketChannel.Failure.broken("schema slot \(slot)") }
      // A reader is told only the schemas that it needs.
      while schemas.count <= slot { schemas.append(nil) }
      schemas[slot] = try reader.schema()
    case .dictionary:
      let number = try reader.integer(Int64.self)
      let schema = try schema(Int(try reader.integer(UInt32.self)))
      let lease = try lease(try reader.integer(BlockPool.Number.self))
      let position = Int(clamping: try reader.integer(UInt64.self))
      let count = Int(clamping: try reader.integer(UInt64.self))
      dictionaries[number] = try batch(lease, position, count, schema)
    case .forgetDictionary:
      dictionaries[try reader.integer(Int64.self)] = nil
    case .release: preconditionFailure("a release is for the outbox")
    }
  }

  /// One use of a block, which was lent.
  func lease(_ number: BlockPool.Number) throws(SocketChannel.Failure) -> BlockLease {
    guard let block = blocks[number] else { throw .broken("block \(number) was never introduced") }
    return BlockLease(block, number, returns)
  }

  func schema(_ slot: Int) throws(SocketChannel.Failure) -> Schema {
    guard schemas.indices.contains(slot), let schema = schemas[slot] else {
      throw .broken("schema \(slot) was never introduced")
    }
    return schema
  }

  /// The batch of a frame, which keeps the lease.
  func batch(_ lease: BlockLease, _ position: Int, _ count: Int, _ schema: Schema) throws(EngineError) -> RecordBatch {
    let size = lease.block.size
    guard position >= 0, count >= 0, position <= size, count <= size - position else {
      throw ReceivedFrame.malformed("\(count) bytes at \(position) of a block of \(size)")
    }
    let bytes = UnsafeRawBufferPointer(start: lease.block.base + position, count: count)
    let known = dictionaries
    return try ReceivedFrame(bytes: bytes, owner: lease).batch(schema) { known[$0] }
  }

  /// Tells the writer which uses have ended since the last time.
  func giveBack() {
    let ended = returns.take()
    guard !ended.isEmpty else { return }
    var message = ByteWriter()
    for number in ended { message.integer(number) }
    channel.send(FrameMessage.release.rawValue, message.bytes)
  }
}
