extension StateHandle {
  /// A cell of the state's type as it is stored; `.valueRange` if it does not fit. (Whoever calls knows an integer from bytes: the
  /// state's type says so.)
  @inline(__always)
  func checked(_ cell: StateCell) throws(EngineError) -> StateCell {
    try checked(cell, storage, column.descriptor.type)
  }

  @inline(__always)
  func checked(_ cell: StateCell, _ storage: StateStorage, _ type: @autoclosure () -> StateType) throws(EngineError)
    -> StateCell
  {
    switch storage {
    case .integer(let range):
      if !range.contains(cell.word) { throw outOfRange(cell.word, type()) }
      return cell
    case .unsigned, .double: return cell
    case .float: return StateCell(double: Double(Float(cell.double)))
    case .utf8, .bytes, .fixedBytes:
      try checkBytes(cell.bytes, storage, type())
      return cell
    }
  }

  func checkBytes(
    _ bytes: UnsafeRawBufferPointer, _ storage: StateStorage, _ type: @autoclosure () -> StateType
  ) throws(EngineError) {
    guard bytes.count <= InlineBytes.maximumCount else {
      throw EngineError(
        .valueRange, "state '\(name)': a value of \(bytes.count) bytes; the most is 4 GiB less one byte")
    }
    switch storage {
    case .fixedBytes(let width) where bytes.count != width:
      throw EngineError(.valueRange, "state '\(name)': \(bytes.count) bytes for a value of type \(type())")
    case .utf8 where !UTF8Check.isValid(bytes):
      throw EngineError(.valueRange, "state '\(name)': the bytes are not valid UTF-8")
    default: break
    }
  }

  private func outOfRange(_ value: Int64, _ type: StateType) -> EngineError {
    EngineError(.valueRange, "state '\(name)': \(value) is out of range for \(type)")
  }

  /// Runs `body`, which reads the content, with every other use of the state refused.
  @inline(__always)
  func visiting(_ body: () throws(EngineError) -> Void) throws(EngineError) {
    isVisiting = true
    defer { isVisiting = false }
    try body()
  }
}
