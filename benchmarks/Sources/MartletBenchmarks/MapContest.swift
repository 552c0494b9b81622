import BenchSupport
import Martlet

/// Puts and gets on small maps, and on one large one per key.
struct MapPutsAndGets: ProcessFunction {
  let map = MapState<Int64, Int64>("map")
  let entries: Int64
  let pairs: Int64

  func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
    var at = key.int64
    for _ in 0..<pairs {
      at = (at &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407) & .max
      let entry = (at >> 20) % entries
      map.put(entry, (map.get(entry) ?? 0) &+ 1)
    }
  }
}

/// A put and a get count as two operations: `records` records make ten pairs each.
func reportMaps(records: Int) throws {
  let input = try integerBatch((0..<Int64(records / 10)).map { $0 % 1000 })
  func contender(_ name: String, entries: Int64) -> Contest.Contender {
    .init(name) {
      _ = try rows(
        applyProcessFunction(
          Stream(BatchSource([input])), "user_id", MapPutsAndGets(entries: entries, pairs: 10)))
    }
  }
  let timings = try Contest([
    contender("maps of up to 8 entries", entries: 8), contender("maps of up to 50 entries", entries: 50),
    contender("maps of up to 1000 entries", entries: 1000),
  ]).run()
  report("Map puts and gets, operations", records: 2 * records, peer: "maps of up to 8 entries", timings)
}
