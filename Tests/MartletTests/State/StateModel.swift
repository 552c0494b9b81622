import CMartlet

@testable import Martlet

/// What states should do, on plain Swift values: one value, one list and one map per key, each thing with its stamp.
struct StateModel: Equatable {
  struct Timed<Value: Equatable>: Equatable {
    var value: Value
    var stamp: Int64
  }
  var ttl: StateTTL?
  var values: [UInt32: Timed<Int64>] = [:]
  var lists: [UInt32: [Timed<String>]] = [:]
  var maps: [UInt32: [String: Timed<Int64>]] = [:]

  func isAlive<Value>(_ timed: Timed<Value>, _ now: Int64) -> Bool {
    ttl.map { timed.stamp + $0.milliseconds > now } ?? true
  }
  func value(_ slot: UInt32, _ now: Int64) -> Int64? { values[slot].flatMap { isAlive($0, now) ? $0.value : nil } }
  func list(_ slot: UInt32, _ now: Int64) -> [String] { (lists[slot] ?? []).filter { isAlive($0, now) }.map(\.value) }
  func map(_ slot: UInt32, _ now: Int64) -> [String: Int64] {
    (maps[slot] ?? [:]).filter { isAlive($0.value, now) }.mapValues(\.value)
  }
}

extension StateHandle {
  func put(_ key: String, _ value: Int64) throws(EngineError) {
    var failure: EngineError?
    key.withCell { key in
      do throws(EngineError) { try put(key, StateCell(word: value)) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  func get(_ key: String) throws -> Int64? { try key.withCell { key in Result { try value(for: key) } }.get()?.word }
  @discardableResult
  func remove(_ key: String) throws -> Bool { try key.withCell { key in Result { try remove(key) } }.get() }

  func add(_ element: String) throws { try element.withCell { cell in Result { try append(cell) } }.get() }

  func elements() throws -> [String] {
    var elements: [String] = []
    try forEachElement { elements.append(String(cell: $0)) }
    return elements
  }

  func entries(from low: String? = nil, to high: String? = nil) throws -> [(String, Int64)] {
    var entries: [(String, Int64)] = []
    func visit(_ low: StateCell?, _ high: StateCell?) throws {
      try forEachEntry(from: low, to: high) {
        entries.append((String(cell: $0), $1.word))
        return true
      }
    }
    try (low ?? "").withCell { lowCell in
      (high ?? "").withCell { highCell in Result { try visit(low == nil ? nil : lowCell, high == nil ? nil : highCell) }
      }
    }.get()
    return entries
  }
}
