import CMartlet

/// Reads a column of event times as milliseconds since the Unix epoch, rounded down.
struct EventTimeColumn {
  private enum Scale {
    /// The value times so many milliseconds.
    case times(Int64)
    /// So many units to a millisecond.
    case per(Int64)
  }

  /// How far a read came.
  struct Times {
    /// The rows that were read: all, or those before the one that `failure` is about.
    var count: Int
    var sawNull = false
    var failure: EngineError?
  }

  let name: String
  let column: Int
  private let scale: Scale
  private let isUnsigned: Bool

  init(_ name: String, in schema: Schema) throws(EngineError) {
    guard let column = schema.index(of: name) else { throw schema.missing(name, as: "timestamp column") }
    self.name = name
    self.column = column
    let type = schema.fields[column].type
    isUnsigned = type.valueType == .uint64
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
        "timestamp column '\(name)' is \(type); event time is an integer column of epoch milliseconds, a timestamp or a date"
      )
    }
  }

  /// Writes the times of `count` rows from `start`, `EventTime.none` for nulls. A time that milliseconds in 64 bits cannot
  /// express ends the read.
  func read(_ batch: RecordBatch, start: Int, count: Int, into times: UnsafeMutablePointer<Int64>) -> Times {
    let cells = batch.columns[column]
    let hasNulls = cells.null_count > 0 || cells.dictionary != nil || cells.type == Int32(MARTLET_TYPE_NULL.rawValue)
    if !hasNulls, cells.width == 8, !isUnsigned {
      let values = cells.values.unsafelyUnwrapped.assumingMemoryBound(to: Int64.self) + Int(cells.offset) + start
      switch scale {
      case .times(1):
        times.update(from: values, count: count)
        return Times(count: count)
      case .per(let divisor):
        for row in 0..<count { times[row] = floorDivide(values[row], divisor) }
        return Times(count: count)
      case .times: break
      }
    }
    var result = Times(count: count)
    for row in 0..<count {
      if cells.isNull(start + row) {
        times[row] = EventTime.none
        result.sawNull = true
        continue
      }
      guard let time = milliseconds(cells.int64(start + row)) else {
        result.count = row
        result.failure = tooLarge(cells.int64(start + row))
        return result
      }
      times[row] = time
    }
    return result
  }

  private func milliseconds(_ value: Int64) -> Int64? {
    if isUnsigned, value < 0 { return nil }
    switch scale {
    case .per(let divisor): return floorDivide(value, divisor)
    case .times(let factor):
      let (result, overflow) = value.multipliedReportingOverflow(by: factor)
      return overflow ? nil : result
    }
  }

  private func tooLarge(_ value: Int64) -> EngineError {
    let text = isUnsigned ? "\(UInt64(bitPattern: value))" : "\(value)"
    return EngineError(
      .valueRange, "timestamp column '\(name)': \(text) is beyond what milliseconds in 64 bits can express")
  }
}
