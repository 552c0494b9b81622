import BenchSupport
import Martlet

/// One timer per key, all pending at once, then fired.
func reportTimers(records: Int) throws {
  let timerInput = try integerBatch((0..<Int64(records)).map { $0 &* 7_919 })
  let timerTimings = try Contest(
    rounds: 5,
    [
      .init("register and fire 1 M timers over 1 M keys") {
        let fired = try rows(applyProcessFunction(Stream(BatchSource([timerInput])), "user_id", TimerPerKey()))
        precondition(fired == records)
      }
    ]
  ).run()
  report("Timers", records: records, peer: "register and fire 1 M timers over 1 M keys", timerTimings)
}
