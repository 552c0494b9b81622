import Testing

@testable import Martlet

/// Both key tables against a Swift dictionary, over random insertions and removals.
@Suite struct KeyTableTests {
  /// Keys that share few home buckets (long probe runs that wrap around), and keys at random.
  static let universes: [(name: String, keys: [Int64])] = {
    var random = SeededGenerator(7)
    let crowded = (Int64(0)...).lazy.filter { [0, 1, 1022, 1023].contains(mixHash(UInt64(bitPattern: $0)) & 1023) }
    return [
      ("crowded", Array(crowded.prefix(400))),
      ("spread", (0..<4000).map { _ in Int64(bitPattern: random.next()) } + [.min, .max, 0, -1]),
      ("sequence", Array(-1500..<1500)),
    ]
  }()

  @Test(arguments: universes.indices, UInt64(1)...6)
  func integers(_ position: Int, seed: UInt64) {
    let universe = KeyTableTests.universes[position]
    var random = SeededGenerator(seed)
    let allocator = SlotAllocator(holdsBytes: false)
    var table = IntegerKeyTable()
    var model: [Int64: UInt32] = [:]
    for step in 0..<60 {
      let chunk = (0..<Int.random(in: 1...300, using: &random)).map { _ in universe.keys.randomElement(using: &random)!
      }
      let refs = chunk.map { KeyRef(integer: $0) }
      var slots = chunk.map { _ in random.chance(10) ? Slot.none : 0 }
      let wanted = slots
      table.intern(refs, &slots, count: refs.count, allocator)
      for (row, key) in chunk.enumerated() where wanted[row] != Slot.none {
        if let known = model[key] {
          #expect(slots[row] == known, "\(universe.name), seed \(seed), step \(step)")
        } else {
          model[key] = slots[row]
          allocator.live[Int(slots[row])] = 1
        }
      }
      for key in model.keys.sorted() where random.chance(step % 20 < 10 ? 20 : 70) {
        release(model.removeValue(forKey: key)!, allocator)
      }
      allocator.reclaim { table.remove(allocator.integerKeys[Int($0)]) }
      #expect(table.count == model.count && allocator.keyCount == model.count)
      #expect(Set(model.values).count == model.count, "two keys share a slot: \(universe.name), seed \(seed)")
      for key in universe.keys {
        #expect(table.find(key) == model[key], "key \(key): \(universe.name), seed \(seed), step \(step)")
      }
    }
  }

  @Test(arguments: universes.indices, UInt64(1)...6)
  func byteStrings(_ position: Int, seed: UInt64) {
    let universe = KeyTableTests.universes[position]
    var random = SeededGenerator(seed)
    // Every length from 0: inside of the slot, in a block, sharing prefixes.
    let names = universe.keys.enumerated().map { index, key in
      index == 0 ? [] : Array(String(repeating: "k", count: index % 17).utf8) + Array("\(key)".utf8)
    }
    let allocator = SlotAllocator(holdsBytes: true)
    var table = BytesKeyTable()
    var model: [[UInt8]: UInt32] = [:]
    for step in 0..<40 {
      let chunk = (0..<Int.random(in: 1...300, using: &random)).map { _ in names.randomElement(using: &random)! }
      let arena = Array(chunk.joined()) + [0]
      arena.withUnsafeBytes { arena in
        var start = 0
        let refs = chunk.map { key in
          defer { start += key.count }
          return KeyRef(bytes: arena.baseAddress! + start, count: key.count)
        }
        var slots = Array(repeating: UInt32(0), count: chunk.count)
        table.intern(refs, &slots, count: refs.count, allocator)
        for (row, key) in chunk.enumerated() {
          if let known = model[key] {
            #expect(slots[row] == known, "\(universe.name), seed \(seed), step \(step)")
          } else {
            model[key] = slots[row]
            allocator.live[Int(slots[row])] = 1
          }
        }
      }
      for key in names where random.chance(step % 20 < 10 ? 20 : 70) {
        if let slot = model.removeValue(forKey: key) { release(slot, allocator) }
      }
      allocator.reclaim { table.remove(slot: $0, allocator) }
      #expect(table.count == model.count && allocator.keyCount == model.count)
      for key in names {
        let found = key.withUnsafeBytes { table.find($0, allocator) }
        #expect(found == model[key], "\(universe.name), seed \(seed), step \(step)")
      }
    }
  }

  /// One call in which the table grows out of the cache and goes on growing, in which places found ahead become others; then one in which it
  /// does not grow.
  @Test(arguments: [false, true])
  func manyIntegers(mayBeNull: Bool) {
    var random = SeededGenerator(mayBeNull ? 1 : 2)
    let allocator = SlotAllocator(holdsBytes: false)
    var table = IntegerKeyTable()
    var model: [Int64: UInt32] = [:]
    for _ in 0..<2 {
      let chunk = (0..<300_000).map { _ in Int64.random(in: 0..<100_000, using: &random) &* 0x5851_F42D }
      let refs = chunk.map { KeyRef(integer: $0) }
      var slots = chunk.map { _ in mayBeNull && random.chance(10) ? Slot.none : 0 }
      let wanted = slots
      table.intern(refs, &slots, count: refs.count, allocator, mayBeNull: mayBeNull)
      var wrong = 0
      for (row, key) in chunk.enumerated() {
        let expected = wanted[row] == Slot.none ? Slot.none : model[key] ?? UInt32(model.count)
        if wanted[row] != Slot.none { model[key] = expected }
        if slots[row] != expected { wrong += 1 }
      }
      #expect(wrong == 0)
      #expect(table.count == model.count && allocator.keyCount == model.count)
    }
  }

  /// Slots are given out again, so that a table that never holds many keys never has many slots.
  @Test func slotsAreReused() {
    let allocator = SlotAllocator(holdsBytes: false)
    var table = IntegerKeyTable()
    for round in 0..<1000 {
      let refs = (0..<100).map { KeyRef(integer: Int64(round * 100 + $0)) }
      var slots = Array(repeating: UInt32(0), count: 100)
      table.intern(refs, &slots, count: 100, allocator)
      allocator.reclaim { table.remove(allocator.integerKeys[Int($0)]) }
    }
    #expect(allocator.slotCount == 100)
    #expect(allocator.keyCount == 0 && table.count == 0)
    #expect(table.memoryBytes == 1024 * 16)
  }

  private func release(_ slot: UInt32, _ allocator: SlotAllocator) {
    allocator.live[Int(slot)] = 0
    allocator.noteEmpty(slot)
  }
}
