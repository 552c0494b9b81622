/// Deals out the records of two inputs: by key where they have one, main records without a key by their number, and broadcast records to
/// every instance.
final class TwoInputPartitioner {
  private let kind: OperatorKind
  private let place: InstancePlace
  private let leftColumns: [String]
  private let rightColumns: [String]
  /// Checks both inputs as the instances will, before their keys are read here.
  private let check: SecondInput
  private var left: KeyPartitioner?
  private var right: KeyPartitioner?
  private var rows = UnsafeMutablePointer<Int32>.blocks(0)
  private var owners = UnsafeMutablePointer<UInt16>.blocks(0)
  private var capacity = 0

  init(_ front: ProcessOperator, _ place: InstancePlace, left: Schema?, right: Schema?) throws(EngineError) {
    kind = front.kind
    self.place = place
    leftColumns = front.keyColumns
    rightColumns = front.rightKeyColumns
    check = try SecondInput(kind, leftColumns, rightColumns, left: left, right: right)
  }

  deinit {
    left?.free()
    right?.free()
    rows.freeBlocks()
    owners.freeBlocks()
  }

  func deal(_ merged: MergedChunk, to partition: ChunkPartition) throws(EngineError) {
    try check.check(merged)
    if left == nil, let batch = merged.left, !leftColumns.isEmpty { left = try partitioner(leftColumns, batch) }
    if right == nil, let batch = merged.right, kind == .connect { right = try partitioner(rightColumns, batch) }
    if merged.rows.count > capacity {
      capacity = max(merged.rows.count, 2 * capacity)
      rows.growBlocks(to: capacity)
      owners.growBlocks(to: capacity)
    }
    partition.deal(merged) { target in
      if let batch = merged.left { assignLeft(batch, merged, target) }
      if let batch = merged.right { assignRight(batch, merged, target) }
    }
  }

  private func partitioner(_ columns: [String], _ batch: RecordBatch) throws(EngineError) -> KeyPartitioner {
    KeyPartitioner(
      try KeySchema(columns, in: batch.schema), parallelism: place.parallelism, maxParallelism: place.maxParallelism)
  }

  private func assignLeft(_ batch: RecordBatch, _ merged: MergedChunk, _ target: UnsafeMutablePointer<UInt16>) {
    if left != nil {
      spread(merged, isRight: false, target) { selection in left!.assign(batch, selection, to: owners) }
    } else {
      for (index, row) in merged.rows.enumerated() where row & MergedChunk.rightBit == 0 {
        target[index] = UInt16((merged.firstLeft &+ Int64(row)) % Int64(place.parallelism))
      }
    }
  }

  private func assignRight(_ batch: RecordBatch, _ merged: MergedChunk, _ target: UnsafeMutablePointer<UInt16>) {
    if right != nil {
      spread(merged, isRight: true, target) { selection in right!.assign(batch, selection, to: owners) }
    } else {
      for (index, row) in merged.rows.enumerated() where row & MergedChunk.rightBit != 0 {
        target[index] = ChunkPartition.everyone
      }
    }
  }

  /// Lets `assign` look at one side's records together, and writes what it finds to their places in the chunk.
  private func spread(
    _ merged: MergedChunk, isRight: Bool, _ target: UnsafeMutablePointer<UInt16>, assign: (RowSelection) -> Void
  ) {
    let wanted = isRight ? MergedChunk.rightBit : 0
    var count = 0
    for row in merged.rows where row & MergedChunk.rightBit == wanted {
      rows[count] = Int32(bitPattern: row & ~MergedChunk.rightBit)
      count &+= 1
    }
    assign(RowSelection(start: 0, count: count, rows: UnsafePointer(rows)))
    var next = 0
    for (index, row) in merged.rows.enumerated() where row & MergedChunk.rightBit == wanted {
      target[index] = owners[next]
      next &+= 1
    }
  }
}
