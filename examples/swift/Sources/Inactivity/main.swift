// Which sensors fell silent? A timer is set with every reading and taken back with the next; only silence lets it fire.
import Martlet

struct Inactivity: ProcessFunction {
  let silence: Int64
  let lastSeen = ValueState<Int64>("last_seen")
  let sensor = OutputColumn<Int64>("sensor")
  let silentSince = OutputColumn<Int64>("silent_since")

  func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
    guard let now = context.timestamp else { return }
    // A timer that this very reading makes due fires right after it: a silence that is over was still a silence.
    if let last = lastSeen.get(), now <= last + silence { try context.deleteEventTimeTimer(last + silence) }
    lastSeen.set(now)
    try context.registerEventTimeTimer(now + silence)
  }

  func onTimer(key: Key, fireTime: Int64, context: Context) throws {
    sensor.set(key.int64)
    silentSince.set(fireTime - silence)
    try context.emit()
  }
}

/// Five sensors report every second for ten minutes; sensor 3 is silent from 200 s to 300 s, sensor 4 from 400 s on.
func readings() throws -> RecordBatch {
  let builder = try BatchBuilder(Schema([Field("sensor", .int64), Field("ts", .int64)]))
  for second in Int64(0)..<600 {
    for sensor in Int64(0)..<5 {
      if sensor == 3, (200..<300).contains(second) { continue }
      if sensor == 4, second >= 400 { continue }
      try builder.columns[0].append(int64: sensor)
      try builder.columns[1].append(int64: second * 1000)
      try builder.endRow()
    }
  }
  return try builder.finish()
}

let input = try readings()
let events = Stream(BatchSource([input]), timestamp: "ts")
let silent = applyProcessFunction(events, "sensor", Inactivity(silence: 30_000))

var alerts: [[Int64]] = []
try silent.run { batch in
  for row in 0..<batch.numRows { alerts.append([batch.columns[0].int64(row), batch.columns[1].int64(row) / 1000]) }
}
for alert in alerts { print("sensor \(alert[0]) silent since \(alert[1]) s") }
// At the end of the input all time has passed, so the other sensors are silent too.
precondition(alerts == [[3, 199], [4, 399], [0, 599], [1, 599], [2, 599], [3, 599]])
