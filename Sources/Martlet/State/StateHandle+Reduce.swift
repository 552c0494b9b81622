/// Reducing states with a built-in reducer, as a binding uses them.
extension StateHandle {
  /// Folds a value in. `.valueRange` if a sum leaves the type's range; the state is then as it was.
  public func add(_ cell: StateCell) throws(EngineError) {
    switch try reducer() {
    case .count: try fold(StateCell(word: 1), .sum)
    case let reducer: try fold(cell, reducer)
    }
  }

  /// Folds in what another reducing state of this kind has: a count adds it up, the others take it as one more value.
  public func merge(_ cell: StateCell) throws(EngineError) {
    let reducer = try reducer()
    try fold(cell, reducer == .count ? .sum : reducer)
  }

  private func reducer() throws(EngineError) -> Reducer {
    guard case .reducing(let reducer) = column.descriptor.kind else { throw wrongKind("reducing") }
    guard reducer != .custom else {
      throw EngineError(
        .invalidArgument, "state '\(name)' has a reducer of the caller's: get, reduce and set its value")
    }
    return reducer
  }

  private func fold(_ cell: StateCell, _ reducer: Reducer) throws(EngineError) {
    switch storage {
    case .integer(let range):
      let cell = try checked(cell)
      try foldInteger(cell.word, reducer) { (a: Int64, b: Int64) -> Int64? in
        let (sum, overflow) = a.addingReportingOverflow(b)
        return overflow || !range.contains(sum) ? nil : sum
      }
    case .unsigned:
      let column = try integers()
      let slot = try currentSlot()
      let value = UInt64(bitPattern: cell.word)
      guard let old = column.get(slot).map({ UInt64(bitPattern: $0) }) else {
        column.set(slot, cell.word)
        return
      }
      switch reducer {
      case .min: if value < old { column.set(slot, cell.word) } else { column.touch(slot) }
      case .max: if value > old { column.set(slot, cell.word) } else { column.touch(slot) }
      case .sum, .count, .custom:
        let (sum, overflow) = old.addingReportingOverflow(value)
        if overflow { throw overflowing(old, value) }
        column.set(slot, Int64(bitPattern: sum))
      }
    case .double, .float:
      let column = try doubles()
      let slot = try currentSlot()
      let value = try checked(cell).double
      guard let old = column.get(slot) else {
        column.set(slot, value)
        return
      }
      switch reducer {
      case .min: if value < old { column.set(slot, value) } else { column.touch(slot) }
      case .max: if value > old { column.set(slot, value) } else { column.touch(slot) }
      case .sum, .count, .custom: column.set(slot, try checked(StateCell(double: old + value)).double)
      }
    case .utf8, .bytes, .fixedBytes:
      let column = try byteStrings()
      let slot = try currentSlot()
      try checkBytes(cell.bytes, storage, self.column.descriptor.type)
      if let old = column.get(slot) {
        let order = cell.bytes.order(to: old)
        guard reducer == .min ? order < 0 : order > 0 else {
          column.touch(slot)
          return
        }
      }
      column.set(slot, cell.bytes)
    }
  }

  private func foldInteger(
    _ value: Int64, _ reducer: Reducer, _ add: (Int64, Int64) -> Int64?
  ) throws(EngineError) {
    let column = try integers()
    let slot = try currentSlot()
    guard let old = column.get(slot) else {
      column.set(slot, value)
      return
    }
    switch reducer {
    case .min: if value < old { column.set(slot, value) } else { column.touch(slot) }
    case .max: if value > old { column.set(slot, value) } else { column.touch(slot) }
    case .sum, .count, .custom:
      guard let sum = add(old, value) else { throw overflowing(old, value) }
      column.set(slot, sum)
    }
  }

  private func overflowing(_ old: some BinaryInteger, _ value: some BinaryInteger) -> EngineError {
    EngineError(
      .valueRange,
      "state '\(name)': the sum of \(old) and \(value) is out of range for \(column.descriptor.type)")
  }
}

extension UnsafeRawBufferPointer {
  /// Negative if these bytes come before the others, 0 if they are the same.
  func order(to other: UnsafeRawBufferPointer) -> Int {
    let common = Swift.min(count, other.count)
    if common > 0 {
      let order = compareBytes(baseAddress.unsafelyUnwrapped, other.baseAddress.unsafelyUnwrapped, common)
      if order != 0 { return Int(order) }
    }
    return count - other.count
  }
}
