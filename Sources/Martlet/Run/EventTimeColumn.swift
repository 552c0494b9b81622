import CMartlet

/// Reads a column of event times as milliseconds since the Unix epoch, rounded down.
struct EventTimeColumn {
  private enum Scale {
    /// The value times so many milliseconds.
    case times(Int64)
    /// So many units to a millisecond.
    case per(Int64)
  }

  let name: String
  let column: Int
  private let scale: Scale

  init(_ name: String, in schema: Schema) throws(EngineError) {
    guard let column = schema.index(of: name) else {
      let known = schema.fields.map { "'\($0.name)'" }.joined(separator: ", ")
      throw EngineError(.schemaMismatch, "there is no timestamp column '\(name)'; the input has: \(known)")
    }
    self.name = name
    self.column = column
    let type = schema.fields[column].type
    switch type.valueType {
    case .int8, .int16, .int32, .int64, .uint8, .uint16, .uint32, .uint64, .date64, .null: scale = .times(1)
    case .date32: scale = .times(86_400_000)
    case .timestamp(.second, _): scale = .times(1000)
    case .timestamp(.milli, _): scale = .times(1)
    case .timestamp(.micro, _): scale = .per(1000)
    case .timestamp(.nano, _): scale = .per(1_000_000)
    default:
      throw EngineError(
        .schemaMismatch,
        "timestamp column '\(name)' is \(type); event time is an integer column of epoch milliseconds, a timestamp or a date")
    }
  }

  /// Writes the times of `count` rows from `start`, `EventTime.none` for nulls; true if there was a null.
  func read(
    _ batch: RecordBatch, start: Int, count: Int, into times: UnsafeMutablePointer<Int64>
  ) throws(EngineError) -> Bool {
    let cells = batch.columns[column]
    let hasNulls = cells.null_count > 0 || cells.dictionary != nil || cells.type == Int32(MARTLET_TYPE_NULL.rawValue)
    if !hasNulls, cells.width == 8, cells.type != Int32(MARTLET_TYPE_UINT64.rawValue) {
      let values = cells.values.unsafelyUnwrapped.assumingMemoryBound(to: Int64.self) + Int(cells.offset) + start
      switch scale {
      case .times(1): times.update(from: values, count: count)
      case .times(let factor): for row in 0..<count { times[row] = try scaled(values[row], factor, start + row) }
      case .per(let divisor): for row in 0..<count { times[row] = floorDivide(values[row], divisor) }
      }
      return false
    }
    var sawNull = false
    for row in 0..<count {
      if cells.isNull(start + row) {
        times[row] = EventTime.none
        sawNull = true
        continue
      }
      let value = cells.int64(start + row)
      switch scale {
      case .times(let factor): times[row] = try scaled(value, factor, start + row)
      case .per(let divisor): times[row] = floorDivide(value, divisor)
      }
    }
    return sawNull
  }

  private func scaled(_ value: Int64, _ factor: Int64, _ row: Int) throws(EngineError) -> Int64 {
    let (result, overflow) = value.multipliedReportingOverflow(by: factor)
    guard !overflow else {
      throw EngineError(
        .valueRange, "timestamp column '\(name)': \(value) in row \(row) is beyond what milliseconds in 64 bits can express")
    }
    return result
  }
}
