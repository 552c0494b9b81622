/// How records get from one operator of a job to the next.
extension Job {
  func makeRoutes() throws(EngineError) {
    routes = operators.map { _ in [] }
    feeds = sources.map { _ in [] }
    func add(_ selector: OutputSelector, _ change: (inout Route) -> Void) throws(EngineError) {
      let lane = try lane(of: selector)
      if let position = routes[selector.process].firstIndex(where: { $0.lane === lane }) {
        change(&routes[selector.process][position])
      } else {
        var route = Route(lane: lane)
        change(&route)
        routes[selector.process].append(route)
      }
    }
    // Main outputs first, so that the order in which outputs were asked for changes nothing.
    for process in operators.indices { try add(OutputSelector(process: process)) { _ in } }
    for (process, inputs) in inputs.enumerated() {
      for (input, side) in zip(inputs, [InputSide.left, .right]) {
        let feed = Feed(process: process, side: side)
        switch input {
        case .source(let number): feeds[number].append(feed)
        case .output(let selector): try add(selector) { $0.followers.append(feed) }
        }
      }
    }
    for output in outputs {
      let lane = try lane(of: output.selector)
      lane.isKept = true
      try add(output.selector) { $0.output = output }
    }
    for (number, source) in sources.enumerated() where feeds[number].isEmpty && !operators.isEmpty {
      throw EngineError(.invalidArgument, "stream '\(source.name)' of job '\(name)' feeds no function; leave it out")
    }
  }

  /// The operators that operator `index` feeds.
  func followers(of index: Int) -> [Int] { routes[index].flatMap { $0.followers.map(\.process) } }

  /// Opens an operator when the schema of its input is known, which may only be inferred later for those further down.
  func open(_ index: Int, _ schema: Schema?) throws {
    guard !opened.contains(index) else { return }
    opened.append(index)
    if merges[index] == nil {
      try operators[index].open(inputSchema: try knownSchema(of: index, .left) ?? schema)
    } else {
      try operators[index].open(left: try knownSchema(of: index, .left), right: try knownSchema(of: index, .right))
    }
  }

  /// The schema of an input as far as it is known without waiting for a record.
  func knownSchema(of index: Int, _ side: InputSide) throws -> Schema? {
    switch inputs[index][side.rawValue] {
    case .source(let number): sources[number].schemaIfKnown
    case .output(let selector): try lane(of: selector).builder.schema
    }
  }

  /// Runs a chunk through an operator and what it emits through those after it.
  func push(_ chunk: Chunk, into feed: Feed) throws {
    let index = feed.process
    guard !failedOperators.contains(index) else { return }
    if let merge = merges[index] {
      merge.add(chunk, feed.side)
      return try drain(merge, index)
    }
    try open(index, chunk.batch.schema)
    do {
      try operators[index].process(chunk)
    } catch {
      try failed(index)
      return try deferFailure(of: index, error)
    }
    try flush(index)
  }

  /// An operator has failed whose every output goes into a merge: the error waits there for its turn, as the records before it do.
  /// Otherwise it is thrown.
  func deferFailure(of index: Int, _ error: any Error) throws {
    let followers = routes[index].flatMap(\.followers)
    let isFatal = (error as? EngineError)?.kind == .callbackFatal
    guard !isFatal, !followers.isEmpty, routes[index].allSatisfy({ $0.output == nil }), takesTurns(followers) else {
      throw error
    }
    failedOperators.insert(index)
    endedOperators[index] = true
    try fail(followers, error)
  }

  /// The same for a source.
  func deferFailure(ofSource number: Int, _ error: any Error) throws {
    guard takesTurns(feeds[number]) else { throw error }
    sources[number].hasEnded = true
    try fail(feeds[number], error)
  }

  private func takesTurns(_ feeds: [Feed]) -> Bool {
    !feeds.isEmpty && feeds.allSatisfy { feed in merges[feed.process].map { $0.order != .arrival } ?? false }
  }

  private func fail(_ feeds: [Feed], _ error: any Error) throws {
    for feed in feeds {
      guard let merge = merges[feed.process], !failedOperators.contains(feed.process) else { continue }
      merge.fail(feed.side, error)
      try drain(merge, feed.process)
    }
  }

  /// Runs what can go on of two inputs through their operator.
  func drain(_ merge: MergeStage, _ index: Int) throws {
    while let work = try merge.next() {
      switch work {
      case .records(let merged):
        try open(index, left: merged.left, right: merged.right)
        do {
          try operators[index].process(merged)
        } catch {
          try failed(index)
          return try deferFailure(of: index, error)
        }
        try flush(index)
      case .watermarks(let marks):
        try pass(marks, to: index)
      }
    }
  }

  private func open(_ index: Int, left: RecordBatch?, right: RecordBatch?) throws {
    guard !opened.contains(index) else { return }
    opened.append(index)
    try operators[index].open(
      left: try left?.schema ?? knownSchema(of: index, .left),
      right: try right?.schema ?? knownSchema(of: index, .right))
  }

  /// Passes what operator `index` emitted, and its watermarks, to those that follow it and to who asked for it.
  func flush(_ index: Int) throws {
    for route in routes[index] {
      if !route.followers.isEmpty {
        try forward(route)
      } else if let output = route.output {
        // Output that nobody asks for soon waits in batches of a useful size.
        if output !== outputs.first, route.lane.builder.numRows >= JobOutput.largeBatch,
          let (batch, _) = try route.lane.builder.takeBatch()
        {
          keep(batch, for: output)
        }
      } else {
        route.lane.dropped += Int64(route.lane.builder.discardRows())
      }
    }
    for lane in operators[index].sides.lanes where !lane.isKept && !lane.forwards {
      lane.dropped += Int64(lane.builder.discardRows())
    }
  }

  private func keep(_ batch: RecordBatch, for output: JobOutput) {
    if output.selector.tag == nil { recordsOut += Int64(batch.numRows) } else { sideRecords += Int64(batch.numRows) }
    output.add(batch)
  }

  private func forward(_ route: Route) throws {
    let lane = route.lane
    let marks = lane.marks
    guard let (batch, timestamps) = try lane.builder.takeBatch() else {
      lane.marks.removeAll(keepingCapacity: true)
      if !marks.isEmpty {
        try marks.withUnsafeBufferPointer { marks in
          for follower in route.followers { try pushMarks(marks, into: follower) }
        }
      }
      return
    }
    lane.marks.removeAll(keepingCapacity: true)
    if let output = route.output { keep(batch, for: output) }
    for follower in route.followers {
      let firstRecord = firstRecords[follower.process][follower.side.rawValue]
      firstRecords[follower.process][follower.side.rawValue] += Int64(batch.numRows)
      try marks.withUnsafeBufferPointer { marks in
        try push(
          Chunk(
            batch: batch, selection: RowSelection(start: 0, count: batch.numRows),
            timestamps: timestamps?.values.baseAddress, marks: marks, firstRecord: firstRecord),
          into: follower)
      }
    }
    withExtendedLifetime(timestamps) {}
  }

  /// A source's watermark that advanced without a record.
  func pushWatermark(_ watermark: Int64, _ source: Int) throws {
    try [WatermarkMark(position: 0, watermark: watermark)].withUnsafeBufferPointer { marks in
      for feed in feeds[source] { try pushMarks(marks, into: feed) }
    }
  }

  /// Watermarks without records.
  func pushMarks(_ marks: UnsafeBufferPointer<WatermarkMark>, into feed: Feed) throws {
    guard !failedOperators.contains(feed.process) else { return }
    if let merge = merges[feed.process] {
      merge.add(marks, feed.side)
      return try drain(merge, feed.process)
    }
    try pass(marks, to: feed.process)
  }

  /// To an operator that is not open too, which has no timers yet and only passes them on.
  func pass(_ marks: UnsafeBufferPointer<WatermarkMark>, to index: Int) throws {
    do {
      try operators[index].finish(marks)
    } catch {
      try failed(index)
      return try deferFailure(of: index, error)
    }
    try flush(index)
  }
}
