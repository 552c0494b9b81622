import BenchSupport
import Glibc
import Martlet

/// The same functions on one, two and four instances. Beside wall time, which needs that many idle cores, the processor time: what
/// dealing out and merging cost on top of a serial run, and how much of it the coordinating thread has.
func reportParallel(records: Int) throws {
  let keys = IntegerKeys(count: records, cardinality: 100_000)
  let integers = try integerBatch(keys.values)
  let strings = try stringBatch(StringKeys(count: records, cardinality: 100_000))
  let few = try integerBatch(IntegerKeys(count: records, cardinality: 1000).values)
  for steps in [100, 300] {
    try compare("\(steps) steps of arithmetic and a row, 1 k keys", records, few) {
      try rows(applyProcessFunction($0, "user_id", Arithmetic(steps), config: $1))
    }
  }
  try compare("two map operations and a row, 1 k keys", records, few) {
    try rows(applyProcessFunction($0, "user_id", MapCounter(), config: $1))
  }
  try compare("two map operations and a row, 100 k keys", records, integers) {
    try rows(applyProcessFunction($0, "user_id", MapCounter(), config: $1))
  }
  try compare("counter, two fields", records, integers) {
    try rows(applyProcessFunction($0, "user_id", IntegerCounter(), config: $1))
  }
  try compare("counter, record", records, integers) {
    try rows(applyProcessFunction($0, "user_id", RecordCounter(), config: $1))
  }
  try compare("string keys: counter, record", records, strings) {
    try rows(applyProcessFunction($0, "user_id", RecordCounter(), config: $1))
  }
  try compare("empty function", records, integers) {
    try rows(applyProcessFunction($0, "user_id", Nothing(), config: $1))
  }
}

/// Counts per key and remainder, and emits both: about as much as a small real function does.
struct MapCounter: ProcessFunction {
  let map = MapState<Int64, Int64>("map")
  let user = OutputColumn<Int64>("user_id")
  let n = OutputColumn<Int64>("n")

  func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
    let entry = Int64(row & 7)
    let next = (map.get(entry) ?? 0) + 1
    map.put(entry, next)
    user.set(key.int64)
    n.set(next)
    try context.emit()
  }
}

/// A function whose own code takes a while.
struct Arithmetic: ProcessFunction {
  let state = ValueState<Int64>("state")
  let user = OutputColumn<Int64>("user_id")
  let n = OutputColumn<Int64>("n")
  let steps: Int

  init(_ steps: Int) { self.steps = steps }

  func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
    var value = state.get() ?? key.int64
    for _ in 0..<steps { value = (value ^ (value >> 29)) &* 6_364_136_223_846_793_005 }
    state.set(value)
    user.set(key.int64)
    n.set(value)
    try context.emit()
  }
}

private func compare(
  _ title: String, _ records: Int, _ input: RecordBatch, _ run: @escaping (Stream, Stream.Config) throws -> Int
) throws {
  struct Times {
    var process: [Double] = []
    var coordinator: [Double] = []
  }
  let parallelisms = [1, 2, 4]
  var times = parallelisms.map { _ in Times() }
  var timings: [Contest.Timing] = []
  timings = try Contest(
    rounds: 9,
    parallelisms.indices.map { index in
      .init("parallelism \(parallelisms[index])") {
        var config = Stream.Config.default
        config.parallelism = parallelisms[index]
        let before = (cpuTime(CLOCK_PROCESS_CPUTIME_ID), cpuTime(CLOCK_THREAD_CPUTIME_ID))
        _ = try run(Stream(BatchSource([input])), config)
        times[index].process.append(cpuTime(CLOCK_PROCESS_CPUTIME_ID) - before.0)
        times[index].coordinator.append(cpuTime(CLOCK_THREAD_CPUTIME_ID) - before.1)
      }
    }
  ).run()
  let serial = timings[0].median
  printTable(
    "Parallel: \(title)",
    header: ["", "wall ns/record", "x serial", "CPU ns/record", "over serial", "of the coordinator", "spread"],
    rows: timings.indices.map { index in
      func perRecord(_ time: Double) -> Double { time / Double(records) }
      let cpu = perRecord(median(times[index].process))
      return [
        timings[index].name, fixed(perRecord(timings[index].median), 1), fixed(serial / timings[index].median),
        fixed(cpu, 1), fixed(cpu - perRecord(median(times[0].process)), 1),
        fixed(perRecord(median(times[index].coordinator)), 1), fixed(timings[index].spread * 100, 1) + "%",
      ]
    })
}

private func cpuTime(_ clock: clockid_t) -> Double {
  var time = timespec()
  clock_gettime(clock, &time)
  return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
}
