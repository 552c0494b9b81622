/// The timers of one key as bytes, for the row that a store has of them.
///
/// ```
/// for each timer, in the order of `TimerService.pending`: domain (1) | time (8) | name (text, empty for none)
/// ```
///
/// Little-endian; a text is its length (4) and its UTF-8.
extension TimerService {
  /// Nothing if no timer of the key is pending.
  func encode(_ slot: UInt32, into bytes: inout [UInt8]) {
    var writer = ByteWriter(bytes: bytes)
    bytes = []
    for (domain, timer) in pending(slot: slot) {
      writer.integer(UInt8(truncatingIfNeeded: domain.rawValue))
      writer.integer(timer.time)
      writer.text(names.text(timer.name) ?? "")
    }
    bytes = writer.bytes
  }

  /// Makes the timers of a row pending; false if the bytes are damaged.
  func decode(_ slot: UInt32, _ bytes: UnsafeRawBufferPointer) throws(EngineError) -> Bool {
    guard let timers = PendingTimer.decode(bytes) else { return false }
    for timer in timers {
      try restore(Entry(domain: timer.domain, slot: slot, time: timer.time, name: timer.name))
    }
    return !bytes.isEmpty
  }
}

extension PendingTimer {
  /// The timers of a row; nil if the bytes are damaged.
  static func decode(_ bytes: UnsafeRawBufferPointer) -> [PendingTimer]? {
    var timers: [PendingTimer] = []
    var reader = ByteReader(bytes)
    do throws(ByteReader.Malformed) {
      while !reader.isAtEnd {
        guard let domain = TimerDomain(rawValue: Int32(try reader.integer(UInt8.self))) else { return nil }
        let time = try reader.integer(Int64.self)
        let name = try reader.text()
        timers.append(PendingTimer(domain, time, name: name.isEmpty ? nil : name))
      }
    } catch {
      return nil
    }
    return timers
  }
}

extension TimerQueue {
  /// Calls `body` with the slots of the timers that are due at `time`: of the next `limit` of what fell due, and of every late one. A slot
  /// may come more than once.
  func forEachDueSlot(at time: Int64, limit: Int, _ body: (UInt32) -> Void) {
    for node in run.suffix(limit) where node != TimerStore.gone { body(store[node].slot) }
    for node in late where store[node].time <= time { body(store[node].slot) }
  }

  /// Calls `body` with the slot of every pending timer.
  func forEachSlot(_ body: (UInt32) -> Void) {
    for node in inOrderOfRegistration() { body(store[node].slot) }
  }
}
