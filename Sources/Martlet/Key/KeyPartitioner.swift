/// Tells which instance owns each record's key: `group = stableHash(canonical bytes) % maxParallelism`, see `KeyGroup`.
struct KeyPartitioner {
  // Beside the schema, whose arrays would be counted for every record.
  private let form: KeySchema.Form
  /// Of the only part, if the form is not the encoded one.
  private let keyClass: KeyClass
  private var reader: KeyReader
  /// By key group.
  private let table: UnsafeMutablePointer<UInt16>
  /// `maxParallelism - 1` if that masks as well as it divides: a 64-bit division is slower than the rest of a small key.
  private let mask: UInt64?
  private let maxParallelism: UInt64
  private var keys: UnsafeMutablePointer<KeyRef> = .blocks(0)
  private var slots: UnsafeMutablePointer<UInt32> = .blocks(0)
  private var capacity = 0
  private var scratch: [UInt8] = []
  private let integerHash = IntegerKeyHash()

  init(_ schema: KeySchema, parallelism: Int32, maxParallelism: Int32) {
    form = schema.form
    keyClass = schema.parts.first?.keyClass ?? .null
    reader = KeyReader(schema)
    table = .blocks(Int(maxParallelism))
    for group in 0..<maxParallelism {
      let owner = KeyGroup(rawValue: group).instance(parallelism: parallelism, maxParallelism: maxParallelism)
      table[Int(group)] = UInt16(owner)
    }
    self.maxParallelism = UInt64(maxParallelism)
    mask = maxParallelism & (maxParallelism - 1) == 0 ? UInt64(maxParallelism) - 1 : nil
  }

  /// Gives its memory back; whoever has the partitioner calls it once.
  func free() {
    keys.freeBlocks()
    slots.freeBlocks()
    table.freeBlocks()
    integerHash.free()
  }

  /// Writes the instance of each selected row; null keys belong to instance 0.
  mutating func assign(
    _ batch: RecordBatch, _ selection: RowSelection, to owners: UnsafeMutablePointer<UInt16>
  ) {
    let count = selection.count
    if count > capacity {
      capacity = max(count, 2 * capacity)
      keys.growBlocks(to: capacity)
      slots.growBlocks(to: capacity)
    }
    let mayBeNull = reader.read(batch, selection, into: keys, slots)
    if form == .integer, keyClass == .signed || keyClass == .unsigned {
      let flip = keyClass == .unsigned ? Int64.min : 0
      // Addresses and numbers of its own for the loop: as members of `self` they would be read again for every record.
      let (keys, table, integerHash) = (keys, table, integerHash)
      if let mask {
        for index in 0..<count {
          let value = keys[index].integer ^ flip
          let hash = integerHash(value, isNegative: flip == 0 && value < 0)
          owners[index] = table[Int(truncatingIfNeeded: hash & mask)]
        }
      } else {
        for index in 0..<count {
          let value = keys[index].integer ^ flip
          let hash = integerHash(value, isNegative: flip == 0 && value < 0)
          owners[index] = table[Int(truncatingIfNeeded: hash % maxParallelism)]
        }
      }
    } else {
      for index in 0..<count where !mayBeNull || slots[index] != Slot.none {
        owners[index] = table[group(hash(keys[index]))]
      }
    }
    if mayBeNull { for index in 0..<count where slots[index] == Slot.none { owners[index] = 0 } }
  }

  @inline(__always)
  private func group(_ hash: UInt64) -> Int {
    if let mask { return Int(truncatingIfNeeded: hash & mask) }
    return Int(truncatingIfNeeded: hash % maxParallelism)
  }

  /// The stable hash of the key's canonical bytes.
  private mutating func hash(_ key: KeyRef) -> UInt64 {
    switch form {
    case .encoded:
      return StableHash.hash(UnsafeRawBufferPointer(start: key.bytes, count: key.count))
    case .integer:
      scratch.removeAll(keepingCapacity: true)
      KeyEncoding.append(integer: key.integer, keyClass, to: &scratch)
    case .bytes:
      let bytes = UnsafeRawBufferPointer(start: key.bytes, count: key.count)
      let tag = keyClass == .utf8 ? KeyEncoding.Tag.utf8 : KeyEncoding.Tag.binary
      return KeyPartitioner.plainHash(bytes, tag) ?? escapedHash(bytes)
    }
    return scratch.withUnsafeBytes { StableHash.hash($0) }
  }
}

extension KeyPartitioner {
  /// Of bytes without a zero, which are their own encoding between a tag and the end; nil if there is one, or too many bytes. Static, as
  /// a closure that captures a partitioner copies it for every record.
  @inline(__always)
  private static func plainHash(_ bytes: UnsafeRawBufferPointer, _ tag: UInt8) -> UInt64? {
    let most = 61
    guard bytes.count <= most, let start = bytes.baseAddress else { return nil }
    return withUnsafeTemporaryAllocation(byteCount: 64, alignment: 8) { block -> UInt64? in
      for index in 0..<bytes.count {
        let byte = start.load(fromByteOffset: index, as: UInt8.self)
        if byte == 0 { return nil }
        block[index &+ 1] = byte
      }
      block[0] = tag
      block[bytes.count &+ 1] = 0
      block[bytes.count &+ 2] = KeyEncoding.end
      return StableHash.hash(UnsafeRawBufferPointer(rebasing: block[0..<(bytes.count &+ 3)]))
    }
  }

  private mutating func escapedHash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    scratch.removeAll(keepingCapacity: true)
    KeyEncoding.append(bytes: bytes, keyClass, to: &scratch)
    return scratch.withUnsafeBytes { StableHash.hash($0) }
  }
}
