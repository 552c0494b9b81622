/// One chunk dealt out to parallel instances: the buffers that all `InstanceChunk`s of it point into.
///
/// `@unchecked Sendable`: written by the coordinator before it is handed out, read by the instances, and reused by the coordinator
/// once every instance has answered.
final class ChunkPartition: @unchecked Sendable {
  private var capacity = 0
  /// Of a chunk of two inputs as `MergedChunk.rows`.
  private var rows = UnsafeMutablePointer<Int32>.blocks(0)
  private var positions = UnsafeMutablePointer<UInt32>.blocks(0)
  private var timestamps = UnsafeMutablePointer<Int64>.blocks(0)
  private var owners = UnsafeMutablePointer<UInt16>.blocks(0)
  private var markBlock = UnsafeMutablePointer<WatermarkMark>.blocks(0)
  private var markCapacity = 0
  private var markCount = 0
  /// Per instance, where its records start; one more at the end.
  private var starts: [Int]
  private var batch: RecordBatch?
  /// Of a chunk of two inputs; `batch` and `firstRecord` are the left side's then.
  private var right: RecordBatch?
  private var firstRight: Int64 = 0
  private var firstRecord: Int64 = 0
  private var hasTimestamps = false
  private var span = 0..<0
  private var rightSpan = 0..<0
  private(set) var recordCount = 0

  init(parallelism: Int) { starts = Array(repeating: 0, count: parallelism + 1) }

  deinit {
    rows.freeBlocks()
    positions.freeBlocks()
    timestamps.freeBlocks()
    owners.freeBlocks()
    markBlock.freeBlocks()
  }

  var marks: UnsafeBufferPointer<WatermarkMark> { UnsafeBufferPointer(start: markBlock, count: markCount) }

  func deal(_ chunk: Chunk, by partitioner: inout KeyPartitioner) {
    let count = chunk.selection.count
    reserve(count)
    batch = chunk.batch
    firstRecord = chunk.firstRecord
    recordCount = count
    span = count == 0 ? 0..<0 : chunk.selection[0]..<(chunk.selection[count - 1] + 1)
    hasTimestamps = chunk.timestamps != nil
    copy(chunk.marks)
    partitioner.assign(chunk.batch, chunk.selection, to: owners)
    findStarts(count)
    var next = starts
    next.withUnsafeMutableBufferPointer { next in
      let next = next.baseAddress.unsafelyUnwrapped
      if chunk.selection.rows == nil {
        let first = Int32(truncatingIfNeeded: chunk.selection.start)
        for index in 0..<count {
          let place = next[Int(owners[index])]
          next[Int(owners[index])] = place &+ 1
          rows[place] = first &+ Int32(truncatingIfNeeded: index)
          positions[place] = UInt32(truncatingIfNeeded: index)
          if let times = chunk.timestamps { timestamps[place] = times[index] }
        }
      } else {
        for index in 0..<count {
          let place = next[Int(owners[index])]
          next[Int(owners[index])] = place &+ 1
          rows[place] = Int32(truncatingIfNeeded: chunk.selection[index])
          positions[place] = UInt32(truncatingIfNeeded: index)
          if let times = chunk.timestamps { timestamps[place] = times[index] }
        }
      }
    }
  }

  /// Records of two inputs. `assign` writes the instance of each, `ChunkPartition.everyone` for a record that all get.
  func deal(_ merged: MergedChunk, assign: (UnsafeMutablePointer<UInt16>) -> Void) {
    let count = merged.rows.count
    reserve(count)
    assign(owners)
    var shared = 0
    for index in 0..<count where owners[index] == ChunkPartition.everyone { shared &+= 1 }
    let parallelism = starts.count - 1
    reserve(count + shared * (parallelism - 1))
    (batch, right) = (merged.left, merged.right)
    (firstRecord, firstRight) = (merged.firstLeft, merged.firstRight)
    recordCount = count
    hasTimestamps = merged.timestamps != nil
    (span, rightSpan) = merged.spans
    copy(merged.marks)
    findStarts(count)
    var next = starts
    func put(_ index: Int, _ instance: Int) {
      let place = next[instance]
      next[instance] = place &+ 1
      rows[place] = Int32(bitPattern: merged.rows[index])
      positions[place] = UInt32(truncatingIfNeeded: index)
      if let times = merged.timestamps { timestamps[place] = times[index] }
    }
    for index in 0..<count {
      if owners[index] != ChunkPartition.everyone {
        put(index, Int(owners[index]))
      } else {
        for instance in 0..<parallelism { put(index, instance) }
      }
    }
  }

  static let everyone = UInt16.max
  private static let fewInstances = 8

  /// What instance `instance` gets of two inputs: always something, so that all know both schemas as soon as one does.
  func mergedShare(of instance: Int) -> InstanceMergedChunk {
    let (start, count) = (starts[instance], starts[instance + 1] - starts[instance])
    let rows = UnsafeRawPointer(rows + start).assumingMemoryBound(to: UInt32.self)
    return InstanceMergedChunk(
      left: batch, right: right, firstLeft: firstRecord, firstRight: firstRight,
      rows: UnsafeBufferPointer(start: rows, count: count),
      positions: UnsafeBufferPointer(start: positions + start, count: count),
      timestamps: hasTimestamps ? UnsafePointer(timestamps + start) : nil, marks: marks, recordCount: recordCount,
      owner: self, leftSpan: span, rightSpan: rightSpan)
  }

  /// What instance `instance` gets; nil if there is nothing for it, but for a look at the clock if `looksAtClock`.
  func share(of instance: Int, looksAtClock: Bool) -> InstanceChunk? {
    let (start, count) = (starts[instance], starts[instance + 1] - starts[instance])
    guard let batch, count > 0 || markCount > 0 || looksAtClock else { return nil }
    return InstanceChunk(
      batch: batch, firstRecord: firstRecord, rows: UnsafeBufferPointer(start: rows + start, count: count),
      positions: UnsafeBufferPointer(start: positions + start, count: count),
      timestamps: hasTimestamps ? UnsafePointer(timestamps + start) : nil, marks: marks, recordCount: recordCount,
      owner: self, span: span)
  }

  /// Every instance has answered: lets the batch go.
  func clear() { (batch, right) = (nil, nil) }

  private func reserve(_ count: Int) {
    guard count > capacity else { return }
    capacity = max(count, 2 * capacity)
    rows.growBlocks(to: capacity)
    positions.growBlocks(to: capacity)
    timestamps.growBlocks(to: capacity)
    owners.growBlocks(to: capacity)
  }

  private func copy(_ marks: UnsafeBufferPointer<WatermarkMark>) {
    if marks.count > markCapacity {
      markCapacity = max(marks.count, 2 * markCapacity)
      markBlock.growBlocks(to: markCapacity)
    }
    if let start = marks.baseAddress { markBlock.update(from: start, count: marks.count) }
    markCount = marks.count
  }

  private func findStarts(_ count: Int) {
    let owners = owners
    starts.withUnsafeMutableBufferPointer { starts in
      starts.update(repeating: 0)
      if starts.count <= ChunkPartition.fewInstances {
        // A pass for each instance: comparing eight owners at a time is quicker than counting them one after the other in memory.
        for instance in 1..<starts.count {
          let owner = UInt16(truncatingIfNeeded: instance &- 1)
          var found: UInt32 = 0
          // Without `||`: whose a record is cannot be predicted, so nothing may branch on it.
          for index in 0..<count {
            let mine: UInt32 = owners[index] == owner ? 1 : 0
            let shared: UInt32 = owners[index] == ChunkPartition.everyone ? 1 : 0
            found &+= mine | shared
          }
          starts[instance] = starts[instance &- 1] &+ Int(found)
        }
        return
      }
      for index in 0..<count {
        if owners[index] != ChunkPartition.everyone {
          starts[Int(owners[index]) + 1] &+= 1
        } else {
          for instance in 1..<starts.count { starts[instance] &+= 1 }
        }
      }
      for instance in 1..<starts.count { starts[instance] += starts[instance - 1] }
    }
  }
}

extension MergedChunk {
  /// Which rows of the left batch and of the right one the records are in.
  fileprivate var spans: (left: Range<Int>, right: Range<Int>) {
    var spans = (left: 0..<0, right: 0..<0)
    for tagged in rows {
      let row = Int(tagged & 0x7FFF_FFFF)
      if tagged >> 31 == 0 { spans.left.include(row) } else { spans.right.include(row) }
    }
    return spans
  }
}

extension Range where Bound == Int {
  fileprivate mutating func include(_ row: Int) {
    self = isEmpty ? row..<(row + 1) : Swift.min(lowerBound, row)..<Swift.max(upperBound, row + 1)
  }
}
