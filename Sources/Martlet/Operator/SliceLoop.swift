import CMartlet

// Records in slices: consecutive rows of one key, see `BatchProcessFunction`.

extension RecordLoop {
  @inlinable
  func runSlices<Function: ProcessFunction>(_ function: UnsafeMutablePointer<Function>) throws {
    let key = Key(raw.pointee.key, Int(raw.pointee.key_parts))
    var index = 0
    while index < selection.count {
      if index >= nextMark.pointee { try passMarks(at: index) }
      guard try owner.admit(self, index) else {
        index += 1
        continue
      }
      let start = index
      let first = selection[start]
      index = owner.cutSlice(self, start)
      owner.beginSlice()
      do {
        try function.pointee.onBatch(
          key: key, batch: RecordSlice(batch, first..<(first &+ index &- start)), context: context)
        owner.commitCall()
      } catch {
        try owner.swallow(error, rows: index - start)
      }
      owner.endSlice(at: start)
    }
    if nextMark.pointee != Int.max { try passMarks(at: selection.count) }
  }
}

extension ProcessOperator {
  /// Where the slice that begins at `start`, which is admitted, ends; sets the context to the slice.
  ///
  /// The watermark moves with the records of a slice but fires nothing: the slice ends before it could. What `mayBeDue`
  /// takes for due and is not only ends a slice early.
  @usableFromInline
  func cutSlice(_ loop: RecordLoop, _ start: Int) -> Int {
    guard let parts else { preconditionFailure("a slice before open") }
    let raw = context.raw
    let selection = loop.selection
    let slot = raw.pointee.slot
    let first = selection[start]
    let isLate = raw.pointee.is_late != 0
    let hasTime = raw.pointee.timestamp != EventTime.none
    var end = start &+ 1
    var mark = markIndex
    var watermark = raw.pointee.watermark
    while end < selection.count, loop.slots[end] == slot, selection[end] == first &+ (end &- start) {
      var next = mark
      var moved = watermark
      while next < marks.count, marks[next].position <= place(end) {
        moved = max(moved, marks[next].watermark)
        next &+= 1
      }
      if moved > watermark, parts.timers.event.mayBeDue(at: moved) { break }
      if let timestamps = loop.timestamps {
        let timestamp = timestamps[end]
        guard (timestamp != EventTime.none) == hasTime else { break }
        guard (hasTime && timestamp <= moved) == isLate else { break }
      }
      (mark, watermark) = (next, moved)
      end &+= 1
    }
    if isLate { count.late &+= Int64(end - start - 1) }
    interior = markIndex..<mark
    markIndex = mark
    nextMark.pointee = mark < marks.count ? marks[mark].position : .max
    if orderedChunk != nil {
      awaitMark(from: end)
      orders?.begin(record: place(end - 1))
    }
    if parts.timers.processing.count > 0 { context.watchClock() }
    raw.pointee.watermark = watermark
    raw.pointee.rows = Int64(end - start)
    if let timestamps = loop.timestamps {
      raw.pointee.timestamp = timestamps[end - 1]
      context.sliceTimes = timestamps + start
    }
    return end
  }

  /// Notes where every output stands.
  @usableFromInline
  func beginSlice() {
    sliceStarts.removeAll(keepingCapacity: true)
    if lane.forwards || sides.forward || orders != nil {
      sliceStarts.append(lane.builder.numRows)
      for side in sides.lanes { sliceStarts.append(side.builder.numRows) }
    }
    beginCall()
  }

  /// Passes on the watermarks between the records of the slice.
  @usableFromInline
  func endSlice(at start: Int) {
    context.sliceTimes = nil
    context.raw.pointee.rows = 0
    guard !sliceStarts.isEmpty else { return }
    orderSlice(at: start)
    for (position, output) in ([lane] + sides.lanes).enumerated() {
      output.note(
        marks[interior], slicePosition: start, outputStart: position < sliceStarts.count ? sliceStarts[position] : 0)
      output.builder.sliceRows.removeAll(keepingCapacity: true)
    }
  }
}
