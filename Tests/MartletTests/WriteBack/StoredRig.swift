import MartletRocksDB

@testable import Martlet

/// Instances of one function over disjoint key groups that keep their state in one store; or one instance without a store.
final class StoredRig {
  struct Limits {
    var memory = 1 << 30
    var largeAbove = 4
    var listChunk = 3
  }

  static let groups: Int32 = 16
  static let families = ["states", "timers"]
  let clock = ManualClock()
  let directory: TemporaryDirectory?
  let backend: (any StoreBackend)?
  private(set) var store: (any KeyValueStore)?
  private(set) var instances: [ProcessOperator] = []
  private(set) var starts: [Int32] = [0]
  private(set) var watermark = EventTime.min
  private let make: () throws -> ProcessSpec
  private let schema: Schema
  var limits = Limits()
  var policies = RecordPolicies()
  var forgotten: Set<UInt16> = []

  init(_ backend: (any StoreBackend)?, _ schema: Schema, _ make: @escaping () throws -> ProcessSpec) throws {
    self.backend = backend
    self.schema = schema
    self.make = make
    policies.onError = .skip
    directory = backend == nil ? nil : try TemporaryDirectory()
    if let backend, let directory {
      store = try backend.open(StoreOptions(directory("store"), families: StoredRig.families))
    }
  }

  deinit { try? close() }

  /// Opens an instance for each run of groups that begins at one of `starts`, of which the first is 0.
  func open(_ starts: [Int32] = [0]) throws {
    self.starts = starts
    for (index, start) in starts.enumerated() {
      let spec = try make()
      let instance = try ProcessOperator(spec, policies, clock: clock)
      if let store {
        let end = index + 1 < starts.count ? starts[index + 1] : StoredRig.groups
        var binding = StoreBinding(
          store, states: StoreFamily(0), timers: StoreFamily(1), operatorNumber: 7,
          stateNumbers: spec.states.indices.map { UInt16($0) },
          groups: try KeyGroupRange(start..<end, of: StoredRig.groups),
          memoryLimit: limits.memory)
        binding.largeAbove = limits.largeAbove
        binding.listChunk = limits.listChunk
        binding.forgotten = forgotten
        instance.attach(binding)
      }
      try instance.open(inputSchema: schema)
      instance.context.raw.pointee.watermark = watermark
      instances.append(instance)
    }
  }

  /// Writes what changed, all instances in one batch.
  @discardableResult
  func flush() throws -> WriteBatch {
    let batch = WriteBatch()
    for instance in instances { try instance.flush(into: batch) }
    try store?.write(batch, .process)
    for instance in instances { instance.didCommit() }
    return batch
  }

  /// Takes over the store of another rig, with another version of the function.
  func adopt(_ other: StoredRig) throws {
    try store?.close()
    for instance in other.instances { try instance.close() }
    (store, other.store, other.instances) = (other.store, nil, [])
    try open()
  }

  func close() throws {
    for instance in instances { try instance.close() }
    instances = []
    try store?.close()
  }

  /// A new life: all instances closed and opened, by these splits of the key groups; of a store that is on disk, the store too.
  func reopen(_ starts: [Int32]) throws {
    if store == nil { return }
    try flush()
    for instance in instances { try instance.close() }
    instances = []
    if backend is RocksDBBackend, let backend, let directory {
      try store?.close()
      store = try backend.open(StoreOptions(directory("store"), families: StoredRig.families))
    }
    try open(starts)
  }

  /// Rows whose first column is the key, an int64; a watermark after the last.
  func push(_ fields: [Field], _ rows: [[Value]], times: [Int64], watermark: Int64) throws {
    let all = try batch(fields, rows)
    self.watermark = max(watermark, self.watermark)
    for (index, instance) in instances.enumerated() {
      let mine = rows.indices.filter { owner(rows[$0][0]) == index }
      let numbers = mine.map { Int32($0) }
      let mineTimes = mine.map { times[$0] }
      let marks = [WatermarkMark(position: mine.count, watermark: self.watermark)]
      try numbers.withUnsafeBufferPointer { numbers in
        try mineTimes.withUnsafeBufferPointer { mineTimes in
          try marks.withUnsafeBufferPointer { marks in
            if mine.isEmpty { return try instance.finish(watermark: self.watermark) }
            try instance.process(
              Chunk(
                batch: all, selection: RowSelection(start: 0, count: mine.count, rows: numbers.baseAddress),
                timestamps: mineTimes.baseAddress, marks: marks, firstRecord: 0))
          }
        }
      }
    }
  }

  private func owner(_ key: Value) -> Int {
    guard case .int(let key) = key else { return 0 }
    var bytes: [UInt8] = []
    KeyEncoding.append(integer: key, .signed, to: &bytes)
    let group = KeyGroup(hash: bytes.withUnsafeBytes { StableHash.hash($0) }, maxParallelism: StoredRig.groups).rawValue
    return starts.lastIndex { $0 <= group } ?? 0
  }

  func tick(to time: Int64) throws {
    try clock.advance(to: time)
    for instance in instances { _ = try instance.tick() }
  }

  func end() throws { for instance in instances { try instance.endInput(.fire) } }

  /// All keys with what their states and timers hold, but for states with a TTL, of which some that has expired may be there or not.
  func content() throws -> [[UInt8]: [[UInt8]]] {
    var content: [[UInt8]: [[UInt8]]] = [:]
    for instance in instances {
      guard let parts = instance.parts else { continue }
      var last: [UInt8] = []
      try instance.forEachKey { slot in
        let key = parts.keys.canonicalBytes(of: slot)
        if !last.lexicographicallyPrecedes(key) { throw EngineError(.internalError, "keys out of order") }
        last = key
        var states = parts.states.columns.map { column in
          var bytes: [UInt8] = []
          if column.descriptor.ttl != nil { return bytes }
          column.encodeEntries(of: slot, into: &bytes)
          return bytes
        }
        var timers: [UInt8] = []
        parts.timers.encode(slot, into: &timers)
        states.append(timers)
        if states.contains(where: { !$0.isEmpty }) { content[key] = states }
      }
    }
    return content
  }
}
