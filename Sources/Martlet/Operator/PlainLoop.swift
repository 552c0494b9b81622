import CMartlet

// The record loop of the plain case: no event time, no policies, one instance, all rows of a range. It is a loop of its own for every
// kind of key, told apart by types and not by flags: the optimiser left flags as tests in the loop, though all of them were constants. Records of
// 1000 keys went from 7.0 to 6.6 ns (two fields), 5.1 to 4.5 (the record emitted) and, of string keys, 11.3 to 10.1.

/// Where the key of a row is, and how the context shows it.
@usableFromInline
protocol PlainKeys {
  /// Whether a row may have none.
  static var mayBeNull: Bool { get }
  func show(_ index: Int, _ part: UnsafeMutablePointer<martlet_key_part>)
}

/// A column of integers that are shown as they are, without nulls (`KeyReader.integersInPlace`).
@usableFromInline
struct PlainColumnKeys: PlainKeys {
  @inlinable @inline(__always)
  static var mayBeNull: Bool { false }
  @usableFromInline let column: UnsafePointer<Int64>

  @inlinable @inline(__always)
  init(_ column: UnsafePointer<Int64>) { self.column = column }

  @inlinable @inline(__always)
  func show(_ index: Int, _ part: UnsafeMutablePointer<martlet_key_part>) { part.pointee.integer = column[index] }
}

/// Other integers.
@usableFromInline
struct PlainIntegerKeys: PlainKeys {
  @inlinable @inline(__always)
  static var mayBeNull: Bool { true }
  @usableFromInline let refs: UnsafePointer<KeyRef>

  @inlinable @inline(__always)
  init(_ refs: UnsafePointer<KeyRef>) { self.refs = refs }

  @inlinable @inline(__always)
  func show(_ index: Int, _ part: UnsafeMutablePointer<martlet_key_part>) { part.pointee.integer = refs[index].integer }
}

@usableFromInline
struct PlainBytesKeys: PlainKeys {
  @inlinable @inline(__always)
  static var mayBeNull: Bool { true }
  @usableFromInline let refs: UnsafePointer<KeyRef>

  @inlinable @inline(__always)
  init(_ refs: UnsafePointer<KeyRef>) { self.refs = refs }

  @inlinable @inline(__always)
  func show(_ index: Int, _ part: UnsafeMutablePointer<martlet_key_part>) {
    part.pointee.bytes = refs[index].bytes.assumingMemoryBound(to: UInt8.self)
    part.pointee.length = Int64(refs[index].count)
  }
}

/// What is fetched for rows further down.
@usableFromInline
protocol FetchAhead {
  func fetch(_ slots: UnsafePointer<UInt32>)
}

@usableFromInline
struct FetchNothing: FetchAhead {
  @inlinable @inline(__always)
  init() {}

  @inlinable @inline(__always)
  func fetch(_ slots: UnsafePointer<UInt32>) {}
}

extension StatePrefetch: FetchAhead {
  /// For the row whose slot is the first. That there are so many slots more is for `ChunkScratch` to see.
  @inlinable @inline(__always)
  func fetch(_ slots: UnsafePointer<UInt32>) { fetch(slots[StatePrefetch.distance]) }
}

extension RecordLoop {
  /// Whether `runPlain` will do for the chunk.
  @inlinable @inline(__always)
  var isPlain: Bool {
    timestamps == nil && selection.rows == nil && nextMark.pointee == Int.max
      && (keys.showsDirectly == .integer || keys.showsDirectly == .bytes)
  }

  /// Calls the function for the rows, at most all of them: where it ends before, there are marks to pass from then on. Gives the number of
  /// the next row.
  @inlinable
  func runPlain<Function: ProcessFunction>(_ function: UnsafeMutablePointer<Function>) throws -> Int {
    // The mark is the bound of this loop, so that a processing-time timer that a record registers ends it.
    nextMark.pointee = selection.count
    let next =
      if let integers {
        try plainRows(function, PlainColumnKeys(integers))
      } else if keys.showsDirectly == .integer {
        try plainRows(function, PlainIntegerKeys(keyRefs))
      } else {
        try plainRows(function, PlainBytesKeys(keyRefs))
      }
    if nextMark.pointee == selection.count { nextMark.pointee = Int.max }
    return next
  }

  @inlinable @inline(__always)
  func plainRows<Function: ProcessFunction, Keys: PlainKeys>(
    _ function: UnsafeMutablePointer<Function>, _ keys: Keys
  ) throws -> Int {
    if let prefetch { return try plainRows(function, keys, prefetch) }
    return try plainRows(function, keys, FetchNothing())
  }

  @inlinable
  func plainRows<Function: ProcessFunction, Keys: PlainKeys, Ahead: FetchAhead>(
    _ function: UnsafeMutablePointer<Function>, _ keys: Keys, _ ahead: Ahead
  ) throws -> Int {
    let (raw, slots, nextMark, batch, context) = (raw, slots, nextMark, batch, context)
    let part = self.keys.parts
    let key = Key(part, Int(raw.pointee.key_parts))
    let firstRow = selection.start
    // Row and record lie side by side in the context: one store for both, out of a register. The loop is bound by how often it goes to
    // memory; with this, and no test for keys that cannot be null, a counter's record with two fields took 5.9 ns, 6.2 before.
    let place = UnsafeMutableRawPointer(raw) + MemoryLayout<martlet_context>.offset(of: \.row).unsafelyUnwrapped
    var numbers = SIMD2(Int64(firstRow), firstRecord &+ Int64(firstRow))
    raw.pointee.batch = OpaquePointer(batch.toOpaque())
    // In registers instead of behind an address, which any store of a record might have changed. Nobody else looks at the function
    // meanwhile: no timer fires within this loop.
    var local = function.move()
    defer { function.initialize(to: local) }
    var index = 0
    while index < nextMark.pointee {
      let row = index
      index &+= 1
      ahead.fetch(slots + row)
      let slot = slots[row]
      place.storeBytes(of: numbers, as: SIMD2<Int64>.self)
      numbers &+= SIMD2(repeating: 1)
      if Keys.mayBeNull, _slowPath(slot == Slot.none) {
        try owner.skipNullKey()
        continue
      }
      raw.pointee.slot = slot
      keys.show(row, part)
      try local.onEvent(key: key, batch: Record(batch, firstRow &+ row), row: 0, context: context)
    }
    return index
  }
}
