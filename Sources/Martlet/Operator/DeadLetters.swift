import CMartlet

/// The rows of the side output "errors": one for each record that could not be processed, and for each timer.
///
/// Columns: `operator` utf8 · `record_number` int64, in the operator's input from 0, null for a timer · `key` utf8, as messages
/// show it, null if the key is · `timestamp` int64, epoch ms, null if there is none · `fire_time` int64 and `domain` utf8
/// ("event", "processing") for timers · `error_type` utf8 · `message` utf8 · `traceback` utf8, null if there is none · `record`,
/// a struct of the input's columns, null for a timer. In a function of two inputs `record` is a struct of `left` and `right`, each a
/// struct of that input's columns, of which one is null; so is a row of the side output "late".
struct DeadLetters {
  static func schema(_ input: Schema?) -> Schema {
    let record = input.map { DataType.structure($0.fields) } ?? .null
    return Schema([
      Field("operator", .utf8, isNullable: false), Field("record_number", .int64), Field("key", .utf8),
      Field("timestamp", .int64), Field("fire_time", .int64), Field("domain", .utf8),
      Field("error_type", .utf8, isNullable: false), Field("message", .utf8, isNullable: false),
      Field("traceback", .utf8), Field("record", record),
    ])
  }

  static func schema(left: Schema?, right: Schema?) -> Schema {
    schema(union(left, right))
  }

  /// A column for each side.
  static func union(_ left: Schema?, _ right: Schema?) -> Schema {
    Schema([
      Field("left", left.map { .structure($0.fields) } ?? .null),
      Field("right", right.map { .structure($0.fields) } ?? .null),
    ])
  }

  struct Letter {
    var operatorName: String
    var key: String?
    var timestamp: Int64
    var details: FailureDetails
  }

  /// A record that failed: row `row` of `batch`, which came from `side`.
  static func append(
    _ letter: Letter, record: Int64, _ batch: RecordBatch, row: Int, side: Side? = nil, to builder: OutputBuilder
  ) throws(EngineError) {
    let columns = try builder.builder.columns
    try append(letter, columns)
    try columns[1].append(int64: record)
    if let side {
      try append(batch, row, to: columns[9].child(side == .left ? 0 : 1))
      try columns[9].child(side == .left ? 1 : 0)?.appendNull()
    } else if columns[9].child(0) == nil, !batch.columns.isEmpty {
      // Its schema was not known when the output got its own.
      try columns[9].appendNull()
      return try builder.endBuiltRow(timestamp: letter.timestamp)
    } else {
      try appendCells(batch, row, to: columns[9])
    }
    try columns[9].endNested()
    try builder.endBuiltRow(timestamp: letter.timestamp)
  }

  /// A record as a struct; null where its schema was not known when the output got its own.
  static func append(_ batch: RecordBatch, _ row: Int, to column: ColumnBuilder?) throws(EngineError) {
    guard let column, column.child(0) != nil || batch.columns.isEmpty else { return try column?.appendNull() ?? () }
    try appendCells(batch, row, to: column)
    try column.endNested()
  }

  private static func appendCells(_ batch: RecordBatch, _ row: Int, to column: ColumnBuilder) throws(EngineError) {
    for position in batch.columns.indices {
      try column.child(position)?.append(cell: row, of: batch.columns.baseAddress! + position, owner: batch)
    }
  }

  /// A timer that failed; with the domain of no timer, the end of a key.
  static func append(_ letter: Letter, fireTime: Int64, domain: Int32, to builder: OutputBuilder) throws(EngineError) {
    let columns = try builder.builder.columns
    try append(letter, columns)
    if let domain = TimerDomain(rawValue: domain) {
      try columns[4].append(int64: fireTime)
      try text(domain == .event ? "event" : "processing", columns[5])
    }
    try builder.endBuiltRow(timestamp: letter.timestamp)
  }

  private static func append(_ letter: Letter, _ columns: [ColumnBuilder]) throws(EngineError) {
    try text(letter.operatorName, columns[0])
    if let key = letter.key { try text(key, columns[2]) }
    if letter.timestamp != EventTime.none { try columns[3].append(int64: letter.timestamp) }
    try text(letter.details.type, columns[6])
    try text(letter.details.message, columns[7])
    if let traceback = letter.details.traceback { try text(traceback, columns[8]) }
  }

  private static func text(_ text: String, _ column: ColumnBuilder) throws(EngineError) {
    var bytes = Array(text.utf8)
    let result: Result<Void, EngineError> = bytes.withUnsafeMutableBytes { bytes in
      Result { () throws(EngineError) in try column.append(bytes: UnsafeRawBufferPointer(bytes)) }
    }
    try result.get()
  }
}
