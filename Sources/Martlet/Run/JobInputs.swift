/// How a job reads its sources, and what happens when they end.
///
/// A job of one source reads that. One of several bounded sources reads the one that a function of two inputs waits for, else the one
/// whose watermark is furthest behind: so little waits between the two sides of a merge. One that has a live source takes from each in
/// turn what is there; see `LiveInputs`.
extension Job {
  func begin() throws {
    guard !sources.isEmpty else { throw EngineError(.invalidArgument, "job '\(name)' has no input") }
    guard !operators.isEmpty || sources.count == 1 else {
      throw EngineError(
        .invalidArgument,
        "job '\(name)' has \(sources.count) inputs and no function; connect them, or run them one by one")
    }
    state = .running
    if outputs.isEmpty, !operators.isEmpty {
      outputs.append(JobOutput(selected ?? OutputSelector(process: operators.count - 1)))
    }
    // See Job+Clock.swift.
    if !clock.runsByItself, operators.count > 1 || sources.count > 1 {
      for source in sources { source.rowLimit = 1 }
    }
    do {
      endedOperators = operators.map { _ in false }
      firstRecords = inputs.map { $0.map { _ in 0 } }
      findOrigins()
      merges = operators.indices.map { inputs[$0].count == 2 ? MergeStage(operators[$0].kind, order(of: $0)) : nil }
      try makeParallel()
      try stores?.attach(operators)
      try makeRoutes()
      if sources.count > 1, sources.contains(where: \.isLive) { live = LiveInputs(sources, clock) }
      try resume()
      try openWhatIsKnown()
      try endRestored()
    } catch {
      state = .failing(error)
    }
  }

  private func findOrigins() {
    origins = []
    for inputs in inputs {
      origins.append(
        inputs.map { input in
          switch input {
          case .source(let number): [number]
          case .output(let selector): Array(Set(origins[selector.process].joined())).sorted()
          }
        })
    }
  }

  private func order(of index: Int) -> MergeStage.Order {
    func any(_ side: InputSide, _ property: KeyPath<SourceStage, Bool>) -> Bool {
      origins[index][side.rawValue].contains { sources[$0][keyPath: property] }
    }
    let isLive = any(.left, \.isLive) || any(.right, \.isLive)
    if operators[index].kind == .broadcast, !any(.right, \.isLive) {
      let areBothTimed = any(.left, \.isTimed) && any(.right, \.isTimed)
      return areBothTimed && !isLive ? .timestamps : .rightFirst
    }
    return isLive ? .arrival : .timestamps
  }

  /// Opens the operators of sources that know their schema.
  private func openWhatIsKnown() throws {
    if asksForSchemas { for source in sources { _ = try source.openSchema() } }
    for index in operators.indices {
      let isKnown = inputs[index].indices.allSatisfy { side in
        guard case .source(let number) = inputs[index][side] else { return false }
        return sources[number].schemaIfKnown != nil
      }
      if isKnown { try open(index, nil) }
    }
  }

  /// Whether sources are asked for their schemas before the first step. A live one may wait for its first batch while the others have
  /// something. A job that goes on with a `ManualClock` has the schemas of its checkpoint: to be asked, a source may read its next
  /// batch and move the clock, which without the stop it would have done some steps later.
  var asksForSchemas: Bool { live == nil && (restoring == nil || clock.runsByItself) }

  // MARK: - Steps

  func step() throws {
    try tick()
    if live != nil { return try stepLive() }
    let number = sources.count == 1 ? 0 : nextSource()
    let arrival: SourceStage.Arrival
    do { arrival = try nextChunk(sources[number], within: timeToNextTick ?? longestWait(sources[number])) } catch {
      return try deferFailure(ofSource: number, error)
    }
    switch arrival {
    case .notYet:
      for one in operators { one.sweepExpired() }
      if try !collectSome() { try poll() }
    case .chunk(let chunk): try pushFromSource(chunk, number)
    case .watermark(let watermark): try pushWatermark(watermark, number)
    case .end:
      // The clock may have passed some while the source was asked.
      try tick()
      try end(source: number)
    }
  }

  /// A job that checkpoints are taken of (`pause`) does not wait inside of a live source, nor one that looks for silent partitions.
  private func longestWait(_ source: SourceStage) -> Int64? {
    (staysOpenAtEnd && source.isLive) || source.watchesPartitions ? SourceStage.longestWait : nil
  }

  /// While parallel instances are at work the source is only asked for what is there.
  func nextChunk(_ source: SourceStage, within wait: Int64?) throws -> SourceStage.Arrival {
    do { return try source.nextChunk(within: hasWorkUnderWay ? 0 : wait, clock) } catch {
      try collectAll()
      throw error
    }
  }

  func passThrough(_ chunk: Chunk) throws {
    for index in 0..<chunk.selection.count {
      try passThrough.emitRow(chunk.batch, chunk.selection[index], timestamp: EventTime.none)
    }
  }

  /// The source to read next, of those that have not ended.
  func nextSource() -> Int {
    var candidates = sources.indices.filter { !sources[$0].hasEnded }
    // Operators further down decide first: what they wait for is what holds up most.
    for index in merges.indices.reversed() {
      guard let merge = merges[index], let side = merge.waitsFor else { continue }
      let wanted = candidates.filter(origins[index][side.rawValue].contains)
      if !wanted.isEmpty { candidates = wanted }
    }
    // What has been read of a batch but not been given decides nothing: a job that goes on from a checkpoint has to choose the same.
    let least = candidates.min { a, b in
      (sources[a].watermark, sources[a].recordsGiven, a) < (sources[b].watermark, sources[b].recordsGiven, b)
    }
    guard let least else { preconditionFailure("a job whose sources have ended has ended") }
    return least
  }

  // MARK: - The end

  func end(source number: Int) throws {
    sources[number].hasEnded = true
    try endWhatHasEnded()
  }

  /// Tells every operator of the end whose inputs have ended, first to last.
  func endWhatHasEnded() throws {
    for index in operators.indices where !endedOperators[index] {
      for (position, input) in inputs[index].enumerated() where hasEnded(input) && !endedOperators[index] {
        guard let merge = merges[index], let side = InputSide(rawValue: position), !merge.hasEnded(side) else {
          continue
        }
        merge.end(side)
        try drain(merge, index)
      }
      guard inputs[index].allSatisfy(hasEnded), !endedOperators[index] else { continue }
      try endOperator(index)
    }
    if sources.allSatisfy(\.hasEnded), endedOperators.allSatisfy({ $0 }) { state = .ended }
  }

  private func hasEnded(_ input: JobInput) -> Bool {
    switch input {
    case .source(let number): sources[number].hasEnded
    case .output(let selector): endedOperators[selector.process]
    }
  }

  private func endOperator(_ index: Int) throws {
    if case .source(let number) = inputs[index][0], merges[index] == nil {
      try open(index, try sources[number].openSchema())
    } else {
      try open(index, nil)
    }
    do {
      try operators[index].endInput(atEnd)
    } catch {
      try failed(index)
      return try deferFailure(of: index, error)
    }
    try flush(index)
    endedOperators[index] = true
  }
}
