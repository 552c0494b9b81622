// Taking back everything that one call did to an output, its schema included.

extension OutputBuilder {
  struct CallMark {
    let rows: Int
    let hasSchema: Bool
  }

  func beginCall() -> CallMark { CallMark(rows: mark(), hasSchema: schema != nil) }

  /// Takes back the rows since the mark, and a schema that the call declared or that was inferred from its rows.
  /// Appenders given out since then are gone with it.
  func rollbackCall(to mark: CallMark) {
    rollback(to: mark.rows)
    sliceRows.removeAll(keepingCapacity: true)
    guard !mark.hasSchema, schema != nil else { return }
    (schema, source, gathered, built, guardedColumns) = (nil, nil, nil, nil, [])
    leaveShortWays()
  }

  /// Drops the rows that nobody takes; how many there were.
  func discardRows() -> Int {
    let count = numRows
    if count > 0 { rollback(to: 0) }
    return count
  }
}
