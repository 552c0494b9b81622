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
    // Every third program has few keys, and so many timers of each: lists long enough to be indexed.
    let keys: [Int64] = [.min, -300, -1, 0, 1, 2, 255, 256, 70_000, .max]
    let rig = try TimerRig(keys: seed % 3 == 0 ? Array(keys.prefix(2)) : keys)
    var model = NaiveTimers()
    var now: Int64 = position == 2 ? .min : 0
    for _ in 0..<300 {
      let key = Int.random(in: 0..<rig.keys.count, using: &random)
      let name = random.chance(40) ? Int.random(in: 1...3, using: &random) : 0
      switch Int.random(in: 0..<11, using: &random) {
      case 0...4:
        let time = spread.times(&random, now)
        #expect(rig.register(key, time, name) == model.register(key: rig.keys[key], time: time, name: name), place)
      case 5:
        let known = model.timers(key: rig.keys[key]).randomElement(using: &random)
        let time = known?.time ?? spread.times(&random, now)
        #expect(rig.delete(key, time, name) == model.delete(key: rig.keys[key], time: time, name: name), place)
      case 6:
        #expect(rig.pending(key) == model.timers(key: rig.keys[key]).map { [$0.time, Int64($0.name)] }, place)
      case 7:
        call(rig, &model, &random, place) { spread.times(&$0, now) }
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
    let first = model.pending.map(\.time).min()
    #expect(first == nil ? rig.queue.nextWake == nil : rig.queue.nextWake! <= first!, place)
    if !rig.queue.mayBeDue(at: now) {
      // It may only be wrong in the other direction.
      #expect(model.pending.allSatisfy { $0.time > now }, place)
    }
    rig.queue.advance(to: now)
    #expect(rig.queue.isDue(at: now) == model.pending.contains { $0.time <= now }, place)
    for fired in 0... {
      let due = rig.queue.popDue(at: now)
      let expected = model.pop(at: now)
      #expect(due?.time == expected?.time && due.map { rig.key(ofSlot: $0.slot) } == expected?.key, place)
      #expect(due.map { Int($0.name.number) } == expected?.name, place)
      guard let due, let expected else { break }
      guard fired < 60 else { continue }
      if random.chance(30) {
        let time = random.chance(50) ? due.time : anyTime(&random)
        let key = rig.keys.firstIndex(of: expected.key)!
        let name = random.chance(50) ? expected.name : 0
        #expect(rig.register(key, time, name) == model.register(key: expected.key, time: time, name: name), place)
      }
      if random.chance(20), let victim = model.pending.randomElement(using: &random) {
        let key = rig.keys.firstIndex(of: victim.key)!
        #expect(
          rig.delete(key, victim.time, victim.name)
            == model.delete(key: victim.key, time: victim.time, name: victim.name), place)
      }
      if random.chance(10) { call(rig, &model, &random, place, anyTime) }
    }
  }

  /// A callback that registers and deletes at random, and then is kept or taken back.
  private func call(
    _ rig: TimerRig, _ model: inout NaiveTimers, _ random: inout SeededGenerator, _ place: Comment,
    _ anyTime: (inout SeededGenerator) -> Int64
  ) {
    let before = model
    rig.queue.beginCall()
    for _ in 0..<Int.random(in: 0...8, using: &random) {
      let key = Int.random(in: 0..<rig.keys.count, using: &random)
      let name = random.chance(50) ? Int.random(in: 1...3, using: &random) : 0
      if random.chance(50) {
        let time = anyTime(&random)
        #expect(rig.register(key, time, name) == model.register(key: rig.keys[key], time: time, name: name), place)
      } else {
        let time = model.timers(key: rig.keys[key]).randomElement(using: &random)?.time ?? 0
        #expect(rig.delete(key, time, name) == model.delete(key: rig.keys[key], time: time, name: name), place)
      }
    }
    if random.chance(50) {
      rig.queue.commitCall()
      rig.queue.rollbackCall()  // Too late: changes nothing.
    } else {
      rig.queue.rollbackCall()
      model = before
    }
    #expect(rig.queue.count == model.pending.count, place)
  }

  /// What is enumerated and registered again fires in the same order.
  @Test(arguments: UInt64(1)...20)
  func snapshots(seed: UInt64) throws {
    var random = SeededGenerator(seed)
    let keys: [Int64] = [3, -1, 700, 0]
    let clock = ManualClock()
    let first = TimerService(keys: try TimerRig(keys: keys).space, clock: clock)
    let second = TimerService(keys: first.event.keys, clock: clock)
    for _ in 0..<60 {
      let slot = UInt32.random(in: 0..<4, using: &random)
      let time = Int64.random(in: 0..<6, using: &random)
      let domain = random.chance(50) ? TimerDomain.event : .processing
      if random.chance(50) {
        first.queue(domain).register(slot: slot, time: time, depth: 0)
      } else {
        let name = try first.names.intern(["a", "b", "ä"].randomElement(using: &random)!)
        first.register(domain, slot: slot, name: name, time: time, depth: 0)
      }
    }
    _ = try second.names.intern("other")
    try first.forEach { try second.restore($0) }
    #expect(first.count == second.count)
    for domain in [TimerDomain.event, .processing] {
      let (left, right) = (first.queue(domain), second.queue(domain))
      left.advance(to: 100)
      right.advance(to: 100)
      while let due = left.popDue(at: 100) {
        let other = try #require(right.popDue(at: 100))
        #expect((due.time, due.slot) == (other.time, other.slot), "seed \(seed)")
        #expect(first.names.text(due.name) == second.names.text(other.name), "seed \(seed)")
      }
      #expect(right.popDue(at: 100) == nil)
    }
  }

  @Test func namesAreSharedByBothDomains() throws {
    let service = TimerService(keys: try TimerRig(keys: [1, 2]).space, clock: ManualClock())
    let name = try service.names.intern("x")
    service.register(.event, slot: 0, name: name, time: 10, depth: 0)
    service.register(.event, slot: 1, name: name, time: 10, depth: 0)
    service.register(.processing, slot: 0, name: name, time: 5, depth: 0)
    #expect(service.event.count == 1 && service.processing.count == 1)
    #expect(service.pending(slot: 0).map(\.domain) == [.processing])
    #expect(service.delete(slot: 0, name: name) && !service.delete(slot: 0, name: name))
    #expect(service.delete(slot: 1, name: name) && service.count == 0)
  }

  @Test func names() throws {
    let names = TimerNames()
    for round in 0..<2 {
      for number in 1...40 {
        #expect(names.find("name \(number)") != nil || round == 0)
        #expect(try names.intern("name \(number)").number == number)
      }
    }
    #expect(names.text(TimerName(number: 7)) == "name 7" && names.text(.none) == nil && names.find("other") == nil)
    #expect(throws: EngineError.self) { try names.intern("") }
    #expect(throws: EngineError.self) { try names.intern("a\0b") }
    for number in 41...65535 { _ = try names.intern("name \(number)") }
    #expect(throws: EngineError.self) { try names.intern("one more") }
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
    #expect(rig.queue.pending(slot: rig.slots[0]).map(\.time) == [.min, .max])
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
  func register(_ key: Int, _ time: Int64, _ name: Int = 0) -> Bool {
    queue.register(slot: slots[key], time: time, name: TimerName(number: UInt16(name)), depth: 0)
  }

  @discardableResult
  func delete(_ key: Int, _ time: Int64, _ name: Int = 0) -> Bool {
    queue.delete(slot: slots[key], time: time, name: TimerName(number: UInt16(name)))
  }

  /// Time and name of each.
  func pending(_ key: Int) -> [[Int64]] {
    queue.pending(slot: slots[key]).map { [$0.time, Int64($0.name.number)] }
  }

  func key(ofSlot slot: UInt32) -> Int64 { keys[slots.firstIndex(of: slot)!] }
}
