import Testing

@testable import Martlet

/// The timer queue against `NaiveTimers`: the same answers to any program.
@Suite struct TimerQueueTests {
  /// How far apart the times of a program lie.
  static let spreads: [(name: String, times: @Sendable (inout SeededGenerator, Int64) -> Int64)] = [
    ("near", { random, now in now.saturatingAdding(Int64.random(in: -5...20, using: &random)) }),
    ("wide", { random, now in now.saturatingAdding(Int64.random(in: -1000...1_000_000, using: &random)) }),
    (
      "any",
      { random, _ in
        random.chance(20)
          ? [.min, .min + 1, -1, 0, 1, .max - 1, .max].randomElement(using: &random)!
          : Int64(bitPattern: random.next()) >> Int64.random(in: 0..<64, using: &random)
      }
    ),
  ]

  @Test(arguments: spreads.indices, UInt64(1)...40)
  func anyProgram(_ position: Int, seed: UInt64) throws {
    let spread = TimerQueueTests.spreads[position]
    var random = SeededGenerator(seed)
    let place = Comment(rawValue: "\(spread.name), seed \(seed)")
    let rig = try TimerRig(keys: [Int64.min, -300, -1, 0, 1, 2, 255, 256, 70_000, .max])
    var model = NaiveTimers()
    var now: Int64 = position == 2 ? .min : 0
    for _ in 0..<300 {
      let key = Int.random(in: 0..<rig.keys.count, using: &random)
      switch Int.random(in: 0..<10, using: &random) {
      case 0...4:
        let time = spread.times(&random, now)
        #expect(rig.register(key, time) == model.register(key: rig.keys[key], time: time), place)
      case 5:
        let known = model.times(key: rig.keys[key]).randomElement(using: &random)
        let time = known ?? spread.times(&random, now)
        #expect(rig.delete(key, time) == model.delete(key: rig.keys[key], time: time), place)
      case 6:
        #expect(rig.queue.times(slot: rig.slots[key]) == model.times(key: rig.keys[key]), place)
      default:
        now = max(now, spread.times(&random, now))
        fire(rig, &model, at: now, &random, place) { spread.times(&$0, now) }
      }
      #expect(rig.queue.count == model.pending.count, place)
    }
    fire(rig, &model, at: .max, &random, place) { spread.times(&$0, .max) }
    #expect(rig.queue.count == 0 && model.pending.isEmpty, place)
    #expect(rig.slots.allSatisfy { rig.space.slots.live[Int($0)] == 0 }, place)
  }

  /// One pass in which firing timers register and delete others, at times before and after the watermark.
  private func fire(
    _ rig: TimerRig, _ model: inout NaiveTimers, at now: Int64, _ random: inout SeededGenerator, _ place: Comment,
    _ anyTime: (inout SeededGenerator) -> Int64
  ) {
    if !rig.queue.mayBeDue(at: now) {
      // It may only be wrong in the other direction.
      #expect(model.pending.allSatisfy { $0.time > now }, place)
    }
    rig.queue.advance(to: now)
    for fired in 0... {
      let due = rig.queue.popDue(at: now)
      let expected = model.pop(at: now)
      #expect(due?.time == expected?.time && due.map { rig.key(ofSlot: $0.slot) } == expected?.key, place)
      guard let due, let expected else { break }
      guard fired < 60 else { continue }
      if random.chance(30) {
        let time = random.chance(50) ? due.time : anyTime(&random)
        let key = rig.keys.firstIndex(of: expected.key)!
        #expect(rig.register(key, time) == model.register(key: expected.key, time: time), place)
      }
      if random.chance(20), let victim = model.pending.randomElement(using: &random) {
        let key = rig.keys.firstIndex(of: victim.key)!
        #expect(rig.delete(key, victim.time) == model.delete(key: victim.key, time: victim.time), place)
      }
    }
  }

  @Test func equalTimesFireInKeyOrder() throws {
    let rig = try TimerRig(keys: [5, -2, 300, 0, .min, .max])
    for key in [0, 2, 1, 5, 3, 4] { rig.register(key, 100) }
    rig.queue.advance(to: 100)
    var fired: [Int64] = []
    while let due = rig.queue.popDue(at: 100) { fired.append(rig.key(ofSlot: due.slot)) }
    #expect(fired == [.min, -2, 0, 5, 300, .max])
  }

  /// The first and the last time there are.
  @Test func endsOfTime() throws {
    let rig = try TimerRig(keys: [1])
    rig.register(0, .max)
    rig.register(0, .min)
    #expect(rig.queue.times(slot: rig.slots[0]) == [.min, .max])
    rig.queue.advance(to: .min)
    #expect(rig.queue.popDue(at: .min)?.time == .min)
    rig.queue.advance(to: .max - 1)
    #expect(rig.queue.popDue(at: .max - 1)?.time == nil)
    rig.queue.advance(to: .max)
    #expect(rig.queue.popDue(at: .max)?.time == .max)
    #expect(rig.queue.count == 0)
  }

  /// Memory of fired and deleted timers is used again.
  @Test func memoryIsThatOfThePendingTimers() throws {
    let rig = try TimerRig(keys: Array(0..<100))
    for now in Int64(0)..<2000 {
      for key in 0..<100 {
        rig.register(key, now + 10)
        if key % 3 == 0 { rig.delete(key, now + 10) }
      }
      rig.queue.advance(to: now)
      while rig.queue.popDue(at: now) != nil {}
    }
    #expect(rig.queue.memoryBytes < 1_000_000, "\(rig.queue.memoryBytes) bytes")
  }
}

/// A timer queue over integer keys that have slots.
final class TimerRig {
  let keys: [Int64]
  let slots: [UInt32]
  let space: KeySpace
  let queue: TimerQueue

  init(keys: [Int64]) throws {
    let rig = try KeyRig(.int64)
    self.keys = keys
    slots = try rig.intern(keys.map { Value.int($0) })
    space = rig.space
    queue = TimerQueue(keys: rig.space)
  }

  @discardableResult
  func register(_ key: Int, _ time: Int64) -> Bool { queue.register(slot: slots[key], time: time, depth: 0) }

  @discardableResult
  func delete(_ key: Int, _ time: Int64) -> Bool { queue.delete(slot: slots[key], time: time) }

  func key(ofSlot slot: UInt32) -> Int64 { keys[slots.firstIndex(of: slot)!] }
}
