import MartletRocksDB
import Testing

@testable import Martlet

/// Stores that are not logged take large batches as tables: what they hold is the same.
@Suite struct RocksDBBulkTests {
  private func open(_ directory: TemporaryDirectory, _ name: String = "store", _ access: StoreAccess = .create) throws
    -> any KeyValueStore
  {
    var options = StoreOptions(directory(name), families: StoreRig.families, access: access)
    options.isLogged = false
    return try RocksDBBackend().open(options)
  }

  private func key(_ number: Int) -> [UInt8] {
    [UInt8(number >> 16 & 255), UInt8(number >> 8 & 255), UInt8(number & 255)]
  }

  /// Random batches, large and small, sorted or not, with keys that come twice, removals and ranges, beside a dictionary.
  @Test(arguments: UInt64(1)...6)
  func sameAsADictionary(seed: UInt64) throws {
    var random = SeededGenerator(seed)
    let directory = try TemporaryDirectory()
    var store = try open(directory)
    var expected: [Entries] = [[:], [:]]
    for round in 0..<8 {
      let batch = WriteBatch()
      let count = round % 3 == 2 ? 50 : 9_000
      var numbers = (0..<count).map { _ in Int.random(in: 0..<20_000, using: &random) }
      let isSorted = Bool.random(using: &random)
      if isSorted { numbers = Set(numbers).sorted() }
      for number in numbers {
        let family = Int.random(in: 0..<4, using: &random) == 0 ? 1 : 0
        if Int.random(in: 0..<5, using: &random) == 0 {
          try batch.remove(key(number), in: StoreFamily(UInt8(family)))
          expected[family][key(number)] = nil
        } else {
          let value = [UInt8(round), UInt8(number & 255), UInt8.random(in: 0...255, using: &random)]
          try batch.put(key(number), value, in: StoreFamily(UInt8(family)))
          expected[family][key(number)] = value
        }
      }
      if round == 5 {
        try batch.remove(KeyRange(key(100), upTo: key(5_000)), in: StoreRig.a)
        expected[0] = expected[0].filter {
          $0.key.lexicographicallyPrecedes(key(100)) || !$0.key.lexicographicallyPrecedes(key(5_000))
        }
      }
      try store.write(batch, .process)
      for family in 0..<2 {
        #expect(try store.content(StoreFamily(UInt8(family))) == expected[family], "round \(round)")
      }
      let wanted = (0..<200).map { _ in key(Int.random(in: 0..<20_000, using: &random)) }
      #expect(try store.get(wanted) == wanted.map { expected[0][$0] })
      #expect(try store.get(wanted.sorted { $0.lexicographicallyPrecedes($1) }).count == 200)
      if round == 3 {
        // A copy has all of it, whatever became a file when; a clone of it goes on.
        try store.copy(to: directory("copy"))
        try store.close()
        try RocksDBBackend().clone(directory("copy"), to: directory("clone"))
        store = try open(directory, "clone", .existing)
      }
    }
    try store.close()
  }

  /// Large first batches become two tables: sorted or not, in one family or in two, removals among them.
  @Test(arguments: [false, true], [1, 2])
  func halves(isSorted: Bool, families: Int) throws {
    let directory = try TemporaryDirectory()
    let store = try open(directory)
    var expected: [Entries] = [[:], [:]]
    for round in 0..<2 {
      let batch = WriteBatch()
      var random = SeededGenerator(UInt64(round))
      let numbers = Array(0..<80_000)
      for number in isSorted ? numbers : numbers.shuffled(using: &random) {
        let family = number % families
        if number % 7 == round {
          try batch.remove(key(number), in: StoreFamily(UInt8(family)))
          expected[family][key(number)] = nil
        } else {
          try batch.put(key(number), [UInt8(round), UInt8(number & 255)], in: StoreFamily(UInt8(family)))
          expected[family][key(number)] = [UInt8(round), UInt8(number & 255)]
        }
      }
      try store.write(batch, .process)
      for family in 0..<families { #expect(try store.content(StoreFamily(UInt8(family))) == expected[family]) }
    }
    #expect(try PosixFileSystem().list(directory("store")).allSatisfy { !$0.hasPrefix("bulk") })
    try store.close()
  }

  /// Rows whose order is told and not looked for, in one table or two, in either family.
  @Test(arguments: [4_096, 32_768, 40_961, 80_000], [0, 1])
  func rowsThatAreSaidToBeSorted(count: Int, family: Int) throws {
    let directory = try TemporaryDirectory()
    let store = try open(directory)
    let batch = WriteBatch()
    var expected: [Entries] = [[:], [:]]
    for number in 0..<count {
      try batch.put(key(number), [UInt8(number & 255)], in: StoreFamily(UInt8(family)))
      expected[family][key(number)] = [UInt8(number & 255)]
    }
    batch.declareSorted()
    #expect(batch.isSorted)
    for _ in 0..<2 {
      try store.write(batch, .process)
      for family in 0..<2 { #expect(try store.content(StoreFamily(UInt8(family))) == expected[family]) }
    }
    try store.close()
  }

  /// Whoever says so of rows that are not gets an error, and nothing of them is read.
  @Test func rowsThatAreNot() throws {
    let directory = try TemporaryDirectory()
    let store = try open(directory)
    let batch = WriteBatch()
    for number in 0..<5_000 { try batch.put(key(number ^ 1), [1], in: StoreRig.a) }
    batch.declareSorted()
    let error = #expect(throws: EngineError.self) { try store.write(batch, .process) }
    #expect(error?.kind == .invalidArgument)
    try store.close()
  }

  @Test func noFilesAreLeft() throws {
    let directory = try TemporaryDirectory()
    let store = try open(directory)
    try store.write { batch in for number in 0..<10_000 { try batch.put(key(number), [1], in: StoreRig.a) } }
    #expect(try PosixFileSystem().list(directory("store")).allSatisfy { !$0.hasPrefix("bulk") })
    try store.close()
  }
}

extension KeyValueStore {
  fileprivate func content(_ family: StoreFamily) throws -> Entries {
    var content: Entries = [:]
    let cursor = try cursor(family, KeyRange())
    defer { cursor.close() }
    while try cursor.next() { content[Array(cursor.key)] = Array(cursor.value) }
    return content
  }
}
