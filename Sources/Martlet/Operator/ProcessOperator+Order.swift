import CMartlet

/// The chunk of a parallel instance: where its records stand in the whole chunk. Borrowed with the chunk.
struct OrderedChunk {
  /// One per record of the instance.
  let positions: UnsafePointer<UInt32>
  let count: Int
  /// How many records the whole chunk has.
  let total: Int

  init(_ positions: UnsafeBufferPointer<UInt32>, total: Int) {
    self.positions = positions.baseAddress ?? OrderedChunk.noPositions
    count = positions.count
    self.total = total
  }

  /// Never read: what tells an instance without records in a chunk from an operator that is no instance.
  private nonisolated(unsafe) static let noPositions = UnsafePointer(UnsafeMutablePointer<UInt32>.zeroedBlocks(1))
}

// An operator as one of several parallel instances: everything it emits is given its place in the order of a serial run.

extension ProcessOperator {
  /// Makes this the operator of an instance; before `open`.
  func becomeInstance(_ instance: Int32, of parallelism: Int32) {
    orders = OrderCursor()
    context.orders = orders
    repeatsBroadcast = kind == .broadcast && instance > 0
    context.raw.pointee.instance = instance
    context.raw.pointee.parallelism = parallelism
  }

  /// The position in the whole chunk of record `index`, or its end.
  @inline(__always)
  func place(_ index: Int) -> Int {
    guard let orderedChunk else { return index }
    return index < orderedChunk.count ? Int(orderedChunk.positions[index]) : orderedChunk.total
  }

  /// Sets `nextMark`, which counts in the instance's own records, for a mark at a position of the whole chunk.
  func awaitMark(from index: Int) {
    guard markIndex < marks.count else {
      nextMark.pointee = .max
      return
    }
    let position = marks[markIndex].position
    var next = index
    while place(next) < position, next < orderedChunk?.count ?? 0 { next &+= 1 }
    nextMark.pointee = next
  }

  /// As `passMarks`, for an instance. Between two of its records lie others' records with their watermarks: what a serial run does
  /// after each is done in the same order here, but for a look at the clock where nothing of this instance has happened.
  @usableFromInline
  func passOrderedMarks(at index: Int) throws {
    guard let orders, let orderedChunk else { return try passMarks(at: index) }
    let place = place(index)
    var here = index == 0 ? 0 : Int(orderedChunk.positions[index - 1]) + 1
    skipIdleMarks(to: place)
    while true {
      while markIndex < marks.count, marks[markIndex].position <= here {
        orders.begin(phase: UInt32(markIndex), before: here)
        let watermark = marks[markIndex].watermark
        markIndex &+= 1
        try advance(to: watermark)
      }
      if watchesClock {
        orders.begin(phase: OrderPhase.clock, before: here)
        try lookAtClock(at: index)
      }
      guard markIndex < marks.count, marks[markIndex].position <= place else { break }
      here = marks[markIndex].position
    }
    orders.endPhase()
    awaitMark(from: index &+ 1)
    if watchesClock { nextMark.pointee = index &+ 1 }
  }

  /// Passes all marks up to `place` at once where none makes a timer of this instance due.
  private func skipIdleMarks(to place: Int) {
    guard !watchesClock, markIndex < marks.count, let parts else { return }
    var end = markIndex
    while end < marks.count, marks[end].position <= place { end &+= 1 }
    guard end > markIndex, !parts.timers.event.mayBeDue(at: marks[end - 1].watermark) else { return }
    markIndex = end
    context.raw.pointee.watermark = max(context.raw.pointee.watermark, marks[end - 1].watermark)
  }

  /// After a slice: its rows get their own orders.
  func orderSlice(at start: Int) {
    guard orders != nil else { return }
    for (position, output) in ([lane] + sides.lanes).enumerated() {
      let outputStart = position < sliceStarts.count ? sliceStarts[position] : 0
      output.builder.orderLog?.orderSlice(output.builder.sliceRows, from: outputStart, position: place(start))
    }
  }

  // MARK: - The end of the input, in rounds that all instances do together

  /// One round of what is left of timers; whether there is another.
  func endTimersRound(_ atEnd: TimersAtEnd, clockAtLeast: Int64) throws -> Bool {
    guard let parts else { preconditionFailure("endTimersRound before open") }
    context.raw.pointee.watermark = EventTime.max
    context.leastProcessingTime = clockAtLeast
    if atEnd == .drop { dropProcessingTimers(parts) }
    guard timersAreLeft(parts, atEnd) else { return false }
    try enclosed(nil) { try endTimersOnce(parts, atEnd) }
    parts.keys.reclaim()
    return timersAreLeft(parts, atEnd)
  }

  /// Ends every key.
  func endKeysOnce(clockAtLeast: Int64) throws {
    guard let parts else { preconditionFailure("endKeysOnce before open") }
    guard let onEnd = calls.onEnd else { return }
    context.leastProcessingTime = clockAtLeast
    orders?.begin(phase: 0)
    try enclosed(nil) { try endKeys(parts, onEnd) }
    orders?.endPhase()
    parts.keys.reclaim()
  }
}

extension MergedLoop {
  /// Passes the marks before record `index`, in an instance or not.
  @inlinable @inline(__always)
  func passMarks(at index: Int) throws {
    if positions == nil { try owner.passMarks(at: index) } else { try owner.passOrderedMarks(at: index) }
  }
}

extension RecordLoop {
  /// The loop of a parallel instance under plain policies.
  @inlinable
  func runOrdered<Function: ProcessFunction>(_ function: UnsafeMutablePointer<Function>) throws {
    _ = try rows(function, from: 0, areOrdered: true, prefetch)
    if nextMark.pointee != Int.max { try owner.passOrderedMarks(at: selection.count) }
  }

  /// Passes the marks before record `index`, in an instance or not.
  @inlinable @inline(__always)
  func passMarks(at index: Int) throws {
    if positions == nil { try owner.passMarks(at: index) } else { try owner.passOrderedMarks(at: index) }
  }
}
