import BenchSupport

let records = 1_000_000

for cardinality in [1_000, 100_000, 1_000_000] {
  let integers = IntegerLoop(IntegerKeys(count: records, cardinality: cardinality))
  let strings = StringLoop(StringKeys(count: records, cardinality: cardinality))
  integers.run()
  integers.check()
  strings.run()
  strings.check()
  let timings = try Contest([
    .init("C loop, int keys", run: integers.run),
    .init("C loop, string keys", run: strings.run),
  ]).run()
  report("Running count, \(cardinality) keys", records: records, peer: "C loop, int keys", timings)
}
