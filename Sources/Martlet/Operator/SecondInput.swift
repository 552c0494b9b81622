import CMartlet

/// What an operator of two inputs knows beyond one of one input: the other side's schema and keys, and the rows of each side in the
/// current chunk.
@usableFromInline
final class SecondInput {
  let kind: OperatorKind
  private let leftColumns: [String]
  private let rightColumns: [String]
  /// What the operator's key space is made of: the key of whichever side's schema was known first.
  private(set) var keys: KeySchema
  private(set) var leftSchema: Schema?
  private(set) var rightSchema: Schema?
  @exclusivity(unchecked) private var leftReader: KeyReader?
  @exclusivity(unchecked) private var rightReader: KeyReader?
  /// The batches that were checked last.
  @exclusivity(unchecked) private var checkedLeft: ObjectIdentifier?
  @exclusivity(unchecked) private var checkedRight: ObjectIdentifier?
  @exclusivity(unchecked) private var rowLists = RowLists()
  @exclusivity(unchecked) private var leftScratch = ChunkScratch()
  @exclusivity(unchecked) private var rightScratch = ChunkScratch()

  /// Throws `.schemaMismatch` for a missing key column, `.keyType` if the keys of both sides are not of one type.
  init(
    _ kind: OperatorKind, _ leftColumns: [String], _ rightColumns: [String], left: Schema?, right: Schema?
  ) throws(EngineError) {
    self.kind = kind
    self.leftColumns = leftColumns
    self.rightColumns = rightColumns
    let rightKey: KeySchema? = if kind == .connect, let right { try KeySchema(rightColumns, in: right) } else { nil }
    if let left {
      keys = try KeySchema(leftColumns, in: left)
    } else if let rightKey {
      keys = rightKey
    } else {
      keys = try KeySchema([], in: Schema([]))
    }
    // Where only the key is known, the first batch tells the rest.
    leftSchema = left?.isKeysOnly ?? false ? nil : left
    rightSchema = right?.isKeysOnly ?? false ? nil : right
    if left != nil { leftReader = KeyReader(keys) }
    if let rightKey {
      if left != nil { try SecondInput.check(keys, rightKey) }
      rightReader = KeyReader(rightKey)
    }
  }

  var isKeyed: Bool { !leftColumns.isEmpty }

  /// Throws `.keyType` unless keys of the two are the same keys.
  private static func check(_ left: KeySchema, _ right: KeySchema) throws(EngineError) {
    for (mine, theirs) in zip(left.parts, right.parts) where mine.keyClass != theirs.keyClass {
      throw EngineError(
        .keyType,
        "the key column '\(mine.name)' of the left side is \(left.schema.fields[mine.column].type) and '\(theirs.name)' of the right "
          + "side is \(right.schema.fields[theirs.column].type): keys of different types are never equal; cast one of them"
      )
    }
  }

  // MARK: - One chunk

  /// Checks batches that were not seen before against the schemas of their sides.
  func check(_ merged: MergedChunk) throws(EngineError) {
    if let batch = merged.left, checkedLeft != ObjectIdentifier(batch) {
      if let leftSchema {
        if let misfit = leftSchema.misfit(of: batch.schema) { throw named(misfit, .left) }
      } else {
        let schema = try KeySchema(leftColumns, in: batch.schema)
        if keys.parts.isEmpty { keys = schema } else { try SecondInput.check(schema, keys) }
        leftReader = KeyReader(schema)
        leftSchema = batch.schema
      }
      checkedLeft = ObjectIdentifier(batch)
    }
    if let batch = merged.right, checkedRight != ObjectIdentifier(batch) {
      if let rightSchema {
        if let misfit = rightSchema.misfit(of: batch.schema) { throw named(misfit, .right) }
      } else {
        if kind == .connect {
          let schema = try KeySchema(rightColumns, in: batch.schema)
          try SecondInput.check(keys, schema)
          rightReader = KeyReader(schema)
        }
        rightSchema = batch.schema
      }
      checkedRight = ObjectIdentifier(batch)
    }
  }

  private func named(_ misfit: EngineError, _ side: InputSide) -> EngineError {
    EngineError(misfit.kind, "the \(side.word) input: \(misfit.message)")
  }

  /// Keys and slots of the chunk's records, those of each side in order. Valid until the next call.
  func intern(_ merged: MergedChunk, _ space: KeySpace) -> (left: InternedRows, right: InternedRows) {
    rowLists.split(merged.rows)
    leftScratch.reserve(rowLists.leftCount)
    rightScratch.reserve(rowLists.rightCount)
    let left = InternedRows(
      keys: UnsafePointer(leftScratch.keys), slots: UnsafePointer(leftScratch.slots), count: rowLists.leftCount)
    let right = InternedRows(
      keys: UnsafePointer(rightScratch.keys), slots: UnsafePointer(rightScratch.slots),
      count: kind == .connect ? rowLists.rightCount : 0)
    if let batch = merged.left, rowLists.leftCount > 0 {
      if isKeyed {
        space.intern(batch, rowLists.left, &leftReader!, leftScratch.keys, leftScratch.slots)
      } else {
        leftScratch.slots.update(repeating: Slot.none, count: rowLists.leftCount)
      }
    }
    if let batch = merged.right, kind == .connect, rowLists.rightCount > 0 {
      space.intern(batch, rowLists.right, &rightReader!, rightScratch.keys, rightScratch.slots)
    }
    return (left, right)
  }
}

/// Keys and slots of one side's records.
@usableFromInline
struct InternedRows {
  @usableFromInline let keys: UnsafePointer<KeyRef>
  @usableFromInline let slots: UnsafePointer<UInt32>
  /// How many have a slot to be read.
  let count: Int
}

/// The rows of each side of a merged chunk.
private struct RowLists: ~Copyable {
  private var leftRows: UnsafeMutablePointer<Int32> = .blocks(0)
  private var rightRows: UnsafeMutablePointer<Int32> = .blocks(0)
  private var capacity = 0
  private(set) var leftCount = 0
  private(set) var rightCount = 0

  deinit {
    leftRows.freeBlocks()
    rightRows.freeBlocks()
  }

  mutating func split(_ rows: UnsafeBufferPointer<UInt32>) {
    if rows.count > capacity {
      capacity = max(rows.count, 2 * capacity)
      leftRows.growBlocks(to: capacity)
      rightRows.growBlocks(to: capacity)
    }
    // Without a branch: every row is written to both lists, and counts in one.
    var left = 0
    for index in 0..<rows.count {
      let row = rows[index]
      let number = Int32(bitPattern: row & ~MergedChunk.rightBit)
      leftRows[left] = number
      rightRows[index &- left] = number
      left &+= Int(~row >> 31)
    }
    leftCount = left
    rightCount = rows.count - left
  }

  var left: RowSelection { RowLists.selection(leftRows, leftCount) }
  var right: RowSelection { RowLists.selection(rightRows, rightCount) }

  /// As a range if they follow each other, which is read faster.
  private static func selection(_ rows: UnsafeMutablePointer<Int32>, _ count: Int) -> RowSelection {
    guard count > 0 else { return RowSelection(start: 0, count: 0) }
    if let range = OutputBuilder.contiguous(UnsafeBufferPointer(start: rows, count: count)) {
      return RowSelection(start: range.lowerBound, count: count)
    }
    return RowSelection(start: 0, count: count, rows: UnsafePointer(rows))
  }
}

extension SecondInput {
  /// Gives the side output "errors" its schema. Not earlier than its first row: until then more may be known of the inputs.
  func declareLetters(in builder: OutputBuilder) throws(EngineError) {
    if builder.schema == nil { try builder.declare(DeadLetters.schema(left: leftSchema, right: rightSchema)) }
  }

  /// A late record as a row of both sides, see `DeadLetters`.
  func appendLate(
    _ batch: RecordBatch, _ row: Int, isRight: Bool, _ timestamp: Int64, to builder: OutputBuilder
  ) throws(EngineError) {
    if builder.schema == nil { try builder.declare(DeadLetters.union(leftSchema, rightSchema)) }
    let columns = try builder.builder.columns
    do {
      try DeadLetters.append(batch, row, to: columns[isRight ? 1 : 0])
      try builder.endBuiltRow(timestamp: timestamp)
    } catch {
      builder.cancelBuiltRow()
      throw error
    }
  }
}
