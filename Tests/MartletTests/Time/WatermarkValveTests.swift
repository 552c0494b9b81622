import Testing

@testable import Martlet

/// The cases of Flink's `StatusWatermarkValveTest`, and what finished inputs do.
@Suite struct WatermarkValveTests {
  /// Runs "0=25 1I 2A 1F": each step with what it forwards, as in "0=25→25 1I→IDLE".
  private func run(_ channels: Int, _ script: String, sourceLocation: SourceLocation = #_sourceLocation) {
    var valve = WatermarkValve(channels: channels)
    var told = ""
    for step in script.split(separator: " ") {
      let action = step.split(separator: "→")[0]
      let channel = Int(String(action.first!))!
      var forwarded = WatermarkValve.Forwarded()
      switch action.dropFirst().first! {
      case "=": forwarded.watermark = valve.advance(channel, to: Int64(action.dropFirst(2))!)
      case "I": forwarded = valve.idle(channel)
      case "A": forwarded = valve.active(channel)
      default: forwarded = valve.finish(channel)
      }
      var output: [String] = []
      if let watermark = forwarded.watermark { output.append("\(watermark)") }
      if let isIdle = forwarded.isIdle { output.append(isIdle ? "IDLE" : "ACTIVE") }
      told += (told.isEmpty ? "" : " ") + action + (output.isEmpty ? "" : "→" + output.joined(separator: ","))
    }
    #expect(told == script, sourceLocation: sourceLocation)
  }

  @Test func oneInput() {
    run(1, "0=0→0 0=25→25")
    run(1, "0=25→25 0=18 0=42→42")
    run(1, "0A 0I→IDLE 0I 0A→ACTIVE")
    run(1, "0=25→25 0I→IDLE 0=50 0A→ACTIVE 0=50→50")
  }

  @Test func theLeastOfSeveral() {
    run(3, "0=0 1=0 2=0→0")
    run(3, "0=0 1=0 2=0→0 0=12 2=8 2=10 1=15→10 2=17→12 0=20→15")
  }

  @Test func idleInputsDoNotCount() {
    run(3, "0=15 1=10 2I→10 1=18→15 0=20→18")
    run(3, "0=25 1=10 2=17→10 1I→17 2I→25")
    run(3, "0=10 1=5 2=3→3 0I 1I 2I→10,IDLE")
    run(3, "0I 1I 2I→IDLE 1A→ACTIVE 0A 2A")
  }

  /// An input that comes back counts once it has caught up; until then it neither holds the others back nor takes time back.
  @Test func aReturningInputHasToCatchUp() {
    run(2, "0=25 1=10→10 1I→25 1A 0=30→30 1=20 0=35→35 1=40 0=50→40")
    run(3, "0=10 1=5 2=3→3 0I 1I 2I→10,IDLE 0A→ACTIVE 0=12→12 1A 1=9 0=14→14 1=15 0=20→15")
  }

  @Test func finishedInputsDoNotCount() {
    run(2, "0=5 0F 1=7→7 1=9→9 1F")
    run(2, "0=5 1=3→3 1F→5 0=6→6 0F")
    run(2, "0F 1F")
    run(2, "0F 0F 0=9 0I 1=3→3")
  }

  /// What remains is only idle: that is not the end, and nothing jumps there.
  @Test func finishedWhileTheRestIsIdle() {
    run(2, "0=10 1=50→10 1I 0F→50,IDLE 1A→ACTIVE 1=60→60 1F")
    run(2, "0=10 1=5→5 1I→10 0F→IDLE")
    run(2, "0I 1F→IDLE")
    run(3, "0I 1I 2=7→7 2F→IDLE 0F 1A→ACTIVE 1=9→9")
  }

  @Test func restored() {
    var valve = WatermarkValve(restoring: [(25, .active), (10, .idle), (40, .finished)], watermark: 25)
    #expect(valve.advance(0, to: 30) == 30)
    #expect(valve.active(1) == .nothing)
    #expect(valve.advance(0, to: 35) == 35 && valve.advance(1, to: 34) == nil)
    #expect(valve.idle(0) == .nothing && valve.idle(1) == WatermarkValve.Forwarded(watermark: nil, isIdle: true))
  }
}
