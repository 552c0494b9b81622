import CMartlet

/// The loop over records of two inputs: timers due? → side, slot → call. What `RecordLoop` says holds for it, too.
@usableFromInline
struct MergedLoop {
  @usableFromInline let context: Context
  @usableFromInline let raw: UnsafeMutablePointer<martlet_context>
  @usableFromInline let left: Input
  @usableFromInline let right: Input
  @usableFromInline let rows: UnsafeBufferPointer<UInt32>
  @usableFromInline let timestamps: UnsafePointer<Int64>?
  @usableFromInline let keys: KeySpace
  @usableFromInline let nextMark: UnsafeMutablePointer<Int>
  @usableFromInline let owner: ProcessOperator
  /// Whether records of the left side are called without a key, as those of a broadcast side always are.
  @usableFromInline let isLeftKeyed: Bool
  @usableFromInline let isRightKeyed: Bool
  /// Only in a parallel instance: the position of each record in the whole chunk.
  @usableFromInline let positions: UnsafePointer<UInt32>?
  @usableFromInline let orders: OrderCursor?

  /// One side of the chunk. Without records of it nothing here is read.
  @usableFromInline
  struct Input {
    /// The batch; the other side's if there is none.
    @usableFromInline let batch: Unmanaged<RecordBatch>
    @usableFromInline let interned: InternedRows
    @usableFromInline let firstRecord: Int64
  }

  init(
    _ owner: ProcessOperator, _ merged: MergedChunk, _ batches: (left: RecordBatch, right: RecordBatch),
    _ keys: KeySpace,
    _ interned: (left: InternedRows, right: InternedRows), isKeyed: Bool
  ) {
    self.owner = owner
    context = owner.context
    raw = owner.context.raw
    left = Input(
      batch: .passUnretained(batches.left), interned: interned.left, firstRecord: merged.firstLeft)
    right = Input(
      batch: .passUnretained(batches.right), interned: interned.right, firstRecord: merged.firstRight)
    rows = merged.rows
    timestamps = merged.timestamps
    self.keys = keys
    nextMark = owner.nextMark
    isLeftKeyed = isKeyed
    isRightKeyed = owner.kind == .connect
    positions = merged.ordered?.positions
    orders = owner.orders
  }

  @inlinable
  func run<Function: TwoInputFunction>(_ function: UnsafeMutablePointer<Function>) throws {
    if !owner.arePoliciesPlain {
      try runGuarded(function)
    } else if positions == nil {
      try runPlain(function, areOrdered: false)
    } else {
      try runPlain(function, areOrdered: true)
    }
    if nextMark.pointee != Int.max { try passMarks(at: rows.count) }
  }

  @inlinable @inline(__always)
  func runPlain<Function: TwoInputFunction>(
    _ function: UnsafeMutablePointer<Function>, areOrdered: Bool
  ) throws {
    let key = Key(raw.pointee.key, Int(raw.pointee.key_parts))
    let leftHandle = OpaquePointer(left.batch.toOpaque())
    let rightHandle = OpaquePointer(right.batch.toOpaque())
    var nextLeft = 0
    var nextRight = 0
    for index in 0..<rows.count {
      if index >= nextMark.pointee {
        if areOrdered { try owner.passOrderedMarks(at: index) } else { try owner.passMarks(at: index) }
      }
      if areOrdered, let orders { orders.begin(mergedRecord: positions.unsafelyUnwrapped[index]) }
      let entry = rows[index]
      let row = Int(entry & ~MergedChunk.rightBit)
      let isRight = entry & MergedChunk.rightBit != 0
      raw.pointee.row = Int64(row)
      if let timestamps {
        let timestamp = timestamps[index]
        raw.pointee.timestamp = timestamp
        let isLate = timestamp <= raw.pointee.watermark && timestamp != EventTime.none
        raw.pointee.is_late = isLate ? 1 : 0
        if isLate, !areOrdered || !isRight || !owner.repeatsBroadcast { owner.countLate() }
      }
      if isRight {
        let place = nextRight
        nextRight &+= 1
        raw.pointee.side = Context.rightSide
        raw.pointee.record = right.firstRecord &+ Int64(row)
        raw.pointee.batch = rightHandle
        if isRightKeyed {
          let slot = right.interned.slots[place]
          raw.pointee.slot = slot
          if slot == Slot.none {
            try owner.skipNullKey()
            continue
          }
          keys.show(right.interned.keys[place])
          try function.pointee.onRight(key: key, batch: Record(right.batch, row), row: 0, context: context)
        } else {
          raw.pointee.slot = Slot.none
          try function.pointee.onRight(
            key: Key(raw.pointee.key, 0), batch: Record(right.batch, row), row: 0, context: context)
        }
      } else {
        let place = nextLeft
        nextLeft &+= 1
        raw.pointee.side = Context.leftSide
        raw.pointee.record = left.firstRecord &+ Int64(row)
        raw.pointee.batch = leftHandle
        let slot = left.interned.slots[place]
        raw.pointee.slot = slot
        if slot != Slot.none {
          keys.show(left.interned.keys[place])
        } else if isLeftKeyed {
          try owner.skipNullKey()
          continue
        }
        try function.pointee.onLeft(key: key, batch: Record(left.batch, row), row: 0, context: context)
      }
    }
  }
}

extension FunctionCalls {
  /// The calls of a function of two inputs.
  @inlinable
  package init<Function: TwoInputFunction>(twoInputs function: Function) {
    let box = FunctionBox(function)
    self.init(box)
    runMerged = { try $0.run(box.function) }
  }
}
