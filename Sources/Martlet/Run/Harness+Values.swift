import CMartlet

/// A cell of a record or an output row, as tests write it: `5`, `"ann"`, `2.5`, `true`, `nil`.
public enum RowValue: Hashable, Sendable {
  case null
  case bool(Bool)
  /// Integers; dates, times and timestamps in their column's own unit.
  case int(Int64)
  case double(Double)
  case string(String)
  case bytes([UInt8])
}

extension RowValue: ExpressibleByIntegerLiteral, ExpressibleByStringLiteral, ExpressibleByFloatLiteral,
  ExpressibleByBooleanLiteral, ExpressibleByNilLiteral
{
  public init(integerLiteral value: Int64) { self = .int(value) }
  public init(stringLiteral value: String) { self = .string(value) }
  public init(floatLiteral value: Double) { self = .double(value) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(nilLiteral: ()) { self = .null }
}

/// One emitted row.
public struct OutputRow: Hashable, Sendable, ExpressibleByArrayLiteral {
  /// In the order of the columns.
  public var values: [RowValue]
  /// Nil where `==` is to leave it out: rows written as `["ann", 1]`.
  public var timestamp: RowTime?

  public enum RowTime: Hashable, Sendable {
    case absent
    case at(Int64)
  }

  public init(_ values: [RowValue], at timestamp: RowTime? = nil) {
    self.values = values
    self.timestamp = timestamp
  }

  public init(arrayLiteral values: RowValue...) { self.init(values) }
}

extension Harness {
  /// A harness for a function keyed by one column.
  ///
  /// - Parameters:
  ///   - schema: of the input; without it the first batch that is pushed tells.
  ///   - timestamp: the column of event times, if records are not given theirs when they are pushed.
  ///   - maxOutOfOrderness: makes the watermark follow the records, this many milliseconds behind.
  ///   - config: how a stream would be configured; its clock is replaced by a manual one at 0 unless it is manual itself.
  public convenience init(
    _ function: some ProcessFunction, key: String, states: [AnyState] = [], schema: Schema? = nil,
    timestamp: String? = nil, maxOutOfOrderness: Int64? = nil, output: Schema? = nil, name: String? = nil,
    config: Stream.Config = .default
  ) throws {
    try self.init(
      function, keys: [key], states: states, schema: schema, timestamp: timestamp, maxOutOfOrderness: maxOutOfOrderness,
      output: output, name: name, config: config)
  }

  /// The same for a key of several columns.
  public convenience init(
    _ function: some ProcessFunction, keys: [String], states: [AnyState] = [], schema: Schema? = nil,
    timestamp: String? = nil, maxOutOfOrderness: Int64? = nil, output: Schema? = nil, name: String? = nil,
    config: Stream.Config = .default
  ) throws {
    let stream = applyProcessFunction(
      Stream(BatchSource([]), config: Harness.manual(config)), keys: keys, function, states: states, output: output,
      name: name)
    try self.init(try stream.job(), timestamp: timestamp, maxOutOfOrderness: maxOutOfOrderness)
    if let schema { try open(schema) }
  }

  /// A harness that continues from a snapshot; see `restore`.
  public convenience init(
    restoring snapshot: [UInt8], _ function: some ProcessFunction, keys: [String], states: [AnyState] = [],
    schema: Schema? = nil, timestamp: String? = nil, maxOutOfOrderness: Int64? = nil, groups: KeyGroupRange? = nil,
    forgetting: [String] = [], config: Stream.Config = .default
  ) throws {
    try self.init(
      function, keys: keys, states: states, schema: schema, timestamp: timestamp, maxOutOfOrderness: maxOutOfOrderness,
      config: config)
    try snapshot.withUnsafeBytes { try restore($0, groups: groups, forgetting: forgetting) }
  }

  /// Processes a record given as values, one for each column of the schema.
  public func push(_ values: RowValue?..., timestamp: RecordTime = .column) throws {
    guard let schema = inputSchema else {
      throw EngineError(
        .invalidArgument, "the harness does not know the columns yet; make it with schema:, or push a record batch")
    }
    try push(try HarnessRow.batch(values.map { $0 ?? .null }, schema), timestamp: timestamp)
  }

  /// A harness for a function over two streams, keyed by a column of each; see `push(_:_:timestamp:)`.
  ///
  /// - Parameters:
  ///   - left, right: the schemas of the inputs; without them the first batch of each tells.
  ///   - timestamp, rightTimestamp: the columns of event times.
  public convenience init(
    connecting function: some CoProcessFunction, keys: (left: String, right: String), states: [AnyState] = [],
    left: Schema? = nil, right: Schema? = nil, timestamp: String? = nil, rightTimestamp: String? = nil,
    maxOutOfOrderness: Int64? = nil, output: Schema? = nil, name: String? = nil, config: Stream.Config = .default
  ) throws {
    let nothing = Stream(BatchSource([]), config: Harness.manual(config))
    let stream = connectStreams(
      nothing.keyBy(keys.left), nothing.keyBy(keys.right), function, states: states, output: output, name: name)
    try self.init(
      try stream.job(), timestamp: timestamp, rightTimestamp: rightTimestamp, maxOutOfOrderness: maxOutOfOrderness)
    if let left { try open(.left, left) }
    if let right { try open(.right, right) }
  }

  /// A harness for a function with a broadcast side, which is `.right`. Without a key the main stream has none.
  public convenience init(
    broadcasting function: some BroadcastProcessFunction, key: String? = nil, states: [AnyState] = [],
    main: Schema? = nil, broadcast: Schema? = nil, timestamp: String? = nil, broadcastTimestamp: String? = nil,
    maxOutOfOrderness: Int64? = nil, output: Schema? = nil, name: String? = nil, config: Stream.Config = .default
  ) throws {
    let nothing = Stream(BatchSource([]), config: Harness.manual(config))
    let stream = broadcastStream(
      nothing, nothing.broadcast(), key: key, function, states: states, output: output, name: name)
    try self.init(
      try stream.job(), timestamp: timestamp, rightTimestamp: broadcastTimestamp,
      maxOutOfOrderness: maxOutOfOrderness)
    if let main { try open(.left, main) }
    if let broadcast { try open(.right, broadcast) }
  }

  private static func manual(_ config: Stream.Config) -> Stream.Config {
    var config = config
    if !(config.clock is ManualClock) { config.clock = ManualClock() }
    return config
  }

  /// Processes a record of one of two inputs, given as values, one for each column of its schema.
  public func push(_ side: Side, _ values: RowValue?..., timestamp: RecordTime = .column) throws {
    guard let schema = inputSchema(of: side) else {
      throw EngineError(
        .invalidArgument,
        "the harness does not know the columns of the \(side) input yet; make it with their schemas, or push a record batch"
      )
    }
    try push(side, try HarnessRow.batch(values.map { $0 ?? .null }, schema), timestamp: timestamp)
  }

  /// The rows emitted since the last call.
  public func output(timestamps: Bool = false) throws(EngineError) -> [OutputRow] { try rows(nil, timestamps) }

  /// The rows emitted to a side output since the last call; "late" and "errors" are those of the policies.
  public func sideOutput(_ tag: String, timestamps: Bool = false) throws(EngineError) -> [OutputRow] {
    try rows(tag, timestamps)
  }

  private func rows(_ tag: String?, _ timestamps: Bool) throws(EngineError) -> [OutputRow] {
    guard let (batch, times) = try takeOutput(tag) else { return [] }
    return (0..<batch.numRows).map { row in
      let time = times.values[row]
      return OutputRow(
        (0..<batch.schema.fields.count).map { HarnessRow.value(batch, $0, row) },
        at: timestamps ? (time == EventTime.none ? .absent : .at(time)) : nil)
    }
  }

  /// Runs `body` with a key current, given as a value for each key column, so that states of the function can be read. Nil, without
  /// calling it, if the key has neither state nor timers.
  public func at<Result>(_ key: RowValue..., body: () throws -> Result) throws -> Result? {
    guard try select(values: key) else { return nil }
    defer { deselect() }
    return try body()
  }

  /// The pending timers of a key: event time first, each by time.
  public func timers(of key: RowValue...) throws -> [PendingTimer] {
    guard try select(values: key) else { return [] }
    defer { deselect() }
    return try process.context.timers()
  }

  private func select(values: [RowValue]) throws(EngineError) -> Bool {
    guard let schema = keySchema else { return false }
    return try select(try HarnessRow.batch(values, schema))
  }
}

/// Values to batches of one row and back.
private enum HarnessRow {
  static func batch(_ values: [RowValue], _ schema: Schema) throws(EngineError) -> RecordBatch {
    guard values.count == schema.fields.count else {
      throw EngineError(.schemaMismatch, "\(values.count) values for the columns (\(schema))")
    }
    let builder = try BatchBuilder(schema)
    for (column, value) in zip(builder.columns, values) {
      switch value {
      case .null: try column.appendNull()
      case .bool(let value): try column.append(bool: value)
      case .int(let value): try column.append(int64: value)
      case .double(let value): try column.append(double: value)
      case .string(var text): try append(&text, to: column)
      case .bytes(let bytes): try append(bytes, to: column)
      }
    }
    try builder.endRow()
    return try builder.finish()
  }

  private static func append(_ text: inout String, to column: ColumnBuilder) throws(EngineError) {
    try append(Array(text.utf8), to: column)
  }

  private static func append(_ bytes: [UInt8], to column: ColumnBuilder) throws(EngineError) {
    let failure: EngineError? = bytes.withUnsafeBytes { bytes in
      do throws(EngineError) {
        try column.append(bytes: bytes)
        return nil
      } catch {
        return error
      }
    }
    if let failure { throw failure }
  }

  /// Lists, structs and maps are `.null`; take the batch to read them.
  static func value(_ batch: RecordBatch, _ column: Int, _ row: Int) -> RowValue {
    let cells = batch.columns[column]
    if cells.isNull(row) { return .null }
    switch batch.schema.fields[column].type.valueType {
    case .bool: return .bool(cells.int64(row) != 0)
    case .float16, .float32, .float64: return .double(cells.double(row))
    case .utf8, .largeUtf8, .utf8View: return .string(String(decoding: cells.bytes(row), as: UTF8.self))
    case .null, .list, .largeList, .fixedSizeList, .structure, .map: return .null
    case .binary, .largeBinary, .binaryView, .fixedSizeBinary, .decimal128, .decimal256, .interval:
      return .bytes(Array(cells.bytes(row)))
    default: return .int(cells.int64(row))
    }
  }
}
