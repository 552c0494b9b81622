import CMartlet

/// One output of an operator: collects what is emitted and turns it into batches.
///
/// Two kinds of rows come in. A *referenced* row is a row of some input batch: only its number is noted, and columns are gathered
/// once, when the next rows come from another batch or when the output is taken. A *built* row is appended cell by cell. Each kind has
/// its own builder, so that cells of an unfinished row never mix with gathered ones; `runs` remembers how the two interleave.
public final class OutputBuilder {
  /// Nil until declared, or inferred from the first referenced row.
  public internal(set) var schema: Schema?
  /// Whether a timestamp is kept for every row. Set before the first row.
  @exclusivity(unchecked) public internal(set) var recordsTimestamps: Bool {
    didSet { notesRows = recordsTimestamps || orderLog != nil }
  }
  /// The place of every row in the order of a serial run; only in a parallel instance. Set before the first row.
  @exclusivity(unchecked) var orderLog: OrderLog? {
    didSet {
      notesRows = recordsTimestamps || orderLog != nil
      fastLog = orderLog.map { .passUnretained($0) }
    }
  }
  /// The same, not counted: for every row.
  @exclusivity(unchecked) private var fastLog: Unmanaged<OrderLog>?
  /// Whether anything is noted for every row.
  @exclusivity(unchecked) @usableFromInline private(set) var notesRows: Bool

  enum Kind { case referenced, built }
  struct Run {
    let kind: Kind
    /// The number of the run's first row in this output.
    let start: Int
  }
  var runs: [Run] = []

  // What changes with every row is exempt from the run-time check for overlapping access: these are loaded and stored as a whole,
  // by one thread, and no access calls out.

  /// The batch that `rows` refers to.
  var source: RecordBatch?
  /// Its address while a row of it can take the short way: still in a run of references, no check per row.
  @exclusivity(unchecked) @usableFromInline var fastSource: UnsafeMutableRawPointer?
  @exclusivity(unchecked) @usableFromInline var sourceRows: UInt = 0
  /// Columns of the source with nulls that the output does not allow.
  var guardedColumns: [Int] = []
  @exclusivity(unchecked) @usableFromInline var rows: UnsafeMutablePointer<Int32>
  @exclusivity(unchecked) @usableFromInline var rowCapacity: Int
  @exclusivity(unchecked) @usableFromInline var pendingRows = 0

  var gathered: BatchBuilder?
  var built: BatchBuilder?
  /// `built` while a row of it can take the short way: in a run of built rows without nested columns, nothing noted beside them.
  @exclusivity(unchecked) @usableFromInline var fastBuilder: Unmanaged<BatchBuilder>?
  /// `built` in any run of built rows.
  @exclusivity(unchecked) private var openBuilder: Unmanaged<BatchBuilder>?
  @exclusivity(unchecked) private var times = GrowableBytes()
  @exclusivity(unchecked) private var timeCount = 0
  /// Which rows came from which rows of the current slice, see `SliceRows`. Kept only with timestamps.
  @exclusivity(unchecked) var sliceRows: [SliceRows] = []

  public init(schema: Schema? = nil, recordsTimestamps: Bool = false) {
    self.schema = schema
    self.recordsTimestamps = recordsTimestamps
    notesRows = recordsTimestamps
    rowCapacity = 256
    rows = .allocate(capacity: rowCapacity)
  }

  deinit {
    rows.deallocate()
    times.free()
  }

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
  @inlinable @inline(__always)
  public func emitRow(_ batch: RecordBatch, _ row: Int, timestamp: @autoclosure () -> Int64) throws(EngineError) {
    try emitRow(Unmanaged.passUnretained(batch), row, timestamp: timestamp())
  }

  /// The same without counting a reference, also where there is more to note than the row: parallel instances that count
  /// references to one input batch wait for each other's caches.
  @inlinable @inline(__always)
  package func emitRow(
    _ batch: Unmanaged<RecordBatch>, _ row: Int, timestamp: @autoclosure () -> Int64
  ) throws(EngineError) {
    guard _fastPath(batch.toOpaque() == fastSource),
      _fastPath(UInt(bitPattern: row) < sourceRows), _fastPath(pendingRows < rowCapacity), _fastPath(!notesRows)
    else { return try emitSlowly(batch, row, timestamp()) }
    rows[pendingRows] = Int32(truncatingIfNeeded: row)
    pendingRows &+= 1
  }

  @usableFromInline @inline(never)
  func emitSlowly(_ batch: Unmanaged<RecordBatch>, _ row: Int, _ timestamp: Int64) throws(EngineError) {
    if batch.toOpaque() != fastSource || UInt(bitPattern: row) >= sourceRows {
      try prepare(batch.takeUnretainedValue(), row)
    }
    if pendingRows == rowCapacity { growRows(1) }
    rows[pendingRows] = Int32(truncatingIfNeeded: row)
    pendingRows &+= 1
    if notesRows { note(timestamp, 1) }
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
    if notesRows { note(timestamp, batch.numRows) }
  }

  /// What the short way leaves out.
  private func prepare(_ batch: RecordBatch, _ row: Int) throws(EngineError) {
    try use(batch)
    guard row >= 0, row < batch.numRows else {
      throw EngineError(.invalidArgument, "row \(row) is outside of a batch of \(batch.numRows) rows")
    }
    try checkRow(batch, row)
    beginRun(.referenced)
    fastSource = guardedColumns.isEmpty ? Unmanaged.passUnretained(batch).toOpaque() : nil
  }

  func checkRow(_ batch: RecordBatch, _ row: Int) throws(EngineError) {
    for column in guardedColumns where batch.columns[column].isNull(row) {
      let field = schema!.fields[column]
      throw EngineError(
        .schemaMismatch,
        "column '\(field.name)' (\(field.type)) is not nullable, got a null; give it a value or declare it nullable")
    }
  }

  /// Makes `batch` the one that row numbers refer to.
  func use(_ batch: RecordBatch) throws(EngineError) {
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

  /// Hands out the block of row numbers; a new one takes its place.
  func takeRows() -> UnsafeMutablePointer<Int32> {
    defer { rows = .allocate(capacity: rowCapacity) }
    return rows
  }

  @inline(never)
  func growRows(_ more: Int) {
    guard pendingRows + more > rowCapacity else { return }
    let capacity = max(pendingRows + more, rowCapacity * 2)
    let block = UnsafeMutablePointer<Int32>.allocate(capacity: capacity)
    block.update(from: rows, count: pendingRows)
    rows.deallocate()
    (rows, rowCapacity) = (block, capacity)
  }

  /// Gathers the pending references, so that their batch can go.
  func flush() throws(EngineError) {
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
  static func contiguous(_ rows: UnsafeBufferPointer<Int32>) -> Range<Int>? {
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
  @inlinable @inline(__always)
  public func endBuiltRow(timestamp: @autoclosure () -> Int64) throws(EngineError) {
    if let fastBuilder, _fastPath(fastBuilder._withUnsafeGuaranteedRef({ $0.endCompleteRow() })) { return }
    try endAnyRow(timestamp())
  }

  /// What the short way leaves out.
  @usableFromInline @inline(never)
  func endAnyRow(_ timestamp: Int64) throws(EngineError) {
    if let openBuilder {
      let failure: EngineError? = openBuilder._withUnsafeGuaranteedRef { builder in
        if !builder.hasNested, builder.endCompleteRow() { return nil }
        do throws(EngineError) {
          try builder.endRow()
          return nil
        } catch {
          return error
        }
      }
      if let failure { throw failure }
    } else {
      let start = numRows
      let builder = try builder
      try builder.endRow()
      runs.append(Run(kind: .built, start: start))
      openBuilder = .passUnretained(builder)
      fastBuilder = builder.hasNested || notesRows ? nil : openBuilder
      fastSource = nil
    }
    if notesRows { note(timestamp, 1) }
  }

  public func cancelBuiltRow() { built?.cancelRow() }

  // MARK: timestamps

  @inline(__always)
  func note(_ timestamp: Int64, _ count: Int) {
    if let fastLog {
      fastLog._withUnsafeGuaranteedRef { $0.note(count) }
      if !recordsTimestamps { return }
    }
    times.reserve((timeCount + count) * 8, used: timeCount * 8)
    (times.start.assumingMemoryBound(to: Int64.self) + timeCount).initialize(repeating: timestamp, count: count)
    timeCount += count
  }

  /// Room for the timestamps of `count` rows, EventTime.none where nothing is written.
  func newTimestamps(_ count: Int) -> UnsafeMutablePointer<Int64> {
    note(EventTime.none, count)
    return times.start.assumingMemoryBound(to: Int64.self) + (timeCount - count)
  }

  func truncateTimestamps(to count: Int) {
    timeCount = min(timeCount, count)
    orderLog?.truncate(to: count)
  }

  func takeTimestamps() -> RowTimestamps? {
    guard recordsTimestamps else { return nil }
    defer { (times, timeCount) = (GrowableBytes(), 0) }
    return RowTimestamps(times, timeCount)
  }

  // MARK: runs

  func beginRun(_ kind: Kind) {
    guard runs.last?.kind != kind else { return }
    runs.append(Run(kind: kind, start: numRows))
    (fastBuilder, openBuilder) = (nil, nil)
  }

  /// After a change of `runs`: the next row finds its way by itself.
  func leaveShortWays() { (fastSource, fastBuilder, openBuilder) = (nil, nil, nil) }
}
