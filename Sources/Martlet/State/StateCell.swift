/// A value on its way in or out of a list, map or reducing state: 64 bits, or borrowed bytes. Which of the two is decided by
/// the state's type.
public struct StateCell: BitwiseCopyable {
  @usableFromInline package var word: Int64
  @usableFromInline package var bytes: UnsafeRawBufferPointer

  @inlinable @inline(__always)
  package init(word: Int64) {
    self.word = word
    bytes = UnsafeRawBufferPointer(start: nil, count: 0)
  }

  @inlinable @inline(__always)
  package init(bytes: UnsafeRawBufferPointer) {
    word = 0
    self.bytes = bytes
  }

  @inline(__always)
  package init(double: Double) { self.init(word: Int64(bitPattern: double.bitPattern)) }

  @inline(__always)
  package var double: Double { Double(bitPattern: UInt64(bitPattern: word)) }
}

/// How cells of one type lie in memory: 8 bytes for integers and floats, an `InlineBytes` for the rest.
struct CellForm {
  let isBytes: Bool

  init(_ type: StateType) {
    switch StateStorage(type) {
    case .integer, .unsigned, .double, .float: isBytes = false
    case .utf8, .bytes, .fixedBytes, nil: isBytes = true
    }
  }

  var stride: Int { isBytes ? 16 : 8 }

  @inline(__always)
  func load(_ address: UnsafeMutableRawPointer) -> StateCell {
    if isBytes { return StateCell(bytes: address.assumingMemoryBound(to: InlineBytes.self).bytes) }
    return StateCell(word: address.load(as: Int64.self))
  }

  /// Writes a cell where there is none.
  @inline(__always)
  func initialize(_ address: UnsafeMutableRawPointer, _ cell: StateCell) {
    if isBytes {
      address.storeBytes(of: CellForm.owned(cell.bytes), as: InlineBytes.self)
    } else {
      address.storeBytes(of: cell.word, as: Int64.self)
    }
  }

  /// Replaces a cell.
  @inline(__always)
  func assign(_ address: UnsafeMutableRawPointer, _ cell: StateCell) {
    if isBytes {
      let old = address.assumingMemoryBound(to: InlineBytes.self)
      old.pointee.assign(cell.bytes.baseAddress ?? UnsafeRawPointer(address), cell.bytes.count)
    } else {
      address.storeBytes(of: cell.word, as: Int64.self)
    }
  }

  @inline(__always)
  func release(_ address: UnsafeMutableRawPointer) {
    if isBytes { address.assumingMemoryBound(to: InlineBytes.self).pointee.release() }
  }

  /// The cell's memory as a record of the journal keeps it; the cell is left without an owner.
  func take(_ address: UnsafeMutableRawPointer) -> (UInt64, UInt64) {
    (address.load(as: UInt64.self), isBytes ? address.load(fromByteOffset: 8, as: UInt64.self) : 0)
  }

  func put(_ address: UnsafeMutableRawPointer, _ value: (UInt64, UInt64)) {
    address.storeBytes(of: value.0, as: UInt64.self)
    if isBytes { address.storeBytes(of: value.1, toByteOffset: 8, as: UInt64.self) }
  }

  /// Frees a cell that `take` gave.
  func release(_ value: (UInt64, UInt64)) {
    guard isBytes else { return }
    var bytes = InlineBytes(word0: value.0, word1: value.1)
    bytes.release()
  }

  func blockBytes(_ address: UnsafeMutableRawPointer) -> Int {
    isBytes ? address.assumingMemoryBound(to: InlineBytes.self).pointee.blockBytes : 0
  }

  static func owned(_ bytes: UnsafeRawBufferPointer) -> InlineBytes {
    guard let base = bytes.baseAddress, bytes.count > 0 else { return .empty }
    return InlineBytes(copying: base, bytes.count)
  }
}
