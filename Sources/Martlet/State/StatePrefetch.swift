import CMartlet

/// Fetches a slot's value into the cache some rows before it is needed. With it and the plain loop of `RecordLoop` a counter's
/// record at 100 k keys went from 16.8 to 14.0 ns.
@usableFromInline
struct StatePrefetch {
  /// How many rows ahead: far enough for a miss to be over, near enough for the line to be still there.
  @usableFromInline static let distance = 16
  /// Below so many slots the values stay in the first-level cache, and fetching ahead is a nanosecond wasted.
  static let smallestTable = 4096

  @usableFromInline let present: UnsafeRawPointer
  @usableFromInline let values: UnsafeRawPointer
  @usableFromInline let stride: Int

  @usableFromInline
  init(present: UnsafeRawPointer, values: UnsafeRawPointer, stride: Int) {
    self.present = present
    self.values = values
    self.stride = stride
  }

  /// Any slot may be asked for, also `Slot.none`: fetching an address that is not mapped does nothing.
  @inlinable @inline(__always)
  func fetch(_ slot: UInt32) {
    martlet_prefetch(present + Int(slot))
    martlet_prefetch(values + Int(slot) &* stride)
  }
}
