// All keys of the instance, in memory and in the store, in the order of canonical key bytes.

extension WriteBack {
  /// Keys that are taken up together: read from the store, shown one by one, and given back before the next.
  private static let keysAtOnce = 1024

  /// Calls `body` with the slot of every key that has state or timers, in key order; it is loaded. What `body` changes is
  /// noticed. Keys that only `body` made are not among them. `relieve` may flush.
  func forEachKey(_ body: (UInt32) throws -> Void, relieve: () throws(EngineError) -> Void = {}) throws {
    try checkUsable()
    var stream = try guarded { () throws(EngineError) in try StoredKeys(self) }
    var resident = keys.liveSlotsInKeyOrder().map { keys.canonicalBytes(of: $0) }[...]
    while true {
      var next: [[UInt8]] = []
      while next.count < WriteBack.keysAtOnce {
        let stored = stream.first
        guard let mine = resident.first else {
          guard let stored else { break }
          next.append(stored)
          try guarded { () throws(EngineError) in try stream.removeFirst() }
          continue
        }
        if let stored, stored.lexicographicallyPrecedes(mine) {
          next.append(stored)
          try guarded { () throws(EngineError) in try stream.removeFirst() }
        } else {
          if let stored, stored == mine { try guarded { () throws(EngineError) in try stream.removeFirst() } }
          next.append(mine)
          resident.removeFirst()
        }
      }
      if next.isEmpty { return }
      for slot in try takeUp(next) { try visit(slot, body) }
      evict()
      try relieve()
    }
  }

  /// The slots of the keys, all of them loaded.
  func takeUp(_ next: [[UInt8]]) throws(EngineError) -> [UInt32] {
    var slots: [UInt32] = []
    slots.reserveCapacity(next.count)
    for key in next {
      guard let slot = keys.intern(canonical: key) else {
        throw damaged("it has a key that is none of operator \(rows.operatorNumber)'s")
      }
      slots.append(slot)
    }
    flags.reserve(keys.slots.capacity)
    if states.reserve() { columnsMoved() }
    for slot in slots where !flags.has(slot, SlotFlags.loaded) {
      flags.set(slot, SlotFlags.loaded)
      missing.append(slot)
    }
    try loadMissing()
    isAllDirty = false
    return slots
  }

  /// A slot that was as the store has it is dirty only if the call changed it: a visit of all keys would make all of them dirty otherwise,
  /// and none could leave memory.
  private func visit(_ slot: UInt32, _ body: (UInt32) throws -> Void) throws {
    if keys.slots.live[Int(slot)] == 0 { return }
    guard !flags.has(slot, SlotFlags.dirty), !flags.has(slot, SlotFlags.large) else {
      flags.markDirty(slot)
      return try body(slot)
    }
    let before = try image(slot)
    defer {
      // A value that cannot be encoded was changed just now.
      if (try? image(slot)) != before { flags.markDirty(slot) }
    }
    try body(slot)
  }

  /// What a flush would write of the slot.
  private func image(_ slot: UInt32) throws(EngineError) -> [UInt8] {
    var bytes: [UInt8] = []
    for (column, number) in keyed { try StateRow.append(column, number, slot, to: &bytes) }
    if timers.count > 0 { timers.encode(slot, into: &bytes) }
    return bytes
  }
}

/// The keys that the store has of an operator instance, in the order of canonical key bytes: the groups' rows merged. Of each group
/// some are read ahead, so that no cursor stays open and memory does not follow the number of keys.
struct StoredKeys {
  private struct Group {
    let head: [UInt8]
    /// The keys read ahead, the next one last.
    var ahead: [[UInt8]] = []
    /// Where to read on; nil at the end.
    var from: [UInt8]?
  }

  private let writeBack: WriteBack
  /// Those that have keys.
  private var groups: [Group] = []
  private var heap = KeyHeap()
  private let atOnce: Int

  init(_ writeBack: WriteBack) throws(EngineError) {
    self.writeBack = writeBack
    atOnce = max(8, 8192 / max(writeBack.binding.groups.groups.count, 1))
    if writeBack.isStoreEmpty || writeBack.keys.partCount == 0 { return }
    for number in writeBack.binding.groups.groups {
      let head = writeBack.rows.group(number)
      var group = Group(head: head, from: head)
      try read(&group)
      guard let key = group.ahead.last else { continue }
      heap.add(key, run: groups.count)
      groups.append(group)
    }
  }

  /// The least key that was not taken.
  var first: [UInt8]? { heap.firstKey }

  mutating func removeFirst() throws(EngineError) {
    guard let index = heap.firstRun else { return }
    groups[index].ahead.removeLast()
    if groups[index].ahead.isEmpty { try read(&groups[index]) }
    heap.replaceFirst(by: groups[index].ahead.last)
  }

  private func read(_ group: inout Group) throws(EngineError) {
    guard let from = group.from else { return }
    let classes = writeBack.keys.schema.parts.map(\.keyClass)
    var keys: [[UInt8]] = []
    var range = KeyRange(from, upTo: KeyRange.successor(ofPrefix: group.head))
    group.from = nil
    reading: while true {
      let cursor = try writeBack.store.cursor(writeBack.binding.states, range)
      defer { cursor.close() }
      while try cursor.next() {
        let rest = UnsafeRawBufferPointer(rebasing: cursor.key[StoreKeys.headSize...])
        guard let size = KeyEncoding.size(rest, classes), size < rest.count else {
          throw writeBack.damaged("it has a key that is none of operator \(writeBack.rows.operatorNumber)'s")
        }
        let key = Array(rest[..<size])
        if rest[size] == StoreKeys.record {
          keys.append(key)
          if keys.count < atOnce { continue }
          group.from = group.head + key + [StoreKeys.entries]
          break reading
        }
        // Over the rows of a large list or map at one go.
        range = KeyRange(group.head + key + [StoreKeys.entries + 1], upTo: range.upper)
        continue reading
      }
      break
    }
    group.ahead = keys.reversed()
  }
}
