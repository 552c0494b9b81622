/// What a timer queue is, written as plainly as possible: a list, sorted when asked.
struct NaiveTimers {
  struct Timer: Equatable {
    var time: Int64
    var key: Int64
    /// 0 for none.
    var name = 0
    /// Order of registration.
    var number: Int
  }

  private(set) var pending: [Timer] = []
  private var registered = 0

  mutating func register(key: Int64, time: Int64, name: Int = 0) -> Bool {
    guard !pending.contains(where: { $0.key == key && $0.name == name && $0.time == time }) else { return false }
    if name != 0 { pending.removeAll { $0.key == key && $0.name == name } }
    registered += 1
    pending.append(Timer(time: time, key: key, name: name, number: registered))
    return true
  }

  /// The unnamed timer at that time, or the one of that name.
  mutating func delete(key: Int64, time: Int64, name: Int = 0) -> Bool {
    let before = pending.count
    pending.removeAll { $0.key == key && $0.name == name && (name != 0 || $0.time == time) }
    return pending.count < before
  }

  /// The next one at or before `time`, taken out.
  mutating func pop(at time: Int64) -> Timer? {
    let due = pending.filter { $0.time <= time }
    guard let first = due.min(by: { ($0.time, $0.key, $0.number) < ($1.time, $1.key, $1.number) }) else { return nil }
    pending.removeAll { $0 == first }
    return first
  }

  /// Those of a key, by time, then in order of registration.
  func timers(key: Int64) -> [Timer] {
    pending.filter { $0.key == key }.sorted { ($0.time, $0.number) < ($1.time, $1.number) }
  }
}
