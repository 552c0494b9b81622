/// Rows that an instance emitted under a schema that it inferred before it heard which one the output has.
///
/// In a serial run they would have been built under that schema from the start, column by name. What that would have taken is
/// converted; anything else is the `.schemaMismatch` that the serial run's callback would have got.
enum SchemaConversion {
  /// The rows of a batch under the output's schema.
  static func convert(_ batch: RecordBatch, to schema: Schema, of lane: OutputLane) throws(EngineError) -> RecordBatch {
    if batch.schema == schema || schema.misfit(of: batch.schema) == nil { return batch }
    let builder = try BatchBuilder(schema)
    for field in batch.schema.fields where schema.index(of: field.name) == nil {
      throw EngineError(
        .schemaMismatch,
        "\(describe(lane)) has the columns \(names(schema)), which its first row decided, and another row has '\(field.name)'; "
          + "declare output= with all columns")
    }
    let columns = schema.fields.map { batch.schema.index(of: $0.name) }
    for (position, source) in columns.enumerated() {
      if let source { try check(batch.schema.fields[source], against: schema.fields[position], lane) }
    }
    for row in 0..<batch.numRows {
      for (position, source) in columns.enumerated() {
        if let source { try append(batch, source, row, to: builder.columns[position], lane) }
      }
      try builder.endRow()
    }
    return try builder.finish()
  }

  private static func check(_ field: Field, against target: Field, _ lane: OutputLane) throws(EngineError) {
    let (from, to) = (field.type.valueType, target.type.valueType)
    if from == .null || to.holds(from) || (from.isInteger && (to.isInteger || to.isFloat))
      || (from.isFloat && to == .float64)
    {
      return
    }
    throw mismatch(field, target, lane, "")
  }

  private static func append(
    _ batch: RecordBatch, _ source: Int, _ row: Int, to column: ColumnBuilder, _ lane: OutputLane
  ) throws(EngineError) {
    let cells = batch.columns[source]
    if batch.schema.fields[source].type == .null || cells.isNull(row) { return try column.appendNull() }
    let (field, target) = (batch.schema.fields[source], column.field)
    if target.type.holds(field.type) {
      return try column.append(cell: row, of: batch.columns.baseAddress.unsafelyUnwrapped + source, owner: batch)
    }
    do {
      if field.type.valueType == .uint64 {
        try column.append(uint64: UInt64(bitPattern: cells.int64(row)))
      } else if field.type.valueType.isInteger {
        try column.append(int64: cells.int64(row))
      } else if field.type.valueType.isFloat {
        try column.append(double: cells.double(row))
      } else {
        try column.append(bytes: cells.bytes(row))
      }
    } catch {
      throw mismatch(field, target, lane, " (\(error.message))")
    }
  }

  private static func mismatch(_ field: Field, _ target: Field, _ lane: OutputLane, _ reason: String) -> EngineError {
    EngineError(
      .schemaMismatch,
      "\(describe(lane)): column '\(field.name)' is \(target.type), which its first row decided, and another row has \(field.type)"
        + "\(reason); declare output= with a type that holds all")
  }

  private static func describe(_ lane: OutputLane) -> String { lane.tag.map { "side output '\($0)'" } ?? "the output" }

  private static func names(_ schema: Schema) -> String {
    schema.fields.map { "'\($0.name)'" }.joined(separator: ", ")
  }
}

extension DataType {
  fileprivate var isFloat: Bool { self == .float16 || self == .float32 || self == .float64 }
}
