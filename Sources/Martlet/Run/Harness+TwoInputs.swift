/// The right input of a harness, and what brings the watermarks of both together.
struct SecondHarnessInput {
  var input: HarnessInput
  var valve = WatermarkValve(channels: 2)
  /// Told before the function was opened.
  var schemas: (left: Schema?, right: Schema?) = (nil, nil)

  init(_ input: HarnessInput) { self.input = input }
}

// A function of two inputs: records are processed in the order in which they are pushed.
extension Harness {
  /// Tells the schema of one input. The function is opened when both are told, or by the first record.
  public func open(_ side: Side, _ schema: Schema) throws {
    guard second != nil else { throw oneInput }
    guard case .waiting = phase else { throw EngineError(.invalidArgument, "the harness is open already") }
    try running {
      if side == .left { second?.schemas.left = schema } else { second?.schemas.right = schema }
      if let schemas = second?.schemas, schemas.left != nil, schemas.right != nil { try beginTwo() }
    }
  }

  /// Processes row `row` of a batch as a record of that input; see `push(_:row:timestamp:)`.
  public func push(_ side: Side, _ batch: RecordBatch, row: Int = 0, timestamp: RecordTime = .column) throws {
    guard second != nil else { throw oneInput }
    try requireInput()
    try requireInput(side)
    try check(row, of: batch)
    try running {
      if case .waiting = phase {
        if side == .left { second?.schemas.left = batch.schema } else { second?.schemas.right = batch.schema }
        try beginTwo()
      }
      _ = try process.tick()
      try wake(side)
      try settle(side, batch.schema)
      let time = try time(of: batch, row, timestamp, input(side))
      if case .leaveOut = time { return }
      var marks: [WatermarkMark] = []
      if case .at(let time) = time, let watermark = observe(side, time) {
        marks.append(WatermarkMark(position: 1, watermark: watermark))
      }
      let first = count(side) - Int64(row)
      let isRight = side == .right
      let rows = [UInt32(row) | (isRight ? MergedChunk.rightBit : 0)]
      try withUnsafePointer(to: time.milliseconds) { milliseconds in
        try marks.withUnsafeBufferPointer { marks in
          try rows.withUnsafeBufferPointer { rows in
            try process.process(
              MergedChunk(
                left: isRight ? nil : batch, right: isRight ? batch : nil, rows: rows,
                timestamps: time.isColumn ? milliseconds : nil, marks: marks, firstLeft: isRight ? 0 : first,
                firstRight: isRight ? first : 0))
          }
        }
      }
    }
  }

  /// Moves the watermark of one input; that of the function is the smaller of both. It cannot go back.
  public func advanceWatermark(_ side: Side, to time: Int64) throws {
    guard second != nil else { throw oneInput }
    try advanceInputs([side], to: time)
  }

  func advanceInputs(_ sides: [Side], to time: Int64) throws {
    try requireInput()
    for side in sides {
      try requireInput(side)
      let shown = second?.valve.watermark(of: side.channel) ?? EventTime.min
      guard time >= shown else {
        throw EngineError(
          .invalidArgument,
          "the watermark of the \(side) input is at \(shown) and cannot go back to \(time); event time only moves forward"
        )
      }
    }
    try running {
      if case .waiting = phase {} else { _ = try process.tick() }
      for side in sides {
        try wake(side)
        try move(second?.valve.advance(side.channel, to: time))
      }
    }
  }

  /// An idle input does not hold the watermark back until its next record or watermark.
  public func setIdle(_ side: Side, _ isIdle: Bool = true) throws {
    guard second != nil else { throw oneInput }
    try requireInput()
    try requireInput(side)
    try running {
      try move((isIdle ? second?.valve.idle(side.channel) : second?.valve.active(side.channel))?.watermark)
    }
  }

  /// The end of one input. The function is told of the end when both have ended.
  public func end(_ side: Side) throws {
    guard second != nil else { throw oneInput }
    try endInputs([side])
  }

  func endInputs(_ sides: [Side]) throws {
    try requireInput()
    if sides.count == 1 { try requireInput(sides[0]) }
    try running {
      if case .waiting = phase {} else { _ = try process.tick() }
      for side in sides { try move(second?.valve.finish(side.channel).watermark) }
      guard let second, [0, 1].allSatisfy({ second.valve.status(of: $0) == .finished }) else { return }
      if case .waiting = phase { try beginTwo() }
      try process.endInput(timersAtEnd)
      phase = .ended
    }
  }

  /// The schema of one input, once it is known.
  public func inputSchema(of side: Side) -> Schema? {
    guard let second else { return side == .left ? inputSchema : nil }
    guard let known = process.second else { return side == .left ? second.schemas.left : second.schemas.right }
    return side == .left ? known.leftSchema : known.rightSchema
  }

  /// What a snapshot says of both inputs.
  var secondSnapshot: SecondSnapshot? {
    second.map {
      SecondSnapshot(
        kind: process.kind, keyColumns: process.rightKeyColumns, schema: inputSchema(of: .right),
        records: $0.input.records,
        $0.valve)
    }
  }

  // MARK: - Shared

  func beginTwo() throws {
    guard let schemas = second?.schemas else { return }
    if let left = schemas.left { try input.settle(left) }
    if let right = schemas.right { try second?.input.settle(right) }
    phase = .open
    try process.open(left: schemas.left, right: schemas.right)
    if firstWatermark > EventTime.min { try process.finish(watermark: firstWatermark) }
  }

  private func move(_ watermark: Int64?) throws {
    guard let watermark else { return }
    if case .waiting = phase { firstWatermark = watermark } else { try process.finish(watermark: watermark) }
  }

  private func wake(_ side: Side) throws { try move(second?.valve.active(side.channel).watermark) }

  private func settle(_ side: Side, _ schema: Schema) throws(EngineError) {
    if side == .left { try input.settle(schema) } else { try second?.input.settle(schema) }
  }

  private func input(_ side: Side) -> HarnessInput { side == .right ? second?.input ?? input : input }

  /// The number of the side's next record, which is counted.
  private func count(_ side: Side) -> Int64 {
    let records = input(side).records
    if side == .left { input.records += 1 } else { second?.input.records += 1 }
    return records
  }

  private func observe(_ side: Side, _ time: Int64) -> Int64? {
    let watermark = side == .left ? input.tracker?.observe(time) : second?.input.tracker?.observe(time)
    return watermark.flatMap { second?.valve.advance(side.channel, to: $0) }
  }

  private func requireInput(_ side: Side) throws(EngineError) {
    guard second?.valve.status(of: side.channel) != .finished else {
      throw EngineError(.closed, "the \(side) input has ended; make a new harness, or restore a snapshot")
    }
  }

  private var oneInput: EngineError {
    EngineError(.invalidArgument, "operator '\(process.name)' has one input; leave the side out")
  }
}

extension Side {
  var channel: Int { self == .left ? 0 : 1 }
}
