import CMartlet

/// A frame in shared memory, ready to be sent to any reader.
struct WrittenFrame {
  let block: BlockPool.Number
  let position: Int
  let byteCount: Int
  let schema: Schema
  /// The dictionaries it refers to.
  let dictionaries: [Int64]
}

/// Messages about shared memory, from who writes it to who reads it, and `release` back.
enum FrameMessage: UInt8 {
  /// block (4) | bytes (8), with a descriptor: here is a block.
  case block = 1
  /// block (4): it will not be used again.
  case forgetBlock = 2
  /// blocks (4 each): one use of each has ended.
  case release = 3
  /// slot (4) | schema: replaces the one in that slot.
  case schema = 4
  /// number (8) | slot of the schema (4) | block (4) | position (8) | bytes (8): a dictionary, as a frame of one column.
  case dictionary = 5
  /// number (8): no frame will refer to it again.
  case forgetDictionary = 6
}

/// Writes batches into shared memory and says to each reader, before it hears of a frame, what it needs to read it: blocks, schemas
/// and dictionaries that it does not have yet.
///
/// One outbox serves any number of readers, so that a batch that all of them need is written once. Not thread-safe.
final class FrameOutbox: FrameDictionaries {
  /// What one reader has been told.
  private struct Reader {
    let channel: SocketChannel
    /// Per slot the version of the schema.
    var schemas: [Int] = []
    var dictionaries: Set<Int64> = []
  }

  private struct DictionaryEntry {
    let place: Int
    let number: Int64
    let column: martlet_column
    let batch: RecordBatch
    let block: BlockPool.Number
    let byteCount: Int
    let schema: Schema
  }

  private static let schemaSlots = 64
  /// Dictionaries of fewer bytes are repeated in every frame: that costs less than to keep track of them.
  static let smallestSharedDictionary = 1 << 14

  let pool: BlockPool
  private var readers: [Reader]
  private var schemas: [(schema: Schema, version: Int)] = []
  private var nextSchema = 0
  private var dictionaries: [DictionaryEntry] = []
  /// Replaced since the last `write`; frames of that one may still refer to them.
  private var replaced: [DictionaryEntry] = []
  private var nextDictionary: Int64 = 0
  /// While a frame is measured: what it refers to, and the slot of its schema.
  private var referred: [Int64] = []
  private var measuring = 0
  private var problem: EngineError?

  init(_ channels: [SocketChannel]) {
    pool = BlockPool(readers: channels.count)
    readers = channels.map { Reader(channel: $0) }
  }

  // MARK: - Writing

  /// Writes frames of these rows, one behind the other, into one block that has room for `extra` bytes behind them. They are to be
  /// sent before the next call. The block is used by the caller until it gives it back (`pool.release`).
  func write(_ parts: [(batch: RecordBatch, rows: Range<Int>)], extra: Int = 0) throws(EngineError)
    -> (block: BlockPool.Number, frames: [WrittenFrame], extraPosition: Int)
  {
    for entry in replaced { forget(entry) }
    replaced = []
    var size = 0
    var measured: [(frame: BatchFrame, position: Int, schema: Schema, dictionaries: [Int64])] = []
    for (batch, rows) in parts {
      referred = []
      measuring = slot(of: batch.schema)
      let frame = BatchFrame(batch, rows: rows, dictionaries: self)
      if let problem {
        self.problem = nil
        throw problem
      }
      measured.append((frame, size, batch.schema, referred))
      size = BatchFrame.aligned(size + frame.byteCount)
    }
    let block = try pool.take(size + extra)
    let base = pool.block(block).base
    var frames: [WrittenFrame] = []
    for part in measured {
      part.frame.write(to: base + part.position)
      frames.append(
        WrittenFrame(
          block: block, position: part.position, byteCount: part.frame.byteCount, schema: part.schema,
          dictionaries: part.dictionaries))
    }
    return (block, frames, size)
  }

  // MARK: - Telling readers

  /// Lends a block to a reader, which has to give it back once for each time.
  func lend(_ block: BlockPool.Number, to reader: Int) {
    let channel = readers[reader].channel
    guard let new = pool.lend(block, to: reader) else { return }
    var message = ByteWriter()
    message.integer(block)
    message.integer(UInt64(new.size))
    // The block is kept until its descriptor has gone.
    channel.send(FrameMessage.block.rawValue, message.bytes, descriptor: new.descriptor) { [pool] in
      withExtendedLifetime(new) { pool.closeDescriptorIfKnownToAll(block) }
    }
  }

  /// Whether a frame can still be sent: the dictionaries that it refers to were not forgotten.
  func canIntroduce(_ frame: WrittenFrame) -> Bool {
    frame.dictionaries.allSatisfy { number in (dictionaries + replaced).contains { $0.number == number } }
  }

  /// Tells a reader what it lacks to read a frame of a block that was lent to it; the slot of the schema.
  func introduce(_ frame: WrittenFrame, to reader: Int) -> Int {
    for number in frame.dictionaries where !readers[reader].dictionaries.contains(number) {
      guard let entry = (dictionaries + replaced).first(where: { $0.number == number }) else {
        preconditionFailure("a frame is sent before the next one is written, or looked at with canIntroduce")
      }
      readers[reader].dictionaries.insert(number)
      lend(entry.block, to: reader)
      var message = ByteWriter()
      message.integer(number)
      message.integer(UInt32(introduceSchema(entry.schema, to: reader)))
      message.integer(entry.block)
      message.integer(UInt64(0))
      message.integer(UInt64(entry.byteCount))
      readers[reader].channel.send(FrameMessage.dictionary.rawValue, message.bytes)
    }
    return introduceSchema(frame.schema, to: reader)
  }

  /// Tells a reader a schema that it does not know; its slot.
  func introduceSchema(_ schema: Schema, to reader: Int) -> Int {
    let slot = slot(of: schema)
    while readers[reader].schemas.count <= slot { readers[reader].schemas.append(-1) }
    let version = schemas[slot].version
    if readers[reader].schemas[slot] != version {
      readers[reader].schemas[slot] = version
      var message = ByteWriter()
      message.integer(UInt32(slot))
      message.schema(schema)
      readers[reader].channel.send(FrameMessage.schema.rawValue, message.bytes)
    }
    return slot
  }

  /// Tells everybody which blocks are not used any more.
  func tellDropped() {
    for (block, told) in pool.takeDropped() {
      var message = ByteWriter()
      message.integer(block)
      for reader in told { readers[reader].channel.send(FrameMessage.forgetBlock.rawValue, message.bytes) }
    }
  }

  /// A reader gives blocks back.
  func released(_ payload: [UInt8]) throws(SocketChannel.Failure) {
    guard payload.count % 4 == 0 else { throw .broken("a release of \(payload.count) bytes") }
    for start in stride(from: 0, to: payload.count, by: 4) {
      let number = payload.withUnsafeBytes {
        UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: start, as: UInt32.self))
      }
      guard pool.release(number) else { throw .broken("block \(number) was given back and is not in use") }
    }
    if !pool.dropped.isEmpty { tellDropped() }
  }

  private func slot(of schema: Schema) -> Int {
    if let known = schemas.firstIndex(where: { $0.schema.columnLayout === schema.columnLayout }) { return known }
    if let equal = schemas.firstIndex(where: { $0.schema == schema }) { return equal }
    if schemas.count < Self.schemaSlots {
      schemas.append((schema, 0))
      return schemas.count - 1
    }
    // A stream whose schemas never end (their metadata differ) uses the slots in turn.
    let slot = nextSchema
    nextSchema = (nextSchema + 1) % Self.schemaSlots
    schemas[slot] = (schema, schemas[slot].version + 1)
    return slot
  }

  // MARK: - Dictionaries

  func number(of dictionary: martlet_column, place: Int, in batch: RecordBatch) -> Int64? {
    let here = measuring << 32 | place
    if let known = dictionaries.firstIndex(where: { $0.place == here }) {
      if dictionaries[known].column.sharesBuffers(with: dictionary) {
        referred.append(dictionaries[known].number)
        return dictionaries[known].number
      }
      // One place has one dictionary at a time.
      replaced.append(dictionaries.remove(at: known))
    }
    let frame = BatchFrame(dictionary: dictionary, in: batch)
    guard frame.byteCount >= Self.smallestSharedDictionary else { return nil }
    do {
      let block = try pool.take(frame.byteCount)
      frame.write(to: pool.block(block).base)
      let field = batch.schema.dictionaryField(place: place)
      let entry = DictionaryEntry(
        place: here, number: nextDictionary, column: dictionary, batch: batch, block: block,
        byteCount: frame.byteCount, schema: Schema([field]))
      nextDictionary += 1
      dictionaries.append(entry)
      referred.append(entry.number)
      return entry.number
    } catch {
      problem = error
      return nil
    }
  }

  private func forget(_ entry: DictionaryEntry) {
    for reader in readers.indices where readers[reader].dictionaries.remove(entry.number) != nil {
      var message = ByteWriter()
      message.integer(entry.number)
      readers[reader].channel.send(FrameMessage.forgetDictionary.rawValue, message.bytes)
    }
    pool.release(entry.block)
  }
}

extension Schema {
  /// The values of the dictionary-encoded column at `place` among all nodes, as a field.
  fileprivate func dictionaryField(place: Int) -> Field {
    var next = 0
    func find(_ field: Field) -> DataType? {
      let here = next
      next += 1
      for child in field.type.children { if let found = find(child) { return found } }
      if case .dictionary(_, let value, _) = field.type, here == place { return value }
      return nil
    }
    for field in fields { if let found = find(field) { return Field("", found) } }
    preconditionFailure("node \(place) of (\(self)) is no dictionary")
  }
}
