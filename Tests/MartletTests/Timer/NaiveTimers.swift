/// What a timer queue is, written as plainly as possible: a list, sorted when asked.
struct NaiveTimers {
  struct Timer: Equatable {
    var time: Int64
    var key: Int64
    /// Order of registration.
    var number: Int
  }

  private(set) var pending: [Timer] = []
  private var registered = 0

  mutating func register(key: Int64, time: Int64) -> Bool {
    guard !pending.contains(where: { $0.key == key && $0.time == time }) else { return false }
    registered += 1
    pending.append(Timer(time: time, key: key, number: registered))
    return true
  }

  mutating func delete(key: Int64, time: Int64) -> Bool {
    let before = pending.count
    pending.removeAll { $0.key == key && $0.time == time }
    return pending.count < before
  }

  /// The next one at or before `time`, taken out.
  mutating func pop(at time: Int64) -> Timer? {
    let due = pending.filter { $0.time <= time }
    guard let first = due.min(by: { ($0.time, $0.key, $0.number) < ($1.time, $1.key, $1.number) }) else { return nil }
    pending.removeAll { $0 == first }
    return first
  }

  func times(key: Int64) -> [Int64] { pending.filter { $0.key == key }.map(\.time).sorted() }
}
