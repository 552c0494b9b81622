/// A row's place in the order of a serial run, as a value to compare.
struct RowPlace {
  let order: UInt32
  let detail: OrderDetail?
  /// What `detail` points into; borrowed.
  let keyBytes: UnsafePointer<UInt8>?

  var phase: UInt32 { detail?.phase ?? 0 }

  /// Below 0 if this comes before the other, 0 if only the instance can tell.
  func compare(_ other: RowPlace) -> Int {
    if order != other.order { return order < other.order ? -1 : 1 }
    guard let mine = detail, let theirs = other.detail else {
      return detail == nil ? (other.detail == nil ? 0 : -1) : 1
    }
    if mine.phase != theirs.phase { return mine.phase < theirs.phase ? -1 : 1 }
    if mine.time != theirs.time { return mine.time < theirs.time ? -1 : 1 }
    guard let mineBytes = keyBytes, let theirBytes = other.keyBytes else { return 0 }
    let common = min(mine.keyCount, theirs.keyCount)
    let order = compareBytes(mineBytes + Int(mine.keyStart), theirBytes + Int(theirs.keyStart), Int(common))
    if order != 0 { return order < 0 ? -1 : 1 }
    return mine.keyCount == theirs.keyCount ? 0 : mine.keyCount < theirs.keyCount ? -1 : 1
  }
}

/// A watermark on its way to a merged lane: after the rows of the timers that it fired, before everything later.
struct PassedMark: BitwiseCopyable {
  /// Twice the position of the record that it comes before.
  let order: UInt32
  /// Its number among the marks of the chunk, which is the phase of the timers that it fires.
  let phase: UInt32
  let watermark: Int64

  @inline(__always)
  func comesBefore(_ order: UInt32, phase: UInt32) -> Bool {
    self.order < order || (self.order == order && self.phase < phase)
  }
}

/// Goes through the rows of one instance and one output in their order.
struct RowCursor {
  let instance: Int
  let lane: InstanceLane
  /// The rows that count: all, or those before a failure.
  private(set) var end: Int
  private(set) var row = 0
  private var detail = 0
  private let orders: UnsafePointer<UInt32>
  private let keyBytes: UnsafePointer<UInt8>?

  /// `keyBytes` are those of the lane's orders, borrowed for as long as the cursor is used.
  init(_ instance: Int, _ lane: InstanceLane, keyBytes: UnsafePointer<UInt8>?) {
    self.instance = instance
    self.lane = lane
    self.keyBytes = keyBytes
    end = lane.count
    orders = lane.orders.values.baseAddress.unsafelyUnwrapped
  }

  var isAtEnd: Bool { row >= end }
  var order: UInt32 { orders[row] }

  private var currentDetail: OrderDetail? {
    let details = lane.orders.details
    guard detail < details.count, Int(details[detail].firstRow) <= row else { return nil }
    return details[detail]
  }

  var place: RowPlace { RowPlace(order: orders[row], detail: currentDetail, keyBytes: keyBytes) }

  /// The rows from here on that share this place; moves past them.
  mutating func takeEqual() -> Range<Int> {
    let start = row
    if let current = currentDetail {
      row = min(end, Int(current.firstRow + current.rowCount))
      detail += 1
    } else {
      let order = orders[row]
      let limit = detail < lane.orders.details.count ? min(end, Int(lane.orders.details[detail].firstRow)) : end
      while row < limit, orders[row] == order { row += 1 }
    }
    return start..<row
  }

  /// Moves past the rows that come before a mark.
  mutating func pass(_ mark: PassedMark) {
    while row < end {
      let order = orders[row]
      if order > mark.order { return }
      if order == mark.order, let current = currentDetail, current.phase > mark.phase { return }
      _ = takeEqual()
    }
  }

  /// Leaves out what comes after a failure.
  mutating func cut(at failed: FirstFailure) {
    let whole = self
    while !isAtEnd, failed.comesAfter(place, of: instance) { _ = takeEqual() }
    let end = row
    self = whole
    self.end = end
  }
}

/// The failure that a serial run would have come to first.
struct FirstFailure {
  let instance: Int
  let failure: InstanceFailure

  /// Nil if no instance failed.
  init?(_ results: [InstanceResult]) {
    var first: (instance: Int, failure: InstanceFailure)?
    for (instance, result) in results.enumerated() {
      guard let failure = result.failure else { continue }
      guard let known = first else {
        first = (instance, failure)
        continue
      }
      let isEarlier = FirstFailure.withPlace(failure) { mine in
        FirstFailure.withPlace(known.failure) { mine.compare($0) < 0 }
      }
      if isEarlier { first = (instance, failure) }
    }
    guard let first else { return nil }
    (instance, failure) = first
  }

  /// Whether rows of that place came before it.
  func comesAfter(_ place: RowPlace, of other: Int) -> Bool {
    let order = FirstFailure.withPlace(failure) { place.compare($0) }
    return order == 0 ? other <= instance : order < 0
  }

  /// Whether the mark was passed before it.
  func isAfter(_ mark: PassedMark) -> Bool { mark.comesBefore(failure.order, phase: failure.detail?.phase ?? 0) }

  private static func withPlace<Result>(_ failure: InstanceFailure, _ body: (RowPlace) -> Result) -> Result {
    failure.key.withUnsafeBufferPointer {
      body(RowPlace(order: failure.order, detail: failure.detail, keyBytes: $0.baseAddress))
    }
  }
}
