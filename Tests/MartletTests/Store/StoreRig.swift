import MartletRocksDB
import Testing

@testable import Martlet

/// Every kind of store that the contract is for.
enum StoreKind: CaseIterable, CustomTestStringConvertible {
  case memory, rocksdb, faultyMemory, faultyRocksDB

  var testDescription: String { "\(self)" }

  func backend(_ plan: FaultPlan = FaultPlan()) -> any StoreBackend {
    switch self {
    case .memory: MemoryStoreBackend()
    case .rocksdb: RocksDBBackend()
    case .faultyMemory: FaultyBackend(MemoryStoreBackend(), plan)
    case .faultyRocksDB: FaultyBackend(RocksDBBackend(), plan)
    }
  }

  /// Those whose content is on disk without a copy.
  static let durable: [StoreKind] = [.rocksdb, .faultyRocksDB]
}

/// A store of two families in a folder of its own, and short words for what tests do with it.
final class StoreRig {
  let kind: StoreKind
  let plan = FaultPlan()
  let directory: TemporaryDirectory
  let backend: any StoreBackend
  var store: any KeyValueStore

  static let a = StoreFamily(0)
  static let b = StoreFamily(1)
  static let families = ["a", "b"]

  init(_ kind: StoreKind) throws {
    self.kind = kind
    directory = try TemporaryDirectory()
    backend = kind.backend(plan)
    store = try backend.open(StoreOptions(directory("store"), families: StoreRig.families))
  }

  deinit { try? store.close() }

  func open(_ name: String, _ access: StoreAccess = .create) throws -> any KeyValueStore {
    try backend.open(StoreOptions(directory(name), families: StoreRig.families, access: access))
  }

  func reopen() throws {
    try store.close()
    store = try open("store")
  }
}

typealias Entries = [[UInt8]: [UInt8]]

extension KeyValueStore {
  func write(_ durability: Durability = .process, _ fill: (WriteBatch) throws -> Void) throws {
    let batch = WriteBatch()
    try fill(batch)
    try write(batch, durability)
  }

  func get(_ keys: [[UInt8]], in family: StoreFamily = StoreRig.a) throws -> [[UInt8]?] {
    let list = KeyList()
    for key in keys { list.append(key) }
    var values: [[UInt8]?] = []
    try get(list, in: family) { index, value in
      if index != values.count { Issue.record("value \(index) came as number \(values.count)") }
      values.append(value.map(Array.init))
    }
    return values
  }

  func scan(_ range: KeyRange = KeyRange(), in family: StoreFamily = StoreRig.a) throws -> [(
    key: [UInt8], value: [UInt8]
  )] {
    let cursor = try cursor(family, range)
    var entries: [(key: [UInt8], value: [UInt8])] = []
    while try cursor.next() { entries.append((Array(cursor.key), Array(cursor.value))) }
    cursor.close()
    return entries
  }

  func entries(in family: StoreFamily = StoreRig.a) throws -> Entries {
    Dictionary(uniqueKeysWithValues: try scan(in: family).map { ($0.key, $0.value) })
  }
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// Big-endian, so that numbers and their bytes have one order.
func bytes(_ number: Int) -> [UInt8] { withUnsafeBytes(of: UInt64(number).bigEndian) { Array($0) } }

/// Bytes that no compression makes smaller, the same for the same seed.
func noise(_ count: Int, _ seed: Int) -> [UInt8] {
  var random = SeededGenerator(UInt64(seed))
  return [UInt8](unsafeUninitializedCapacity: count + 8) { buffer, filled in
    let raw = UnsafeMutableRawBufferPointer(buffer)
    for offset in stride(from: 0, to: count, by: 8) {
      raw.storeBytes(of: random.next(), toByteOffset: offset, as: UInt64.self)
    }
    filled = count
  }
}
