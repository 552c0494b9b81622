import CMartlet
import Martlet

// martlet_value (the struct) to the engine's cells and back.

extension StateHandle {
  /// A value of the state's type.
  @inline(__always)
  func cell(_ value: UnsafePointer<martlet_value>?) throws(EngineError) -> StateCell {
    guard let value else { throw missing("value") }
    if valuesAreFloats { return StateCell(double: value.pointee.real) }
    return valuesAreBytes ? try StateCell(value) : StateCell(word: value.pointee.integer)
  }

  /// A key of the map.
  @inline(__always)
  func key(_ key: UnsafePointer<martlet_value>?) throws(EngineError) -> StateCell {
    guard let key else { throw missing("key") }
    return keysAreBytes ? try StateCell(key) : StateCell(word: key.pointee.integer)
  }

  @inline(__always)
  func value(_ cell: StateCell) -> martlet_value {
    valuesAreFloats ? martlet_value(integer: 0, real: cell.double, bytes: nil, length: 0) : martlet_value(cell)
  }
}

extension StateCell {
  @inline(__always)
  init(_ value: UnsafePointer<martlet_value>) throws(EngineError) {
    guard value.pointee.length == 0 || value.pointee.bytes != nil else { throw missing("martlet_value.bytes") }
    self.init(bytes: UnsafeRawBufferPointer(start: value.pointee.bytes, count: value.pointee.length))
  }
}

extension martlet_value {
  @inline(__always)
  init(_ cell: StateCell) {
    self.init(
      integer: cell.word, real: 0, bytes: cell.bytes.baseAddress?.assumingMemoryBound(to: UInt8.self),
      length: cell.bytes.count)
  }
}

/// A visitor said stop.
func visitorFailed() -> EngineError { EngineError(.callbackFailed, "the visitor returned a status other than 0") }
