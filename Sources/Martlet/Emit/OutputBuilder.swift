import CMartlet

/// One output of an operator: collects what is emitted and turns it into batches.
///
/// Two kinds of rows come in. A *referenced* row is a row of some input batch: only its number is noted, and columns are gathered
/// once, when the next rows come from another batch or when the output is taken. A *built* row is appended cell by cell. Each kind has
/// its own builder, so that cells of an unfinished row never mix with gathered ones; `runs` remembers how the two interleave.
public final class OutputBuilder {
  /// Nil until declared, or inferred from the first referenced row.
  public private(set) var schema: Schema?
  /// Whether a timestamp is kept for every row. Set before the first row.
  public internal(set) var recordsTimestamps: Bool

  private enum Kind { case referenced, built }
  private struct Run {
    let kind: Kind
    /// The number of the run's first row in this output.
    let start: Int
  }
  private var runs: [Run] = []

  /// The batch that `rows` refers to, and its address while a row of it can take the short way: same batch, still in a run of
  /// references, no check per row.
  private var source: RecordBatch?
  private var fastSource: UnsafeMutableRawPointer?
  private var sourceRows: UInt = 0
  /// Columns of the source with nulls that the output does not allow.
  private var guardedColumns: [Int] = []
  private var rows: UnsafeMutablePointer<Int32>
  private var rowCapacity: Int
  private var pendingRows = 0

  private var gathered: BatchBuilder?
  private var built: BatchBuilder?
  private var timestamps: RowTimestamps?

  public init(schema: Schema? = nil, recordsTimestamps: Bool = false) {
    self.schema = schema
    self.recordsTimestamps = recordsTimestamps
    rowCapacity = 256
    rows = .allocate(capacity: rowCapacity)
  }

  deinit { rows.deallocate() }

  /// Rows emitted and not taken.
  public var numRows: Int { pendingRows &+ (gathered?.numRows ?? 0) &+ (built?.numRows ?? 0) }

  /// Gives the output its schema. Errors: it has another one already.
  public func declare(_ schema: Schema) throws(EngineError) {
    guard let mine = self.schema else {
      self.schema = schema
      return
    }
    if mine == schema { return }
    throw EngineError(
      .schemaMismatch,
      "the output has the schema (\(mine)) already and cannot be declared as (\(schema)); declare it once, before the first row"
    )
  }

  // MARK: referenced rows

  /// Emits row `row` of `batch` by reference. Errors: `.schemaMismatch` if the batch does not fit the output's schema.
  @inline(__always)
  public func emitRow(_ batch: RecordBatch, _ row: Int, timestamp: Int64) throws(EngineError) {
    if Unmanaged.passUnretained(batch).toOpaque() != fastSource || UInt(bitPattern: row) >= sourceRows {
      try prepare(batch, row)
    }
    if pendingRows == rowCapacity { growRows(1) }
    rows[pendingRows] = Int32(truncatingIfNeeded: row)
    pendingRows &+= 1
    if recordsTimestamps { note(timestamp, 1) }
  }

  /// Emits all rows of a batch.
  public func emitBatch(_ batch: RecordBatch, timestamp: Int64) throws(EngineError) {
    try use(batch)
    for row in 0..<(guardedColumns.isEmpty ? 0 : batch.numRows) { try checkRow(batch, row) }
    guard batch.numRows > 0 else { return }
    beginRun(.referenced)
    growRows(batch.numRows)
    for row in 0..<batch.numRows { rows[pendingRows + row] = Int32(truncatingIfNeeded: row) }
    pendingRows += batch.numRows
    if recordsTimestamps { note(timestamp, batch.numRows) }
  }

  /// What the short way leaves out.
  @inline(never)
  private func prepare(_ batch: RecordBatch, _ row: Int) throws(EngineError) {
    try use(batch)
    guard row >= 0, row < batch.numRows else {
      throw EngineError(.invalidArgument, "row \(row) is outside of a batch of \(batch.numRows) rows")
    }
    try checkRow(batch, row)
    beginRun(.referenced)
    fastSource = guardedColumns.isEmpty ? Unmanaged.passUnretained(batch).toOpaque() : nil
  }

  private func checkRow(_ batch: RecordBatch, _ row: Int) throws(EngineError) {
    for column in guardedColumns where batch.columns[column].isNull(row) {
      let field = schema!.fields[column]
      throw EngineError(
        .schemaMismatch,
        "column '\(field.name)' (\(field.type)) is not nullable, got a null; give it a value or declare it nullable")
    }
  }

  /// Makes `batch` the one that row numbers refer to.
  private func use(_ batch: RecordBatch) throws(EngineError) {
    if source === batch { return }
    let schema = self.schema ?? batch.schema
    if schema != batch.schema, let misfit = schema.misfit(of: batch.schema) { throw misfit }
    try flush()
    self.schema = schema
    source = batch
    fastSource = nil
    sourceRows = UInt(batch.numRows)
    guardedColumns = schema.fields.indices.filter { position in
      let column = batch.columns[position]
      return !schema.fields[position].isNullable && column.type != Int32(MARTLET_TYPE_NULL.rawValue)
        && (column.null_count > 0 || (column.dictionary?.pointee.null_count ?? 0) > 0)
    }
  }

  @inline(never)
  private func growRows(_ more: Int) {
    guard pendingRows + more > rowCapacity else { return }
    let capacity = max(pendingRows + more, rowCapacity * 2)
    let block = UnsafeMutablePointer<Int32>.allocate(capacity: capacity)
    block.update(from: rows, count: pendingRows)
    rows.deallocate()
    (rows, rowCapacity) = (block, capacity)
  }

  /// Gathers the pending references, so that their batch can go.
  private func flush() throws(EngineError) {
    guard pendingRows > 0, let source else { return }
    let gathered = try gatherBuilder()
    let pending = UnsafeBufferPointer(start: rows, count: pendingRows)
    if let range = Self.contiguous(pending) {
      try gathered.append(source, range: range)
    } else {
      try gathered.append(source, rows: pending)
    }
    pendingRows = 0
  }

  private func gatherBuilder() throws(EngineError) -> BatchBuilder {
    if let gathered { return gathered }
    let builder = try BatchBuilder(schema!)
    gathered = builder
    return builder
  }

  /// The rows as a range, if they follow each other.
  private static func contiguous(_ rows: UnsafeBufferPointer<Int32>) -> Range<Int>? {
    guard let first = rows.first, let last = rows.last, Int(last) - Int(first) == rows.count - 1 else { return nil }
    var gaps: Int32 = 0
    for position in 0..<rows.count { gaps |= rows[position] ^ (first &+ Int32(truncatingIfNeeded: position)) }
    return gaps == 0 ? Int(first)..<(Int(last) + 1) : nil
  }

  // MARK: built rows

  /// The builder of built rows: the same object as long as the output lives. Errors: the output has no schema yet.
  public var builder: BatchBuilder {
    get throws(EngineError) {
      if let built { return built }
      guard let schema else {
        throw EngineError(
          .schemaMismatch, "the output has no schema yet: declare it, or emit a record of the input first")
      }
      let builder = try BatchBuilder(schema)
      built = builder
      return builder
    }
  }

  /// Completes the row whose cells were appended to `builder`. Errors: as `BatchBuilder.endRow`.
  public func endBuiltRow(timestamp: Int64) throws(EngineError) {
    let start = numRows
    try builder.endRow()
    if runs.last?.kind != .built {
      runs.append(Run(kind: .built, start: start))
      fastSource = nil
    }
    if recordsTimestamps { note(timestamp, 1) }
  }

  public func cancelBuiltRow() { built?.cancelRow() }

  private func beginRun(_ kind: Kind) {
    if runs.last?.kind != kind { runs.append(Run(kind: kind, start: numRows)) }
  }

  private func note(_ timestamp: Int64, _ count: Int) {
    let timestamps = timestamps ?? RowTimestamps()
    self.timestamps = timestamps
    timestamps.append(timestamp, count)
  }

  // MARK: taking back and taking out

  /// A place to roll back to. Good until the output is taken.
  public func mark() -> Int { numRows }

  /// Discards the rows since a mark, and cells of an unfinished built row.
  public func rollback(to mark: Int) {
    built?.cancelRow()
    while numRows > mark, let run = runs.last {
      let cut = min(numRows - mark, numRows - run.start)
      switch run.kind {
      case .built: built!.truncate(to: built!.numRows - cut)
      case .referenced:
        let pendingCut = min(cut, pendingRows)
        pendingRows -= pendingCut
        if cut > pendingCut { gathered!.truncate(to: gathered!.numRows - (cut - pendingCut)) }
      }
      if numRows == run.start {
        runs.removeLast()
        fastSource = nil
      }
    }
    timestamps?.truncate(to: mark)
  }

  /// All rows since the last call as one batch, with a timestamp for each if they are recorded; nil if there are none.
  ///
  /// Consecutive rows of one batch come out as a slice of it, without copying. Errors: `.valueRange` when a column of
  /// the output outgrows its offsets.
  public func takeBatch() throws(EngineError) -> (batch: RecordBatch, timestamps: RowTimestamps?)? {
    guard numRows > 0 else { return nil }
    let batch = if let slice = sliceOfSource() { slice } else { try assemble() }
    let taken = timestamps
    (timestamps, source, fastSource, pendingRows) = (nil, nil, nil, 0)
    runs.removeAll(keepingCapacity: true)
    return (batch, taken)
  }

  private func sliceOfSource() -> RecordBatch? {
    guard let source, let schema, pendingRows == numRows else { return nil }
    guard schema == source.schema || schema.isAsNullable(as: source.schema) else { return nil }
    guard let range = Self.contiguous(UnsafeBufferPointer(start: rows, count: pendingRows)) else { return nil }
    return source.relabelled(schema, range.lowerBound, range.count)
  }

  private func assemble() throws(EngineError) -> RecordBatch {
    try flush()
    guard let gathered, gathered.numRows > 0 else { return try builder.finish() }
    guard let built, built.numRows > 0 else { return try gathered.finish() }
    let total = numRows
    let sources = (referenced: try gathered.finish(), built: try built.finish())
    var next = (referenced: 0, built: 0)
    for (position, run) in runs.enumerated() {
      let count = (position + 1 < runs.count ? runs[position + 1].start : total) - run.start
      switch run.kind {
      case .referenced:
        try gathered.append(sources.referenced, range: next.referenced..<(next.referenced + count))
        next.referenced += count
      case .built:
        try gathered.append(sources.built, range: next.built..<(next.built + count))
        next.built += count
      }
    }
    return try gathered.finish()
  }
}

/// The timestamps of a batch's rows, in milliseconds, as a buffer of their own.
///
/// `@unchecked Sendable`: written only by the output builder that holds it, until it is taken.
public final class RowTimestamps: @unchecked Sendable {
  private var block = GrowableBytes()
  private var count = 0

  deinit { block.free() }

  public var values: UnsafeBufferPointer<Int64> {
    UnsafeBufferPointer(start: block.start.assumingMemoryBound(to: Int64.self), count: count)
  }

  func append(_ timestamp: Int64, _ times: Int) {
    block.reserve((count + times) * 8, used: count * 8)
    (block.start.assumingMemoryBound(to: Int64.self) + count).initialize(repeating: timestamp, count: times)
    count += times
  }

  func truncate(to count: Int) { self.count = min(count, self.count) }
}
