import Testing

@testable import Martlet

@Suite struct StateTableTests {
  /// Random writes and clears over growing tables, against dictionaries; a slot is alive while one of its states is set.
  @Test(arguments: UInt64(1)...10)
  func anyProgram(seed: UInt64) throws {
    var random = SeededGenerator(seed)
    let rig = try StateRig([.typed(.int64), .typed(.float32), .encoded])
    var integers: [UInt32: Int64] = [:]
    var doubles: [UInt32: Double] = [:]
    var strings: [UInt32: [UInt8]] = [:]
    for step in 0..<3000 {
      if step % 300 == 0 { rig.grow(to: rig.slots.slotCount * 2) }
      let slot = UInt32.random(in: 0..<UInt32(rig.slots.slotCount), using: &random)
      rig.call.pointee.slot = slot
      switch Int.random(in: 0..<6, using: &random) {
      case 0:
        integers[slot] = Int64(bitPattern: random.next())
        try rig.handle(0).setInteger(integers[slot]!)
      case 1:
        doubles[slot] = Double(Int.random(in: -99...99, using: &random)) / 4
        try rig.handle(1).setDouble(doubles[slot]!)
      case 2:
        strings[slot] = Array(repeating: UInt8(step & 0xFF), count: Int.random(in: 0...40, using: &random))
        try rig.handle(2).set(strings[slot]!)
      case 3:
        integers[slot] = nil
        try rig.handle(0).clear()
      case 4:
        doubles[slot] = nil
        try rig.handle(1).clear()
      default:
        strings[slot] = nil
        try rig.handle(2).clear()
      }
    }
    for slot in 0..<UInt32(rig.slots.slotCount) {
      rig.call.pointee.slot = slot
      #expect(try rig.handle(0).getInteger() == integers[slot], "slot \(slot), seed \(seed)")
      #expect(try rig.handle(1).getDouble() == doubles[slot], "slot \(slot), seed \(seed)")
      #expect(try rig.handle(2).bytes() == strings[slot], "slot \(slot), seed \(seed)")
      let alive = [integers[slot] != nil, doubles[slot] != nil, strings[slot] != nil].filter { $0 }.count
      #expect(rig.slots.live[Int(slot)] == alive, "slot \(slot), seed \(seed)")
    }
  }

  /// Long values are given back when they are cleared.
  @Test func clearedValuesTakeNoMemory() throws {
    let rig = try StateRig([.encoded], slots: 100)
    let empty = rig.table.memoryBytes
    for slot in UInt32(0)..<100 {
      rig.call.pointee.slot = slot
      try rig.handle().set(Array(repeating: 1, count: 10_000))
    }
    #expect(rig.table.memoryBytes >= empty + 1_000_000)
    for slot in UInt32(0)..<100 {
      rig.call.pointee.slot = slot
      try rig.handle().clear()
    }
    #expect(rig.table.memoryBytes == empty)
  }
}
