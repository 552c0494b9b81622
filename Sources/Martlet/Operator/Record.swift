import CMartlet

/// The one record of a callback: a row of an input batch, borrowed for the call.
///
/// Read it through typed columns (`record[amount]` with an `InputColumn`), or by name. To keep it longer, keep
/// `record.retainedBatch` and `record.row`.
public struct Record: BitwiseCopyable {
  @usableFromInline let batch: Unmanaged<RecordBatch>
  /// The row in the input batch.
  public let row: Int

  @usableFromInline
  init(_ batch: Unmanaged<RecordBatch>, _ row: Int) {
    self.batch = batch
    self.row = row
  }

  /// The input batch, to keep the record beyond the call.
  public var retainedBatch: RecordBatch { batch.takeUnretainedValue() }

  public var schema: Schema { batch._withUnsafeGuaranteedRef { $0.schema } }

  /// The integer, bool, date, time or timestamp in that column; nil if null. Throws `.schemaMismatch` for an unknown column.
  public func int64(_ column: String) throws(EngineError) -> Int64? {
    let column = try cells(of: column)
    return column.isNull(row) ? nil : column.int64(row)
  }

  /// The number in that column; nil if null.
  public func double(_ column: String) throws(EngineError) -> Double? {
    let column = try cells(of: column)
    return column.isNull(row) ? nil : column.double(row)
  }

  /// The text in that column; nil if null.
  public func string(_ column: String) throws(EngineError) -> String? {
    let column = try cells(of: column)
    return column.isNull(row) ? nil : String(decoding: column.bytes(row), as: UTF8.self)
  }

  private func cells(of name: String) throws(EngineError) -> martlet_column {
    let batch = batch.takeUnretainedValue()
    return batch.columns[try batch.column(named: name)]
  }
}
