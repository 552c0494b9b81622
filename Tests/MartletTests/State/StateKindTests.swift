import CMartlet
import Testing

@testable import Martlet

/// Lists, maps and reducing states one by one: the conformance cases of TTL and state kinds, limits and errors.
@Suite struct StateKindTests {
  /// A handle does not keep its rig.
  private final class Kept { var rigs: [StateRig] = [] }
  private let kept = Kept()

  private func rig(_ kind: StateKind, _ type: DataType = .int64, _ ttl: StateTTL? = nil) throws -> StateRig {
    let rig = StateRig([try StateDescriptor("s", .typed(type), kind: kind, ttl: ttl)])
    kept.rigs.append(rig)
    return rig
  }

  /// I1, I3, I12: one value, `ttl` 100.
  @Test func valuesExpire() throws {
    let rig = try rig(.value, .int64, StateTTL(milliseconds: 100))
    let state = rig.handle()
    func at(_ time: Int64) throws -> Int64? {
      try rig.clock.advance(to: time)
      return try state.getInteger()
    }
    try state.setInteger(1)
    #expect(try at(20) == 1)
    _ = try at(50)
    try state.setInteger(2)
    #expect(try at(120) == 2)
    _ = try at(149)
    #expect(try at(150) == nil)
    #expect(rig.slots.live[0] == 0, "the access removed it")
    try state.setInteger(3)
    #expect(try at(249) == 3)
    #expect(try at(250) == nil)

    let reading = try self.rig(.value, .int64, StateTTL(milliseconds: 100, refreshesOnRead: true))
    try reading.handle().setInteger(1)
    for (time, expected) in [(50, 1), (120, 1), (250, nil)] as [(Int64, Int64?)] {
      try reading.clock.advance(to: time)
      #expect(try reading.handle().getInteger() == expected)
    }
  }

  /// I8, and what may be seen until it is swept.
  @Test func elementsExpireOneByOne() throws {
    let rig = try rig(.list, .int64, StateTTL(milliseconds: 100))
    let list = rig.handle()
    func elements() throws -> [Int64] {
      var found: [Int64] = []
      try list.forEachElement { found.append($0.word) }
      return found
    }
    try list.replaceElements(with: [5, 7, 10].map { StateCell(word: $0) })
    try rig.clock.advance(to: 50)
    try list.append(contentsOf: [8, 9, 11].map { StateCell(word: $0) })
    try rig.clock.advance(to: 120)
    #expect(try elements() == [8, 9, 11])

    let shown = try self.rig(.list, .int64, StateTTL(milliseconds: 100, showsExpired: true))
    try shown.handle().append(StateCell(word: 1))
    try shown.clock.advance(to: 500)
    #expect(try shown.handle().elementCount() == 1)
    shown.table.sweep(afterRows: 1_000)
    #expect(try shown.handle().elementCount() == 0)
    #expect(shown.slots.live[0] == 0)
  }

  /// In event time a write counts from its record, and now is the watermark.
  @Test func eventTime() throws {
    let rig = try rig(.value, .int64, StateTTL(milliseconds: 100, domain: .event))
    let state = rig.handle()
    rig.call.pointee.timestamp = 1_000
    rig.call.pointee.watermark = 900
    try state.setInteger(1)
    rig.call.pointee.watermark = 1_099
    #expect(try state.getInteger() == 1)
    rig.call.pointee.watermark = 1_100
    #expect(try state.getInteger() == nil)
  }

  /// Expired entries that nobody touches go in bounded steps, also within one large map.
  @Test func sweepsAreBounded() throws {
    let rig = try rig(.map(.typed(.int64)), .int64, StateTTL(milliseconds: 10))
    for key in 0..<10_000 { try rig.handle().put(StateCell(word: Int64(key)), StateCell(word: 1)) }
    try rig.clock.advance(to: 50)
    let column = rig.table.columns[0] as! MapStateColumn
    var sweeps = 0
    while rig.slots.live[0] != 0 {
      let before = column.storedCount(of: 0)
      rig.table.sweep(afterRows: 10)
      sweeps += 1
      #expect(before - column.storedCount(of: 0) <= 64)
      try #require(sweeps < 20_000)
    }
    #expect(sweeps > 100)
  }

  @Test(arguments: [DataType.int64, .uint64, .decimal128(precision: 38, scale: 2), .utf8])
  func mapsAreOrderedByKey(_ type: DataType) throws {
    let rig = try rig(.map(.typed(type)))
    let map = rig.handle()
    var order: [Int64] = []
    func put(_ rank: Int64, _ word: Int64, _ bytes: [UInt8]) throws {
      try bytes.withUnsafeBytes { bytes in
        try map.put(map.keysAreBytes ? StateCell(bytes: bytes) : StateCell(word: word), StateCell(word: rank))
      }
    }
    func decimal(_ value: Int64) -> [UInt8] {
      withUnsafeBytes(of: (value.littleEndian, (value < 0 ? -1 : 0) as Int64)) { [UInt8]($0) }
    }
    switch type {
    case .int64:
      for (rank, word) in [Int64.min, -1, 0, .max].enumerated().reversed() { try put(Int64(rank), word, []) }
    case .uint64:
      for (rank, word) in [0, 5, Int64.max, .min, -1].enumerated().reversed() { try put(Int64(rank), word, []) }
    case .decimal128:
      for (rank, word) in [Int64.min, -7, 0, 7].enumerated().reversed() { try put(Int64(rank), 0, decimal(word)) }
    default:
      for (rank, text) in ["", "a", "a\0", "b", "é"].enumerated().reversed() {
        try put(Int64(rank), 0, Array(text.utf8))
      }
    }
    try map.forEachEntry(from: nil, to: nil) {
      order.append($1.word)
      return true
    }
    #expect(order == order.sorted() && order.count >= 4)
  }

  /// Ascending, descending and random orders; removal of all gives the memory back.
  @Test(arguments: 0..<3) func largeMaps(_ order: Int) throws {
    let rig = try rig(.map(.typed(.int64)))
    let map = rig.handle()
    let empty = rig.table.memoryBytes
    var keys = (0..<20_000).map { Int64($0) }
    var random = SeededGenerator(7)
    if order == 1 { keys.reverse() }
    if order == 2 { keys.shuffle(using: &random) }
    for key in keys { try map.put(StateCell(word: key), StateCell(word: -key)) }
    #expect(try map.entryCount() == keys.count)
    if order == 0 { #expect(rig.table.memoryBytes < 20_000 * 20, "keys in order fill their leaves") }
    var next: Int64 = 17
    try map.forEachEntry(from: StateCell(word: 17), to: StateCell(word: 15_000)) { key, value in
      #expect(key.word == next && value.word == -next)
      next += 1
      return true
    }
    #expect(next == 15_000)
    keys.shuffle(using: &random)
    for (index, key) in keys.enumerated() {
      #expect(try map.remove(StateCell(word: key)))
      if index == keys.count * 9 / 10 { #expect(rig.table.memoryBytes < 20_000 * 12) }
    }
    #expect(try map.entryCount() == 0 && rig.slots.live[0] == 0 && rig.table.memoryBytes == empty)
  }

  /// J3, and the ends of the types.
  @Test func reducers() throws {
    func fold(_ reducer: Reducer, _ type: DataType, _ values: [Int64]) throws -> Int64? {
      let handle = try rig(.reducing(reducer), type).handle()
      for value in values { try handle.add(StateCell(word: value)) }
      return try handle.getInteger()
    }
    #expect(try fold(.sum, .int64, [17, 11]) == 28)
    #expect(try fold(.sum, .int64, []) == nil)
    #expect(try fold(.min, .int32, [3, -2, 5]) == -2)
    #expect(try fold(.max, .uint64, [1, -1, 5]) == -1, "the bits of the largest uint64")
    #expect(try fold(.count, .int64, [9, 9, 9]) == 3)
    for (type, values) in [
      (DataType.int64, [Int64.max, 1]), (.int8, [100, 28]), (.uint64, [-1, 1]), (.int64, [.min, -1]),
    ] {
      let handle = try rig(.reducing(.sum), type).handle()
      try handle.add(StateCell(word: values[0]))
      let error = #expect(throws: EngineError.self) { try handle.add(StateCell(word: values[1])) }
      #expect(error?.kind == .valueRange && error?.message.contains("'s'") == true)
      #expect(try handle.getInteger() == values[0])
    }
    let count = try rig(.reducing(.count)).handle()
    try count.add(StateCell(word: 0))
    try count.merge(StateCell(word: 4))
    #expect(try count.getInteger() == 5)
  }

  @Test func misuse() throws {
    func message(_ body: () throws -> Void) -> String {
      #expect(throws: EngineError.self) { try body() }?.message ?? ""
    }
    #expect(message { _ = try StateDescriptor("m", .encoded, kind: .map(.typed(.float64))) }.contains("'m'"))
    #expect(message { _ = try StateDescriptor("r", .typed(.utf8), kind: .reducing(.sum)) }.contains("'r'"))
    #expect(message { _ = try StateTTL(milliseconds: 0) }.contains("TTL"))
    let list = try rig(.list, .int8).handle()
    #expect(message { _ = try list.getInteger() }.contains("is a list state"))
    #expect(message { _ = try list.value(for: StateCell(word: 1)) }.contains("cannot be used as a map"))
    #expect(
      message { try list.append(contentsOf: [StateCell(word: 1), StateCell(word: 1_000)]) }.contains("out of range"))
    #expect(try list.elementCount() == 0)
    try list.append(StateCell(word: 1))
    #expect(
      message { try list.forEachElement { _ throws(EngineError) in try list.clear() } }.contains("while its content"))
    #expect(try list.elementCount() == 1)
  }
}
