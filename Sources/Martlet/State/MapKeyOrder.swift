/// Turns a map's keys into what the ordered table compares, and back, so that its plain comparison of integers or bytes is the
/// order of the values.
struct MapKeyOrder {
  private enum Form { case plain, unsigned, decimal }
  private let form: Form
  /// Encoded decimals: a key, a second key, and one on its way out.
  private let buffer: UnsafeMutableRawPointer

  init(_ type: StateType) {
    switch type {
    case .typed(.uint64): form = .unsigned
    case .typed(.decimal128): form = .decimal
    default: form = .plain
    }
    buffer = allocateBytes(48)
  }

  func freeBuffer() { freeBytes(buffer) }

  /// The key as the table holds it; a decimal's bytes are valid until the next call with the same `place`, 0 or 1.
  @inline(__always)
  func stored(_ key: StateCell, place: Int = 0) -> StateCell {
    if form == .plain { return key }
    return form == .unsigned ? StateCell(word: key.word ^ Int64.min) : encoded(key, place)
  }

  /// The key as the caller knows it; a decimal's bytes are valid until the next call.
  @inline(__always)
  func shown(_ key: StateCell) -> StateCell {
    if form == .plain { return key }
    if form == .unsigned { return StateCell(word: key.word ^ Int64.min) }
    for index in 0..<16 { buffer.storeBytes(of: key.bytes[15 - index], toByteOffset: 32 + index, as: UInt8.self) }
    flipSign(47)
    return StateCell(bytes: UnsafeRawBufferPointer(start: buffer + 32, count: 16))
  }

  /// Little-endian two's complement to big-endian with the sign flipped.
  private func encoded(_ key: StateCell, _ place: Int) -> StateCell {
    let start = 16 * place
    for index in 0..<16 { buffer.storeBytes(of: key.bytes[15 - index], toByteOffset: start + index, as: UInt8.self) }
    flipSign(start)
    return StateCell(bytes: UnsafeRawBufferPointer(start: buffer + start, count: 16))
  }

  private func flipSign(_ offset: Int) {
    buffer.storeBytes(
      of: buffer.load(fromByteOffset: offset, as: UInt8.self) ^ 0x80, toByteOffset: offset, as: UInt8.self)
  }
}
