import CMartlet

/// A column of one number per key, by its addresses: what a store's rows are made of and filled into many at a time. Valid until the
/// column grows.
struct WordColumn {
  let number: UInt16
  private let present: UnsafeMutablePointer<UInt8>
  private let values: UnsafeMutablePointer<UInt64>
  private let stamps: UnsafeMutablePointer<Int64>?
  private let live: UnsafeMutablePointer<UInt32>

  fileprivate init(_ column: ValueStateColumn, _ number: UInt16, _ values: UnsafeMutableRawPointer) {
    self.number = number
    present = column.present
    self.values = values.assumingMemoryBound(to: UInt64.self)
    stamps = column.stamps
    live = column.slots.live
  }

  @inline(__always)
  func prefetch(_ slot: UInt32) {
    martlet_prefetch(present + Int(slot))
    martlet_prefetch(values + Int(slot))
  }

  private var form: UInt8 { stamps == nil ? StateRow.word : StateRow.timedWord }
  private var size: Int { StateRow.shortHeadSize + (stamps == nil ? 8 : 16) }

  /// Bytes of the slot's part of a row; 0 if it holds nothing.
  @inline(__always)
  func size(of slot: UInt32) -> Int { present[Int(slot)] == 0 ? 0 : size }

  /// Writes the slot's part, if it holds something, and gives where it ends.
  @inline(__always)
  func write(_ slot: UInt32, to place: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
    if present[Int(slot)] == 0 { return place }
    place.storeBytes(of: number.littleEndian, as: UInt16.self)
    place.storeBytes(of: form, toByteOffset: 2, as: UInt8.self)
    place.storeBytes(of: values[Int(slot)].littleEndian, toByteOffset: 3, as: UInt64.self)
    if let stamps { place.storeBytes(of: stamps[Int(slot)].littleEndian, toByteOffset: 11, as: Int64.self) }
    return place + size
  }

  func append(_ slot: UInt32, to bytes: inout [UInt8]) {
    withUnsafeTemporaryAllocation(byteCount: size, alignment: 8) { buffer in
      guard let start = buffer.baseAddress else { return }
      let end = write(slot, to: start)
      bytes.append(contentsOf: UnsafeRawBufferPointer(start: start, count: end - start))
    }
  }

  /// Fills the slot, which is empty, from the part of a row that begins at `place`, and gives where it ends; nil, with nothing done, if
  /// that is not a part of this state in this form, or the row ends before it.
  @inline(__always)
  func read(_ slot: UInt32, _ place: UnsafeRawPointer, before end: UnsafeRawPointer) -> UnsafeRawPointer? {
    guard end - place >= size, UInt16(littleEndian: place.loadUnaligned(as: UInt16.self)) == number,
      place.load(fromByteOffset: 2, as: UInt8.self) == form, present[Int(slot)] == 0
    else { return nil }
    present[Int(slot)] = 1
    live[Int(slot)] &+= 1
    values[Int(slot)] = UInt64(littleEndian: place.loadUnaligned(fromByteOffset: 3, as: UInt64.self))
    stamps?[Int(slot)] = Int64(littleEndian: place.loadUnaligned(fromByteOffset: 11, as: Int64.self))
    return place + size
  }

  /// Forgets what the slot holds. That nothing may keep it alive any more is for the caller to see.
  @inline(__always)
  func forget(_ slot: UInt32) {
    if present[Int(slot)] == 0 { return }
    present[Int(slot)] = 0
    live[Int(slot)] &-= 1
  }
}

extension ValueStateColumn {
  /// nil unless its values are numbers.
  final func words(_ number: UInt16) -> WordColumn? {
    switch self {
    case let integers as FixedStateColumn<Int64>: WordColumn(self, number, integers.values)
    case let doubles as FixedStateColumn<Double>: WordColumn(self, number, doubles.values)
    default: nil
    }
  }
}
