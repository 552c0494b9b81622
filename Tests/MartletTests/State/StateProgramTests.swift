import CMartlet
import Testing

@testable import Martlet

/// Random programs of state operations against `StateModel`: every kind, TTL, sweeps, failing calls, snapshots.
@Suite struct StateProgramTests {
  static func ttls() throws -> [StateTTL?] {
    [
      nil, try StateTTL(milliseconds: 100), try StateTTL(milliseconds: 100, refreshesOnRead: true),
      try StateTTL(milliseconds: 100, domain: .event),
    ]
  }

  static func descriptors(_ ttl: StateTTL?) throws -> [StateDescriptor] {
    [
      try StateDescriptor("value", .typed(.int64), ttl: ttl),
      try StateDescriptor("list", .typed(.utf8), kind: .list, ttl: ttl),
      try StateDescriptor("map", .typed(.int64), kind: .map(.typed(.utf8)), ttl: ttl),
    ]
  }

  @Test(arguments: 0..<4, 1...6)
  func programs(ttlIndex: Int, seed: Int) throws {
    var random = SeededGenerator(UInt64(seed * 31 + ttlIndex))
    let ttl = try Self.ttls()[ttlIndex]
    var rig = StateRig(try Self.descriptors(ttl), slots: 4, undoable: true)
    rig.call.pointee.watermark = 0
    for slot in 0..<4 { rig.slots.live[slot] += 1 }  // as if a timer were pending
    var model = StateModel(ttl: ttl)
    var now: Int64 = 0
    // Few keys at first, so that maps stay small, then many, so that they grow into trees.
    for step in 0..<3_000 {
      if Int.random(in: 0..<20, using: &random) == 0 {
        now += Int64.random(in: 0...30, using: &random)
        try rig.clock.advance(to: now)
        rig.call.pointee.watermark = now
      }
      if Int.random(in: 0..<400, using: &random) == 0 { rig = try moved(rig, ttl, now) }
      if Int.random(in: 0..<10, using: &random) == 0 {
        rig.table.sweep(afterRows: Int.random(in: 0...40, using: &random))
      }
      let before = model
      rig.table.beginCall()
      for _ in 0..<Int.random(in: 1...6, using: &random) {
        try perform(rig, &model, now, keys: step < 800 ? 12 : 2_000, &random)
      }
      // (That a read refreshed a TTL is not taken back, so the model would have to know more than the rules.)
      if ttl?.refreshesOnRead != true, Int.random(in: 0..<4, using: &random) == 0 {
        rig.table.rollbackCall()
        model = before
      } else {
        rig.table.commitCall()
      }
      #expect(rig.table.entryCount == stored(rig))
    }
    for slot in UInt32(0)..<4 { try compare(rig, model, slot, now) }
    // Everything goes, and every slot's count with it.
    for slot in UInt32(0)..<4 {
      for column in rig.table.columns { column.clear(slot) }
      #expect(rig.slots.live[Int(slot)] == 1)
    }
    #expect(rig.table.entryCount == 0 && rig.table.memoryBytes < 2_000)
  }

  /// What the columns hold, counted one by one.
  private func stored(_ rig: StateRig) -> Int {
    var count = 0
    for slot in UInt32(0)..<4 {
      for column in rig.table.columns {
        switch column {
        case let list as ListStateColumn: list.forEachStored(slot) { _, _ in count += 1 }
        case let map as MapStateColumn: map.forEachStored(slot) { _, _, _ in count += 1 }
        default: count += column.isSet(slot) ? 1 : 0
        }
      }
    }
    return count
  }

  private func perform(
    _ rig: StateRig, _ model: inout StateModel, _ now: Int64, keys: Int, _ random: inout SeededGenerator
  ) throws {
    let slot = UInt32.random(in: 0..<4, using: &random)
    let number = Int64.random(in: -1000...1000, using: &random)
    let key =
      "k" + String(repeating: "é", count: Int.random(in: 0..<8, using: &random))
      + "\(Int.random(in: 0..<keys, using: &random))"
    let (value, list, map) = (rig.handle(0), rig.handle(1), rig.handle(2))
    rig.call.pointee.slot = slot
    let reads = model.ttl?.refreshesOnRead ?? false
    switch Int.random(in: 0..<(keys > 100 ? 40 : 14), using: &random) {
    case 0:
      try value.setInteger(number)
      model.values[slot] = .init(value: number, stamp: now)
    case 1:
      #expect(try value.getInteger() == model.value(slot, now))
      if reads, model.value(slot, now) != nil { model.values[slot]!.stamp = now }
    case 2:
      try value.clear()
      model.values[slot] = nil
    case 3, 4:
      try list.add(key)
      model.lists[slot, default: []].append(.init(value: key, stamp: now))
    case 5:
      #expect(try list.elements() == model.list(slot, now))
      if reads { model.lists[slot] = model.list(slot, now).map { .init(value: $0, stamp: now) } }
    case 6:
      #expect(try list.elementCount() == model.list(slot, now).count)
    case 7:
      if Bool.random(using: &random) { break }
      try list.clear()
      model.lists[slot] = nil
    case 8:
      if Int.random(in: 0..<(keys / 4), using: &random) != 0 { break }
      try map.clear()
      model.maps[slot] = nil
    case 9:
      #expect(try map.entryCount() == model.map(slot, now).count)
    case 10:
      let expected = model.map(slot, now).sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
      let low = Bool.random(using: &random) ? key : nil
      let high = Bool.random(using: &random) ? "ké\(number)" : nil
      let inRange = expected.filter { entry in
        (low.map { !entry.key.utf8.lexicographicallyPrecedes($0.utf8) } ?? true)
          && (high.map { entry.key.utf8.lexicographicallyPrecedes($0.utf8) } ?? true)
      }
      let found = try map.entries(from: low, to: high)
      #expect(found.map(\.0) == inRange.map(\.key) && found.map(\.1) == inRange.map(\.value))
      if reads { for entry in inRange { model.maps[slot]![entry.key]!.stamp = now } }
    case 11, 12:
      #expect(try map.remove(key) == (model.map(slot, now)[key] != nil))
      model.maps[slot]?[key] = nil
    case 13, 14, 15, 16:
      #expect(try map.get(key) == model.map(slot, now)[key])
      if reads, model.map(slot, now)[key] != nil { model.maps[slot]![key]!.stamp = now }
    default:
      try map.put(key, number)
      model.maps[slot, default: [:]][key] = .init(value: number, stamp: now)
    }
  }

  private func compare(_ rig: StateRig, _ model: StateModel, _ slot: UInt32, _ now: Int64) throws {
    rig.call.pointee.slot = slot
    #expect(try rig.handle(0).getInteger() == model.value(slot, now))
    #expect(try rig.handle(1).elements() == model.list(slot, now))
    #expect(try Dictionary(uniqueKeysWithValues: rig.handle(2).entries()) == model.map(slot, now))
  }

  /// A snapshot of every slot, restored in another table.
  private func moved(_ rig: StateRig, _ ttl: StateTTL?, _ now: Int64) throws -> StateRig {
    let other = StateRig(try Self.descriptors(ttl), slots: 4, undoable: true)
    try other.clock.advance(to: now)
    other.call.pointee.watermark = now
    for slot in 0..<4 { other.slots.live[slot] += 1 }
    for (old, new) in zip(rig.table.columns, other.table.columns) {
      for slot in UInt32(0)..<4 {
        var bytes: [UInt8] = []
        old.encodeEntries(of: slot, into: &bytes)
        try bytes.withUnsafeBytes { try new.restoreEntries(slot, $0) }
        // What is damaged is refused and leaves nothing.
        if bytes.count > 1 {
          let column = StateColumn.make(
            new.descriptor,
            StateEnvironment(
              slots: SlotAllocator(holdsBytes: false), time: StateTime(other.clock, other.call), journal: nil), index: 0
          )
          _ = bytes.dropLast().withUnsafeBytes { damaged in
            #expect(throws: EngineError.self) { try column.restoreEntries(slot, damaged) }
          }
          #expect(!column.isSet(slot))
        }
      }
    }
    return other
  }
}
