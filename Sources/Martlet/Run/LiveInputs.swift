/// The sources of a job of which at least one is live: each is asked in turn, and what it has goes on as it comes.
///
/// A source that may wait is read by a thread of its own, which reads one batch when it is asked and then waits for the job to take it
/// (`SourcePump`): so nothing piles up, a slow job slows its sources down, and none can starve another, whose batch waits for its turn
/// of one chunk. While none has anything the job waits for all of them at once.
struct LiveInputs {
  let gate = PumpGate()
  /// The source to be asked first.
  var turn = 0
  /// Per source: when it last gave something, by the job's clock.
  var lastArrivals: [Int64]
  var idle: [Bool]

  init(_ sources: [SourceStage], _ clock: Clock) {
    let now = clock.now()
    lastArrivals = sources.map { _ in now }
    idle = sources.map { _ in false }
    for source in sources { source.gate = gate }
  }
}

extension Job {
  /// One chunk of the next source that has one, or a wait.
  func stepLive() throws {
    guard var live else { return }
    var waiting: [Int] = []
    let wanted = wantedSources()
    for offset in sources.indices {
      let number = (live.turn + offset) % sources.count
      guard wanted.contains(number) else { continue }
      switch try nextChunk(sources[number], within: 0) {
      case .notYet: waiting.append(number)
      case .watermark(let watermark): return try pushWatermark(watermark, number)
      case .chunk(let chunk):
        live.turn = (number + 1) % sources.count
        live.lastArrivals[number] = clock.now()
        self.live = live
        try setIdle(number, false)
        return try pushFromSource(chunk, number)
      case .end:
        try tick()
        return try end(source: number)
      }
    }
    if try collectSome() { return }
    for one in operators { one.sweepExpired() }
    var wait = min(timeToNextTick ?? SourceStage.longestWait, SourceStage.longestWait)
    let now = clock.now()
    for number in waiting where sources[number].idleTimeout > 0 && !live.idle[number] {
      let left = live.lastArrivals[number].saturatingAdding(sources[number].idleTimeout).saturatingSubtracting(now)
      if left <= 0 { try setIdle(number, true) } else { wait = min(wait, left) }
    }
    live.gate.wait(within: wait) { waiting.contains { sources[$0].hasArrival } }
    try poll()
  }

  /// The sources that may be read: not those whose records would only wait for another input.
  private func wantedSources() -> Set<Int> {
    let all = Set(sources.indices.filter { !sources[$0].hasEnded })
    var wanted = all
    for (index, merge) in merges.enumerated() {
      guard let side = merge?.waitsFor else { continue }
      wanted.subtract(Set(origins[index][side.other.rawValue]).subtracting(origins[index][side.rawValue]))
    }
    return wanted.isEmpty ? [nextSource()] : wanted
  }

  /// A source has given nothing for long, or something again: tells every function of two inputs further down.
  private func setIdle(_ number: Int, _ isIdle: Bool) throws {
    guard live?.idle[number] != isIdle else { return }
    live?.idle[number] = isIdle
    for (index, merge) in merges.enumerated() {
      guard let merge else { continue }
      for side in [InputSide.left, .right] where origins[index][side.rawValue].contains(number) && !merge.hasEnded(side)
      {
        let left = origins[index][side.rawValue].filter { !sources[$0].hasEnded }
        let sideIsIdle = left.allSatisfy { live?.idle[$0] ?? false }
        guard merge.isIdle(side) != sideIsIdle, let watermark = merge.setIdle(side, sideIsIdle) else { continue }
        try [WatermarkMark(position: 0, watermark: watermark)].withUnsafeBufferPointer { try pass($0, to: index) }
      }
    }
  }
}
