import BenchSupport
import Martlet

// Usage: MartletBenchmarks [memory] [counters] [connect] [maps] [timers] [timer-cycles] [pending-timers]
// [allocations] [parallel] [durable]; all of them without arguments. Or: profile <contender> <keys> <seconds>.
let wanted = CommandLine.arguments.dropFirst()
func isWanted(_ name: String) -> Bool { wanted.isEmpty || wanted.contains(name) }

let records = 1_000_000
let arguments = CommandLine.arguments
if arguments.count == 5, arguments[1] == "profile", let keys = Int(arguments[3]), let seconds = Int(arguments[4]) {
  try profileCounter(arguments[2], records: records, cardinality: keys, seconds: seconds)
} else {
  // First, while nothing else has touched memory.
  if isWanted("memory") { try reportMemory() }
  if isWanted("counters") { try reportCounters(records: records) }
  if isWanted("connect") { try reportConnect(records: records) }
  if isWanted("maps") { try reportMaps(records: 5 * records) }
  if isWanted("timers") { try reportTimers(records: records) }
  if isWanted("timer-cycles") { try reportTimerCycles(records: records) }
  if isWanted("pending-timers") { try reportPendingTimers(10 * records) }
  if isWanted("parallel") { try reportParallel(records: records) }
  if isWanted("durable") { try reportDurable(records: records) }
  if isWanted("allocations") { try reportAllocations(records: records) }
}
