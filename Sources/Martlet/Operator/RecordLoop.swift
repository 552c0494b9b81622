import CMartlet

/// The loop that calls a process function for every row of a chunk: timers due? → set slot → call.
///
/// It holds plain addresses only, and its generic method is specialised where the function's type is known, so that a
/// record costs a handful of loads and stores around the function's own code and no reference counting.
@usableFromInline
struct RecordLoop {
  @usableFromInline let context: Context
  @usableFromInline let raw: UnsafeMutablePointer<martlet_context>
  @usableFromInline let batch: Unmanaged<RecordBatch>
  @usableFromInline let selection: RowSelection
  @usableFromInline let firstRecord: Int64
  @usableFromInline let timestamps: UnsafePointer<Int64>?
  @usableFromInline let keys: KeySpace
  @usableFromInline let keyRefs: UnsafePointer<KeyRef>
  /// The keys, if they are integers that are shown as they are in the batch; then `keyRefs` has none.
  @usableFromInline let integers: UnsafePointer<Int64>?
  @usableFromInline let slots: UnsafePointer<UInt32>
  /// The position of the next watermark; `Int.max` when there are no more. While processing-time timers are pending it is the
  /// next position whatever comes there, so that the clock is looked at after every record; without any this costs nothing.
  @usableFromInline let nextMark: UnsafeMutablePointer<Int>
  @usableFromInline let owner: ProcessOperator
  /// Set while the states are too large for the cache: the values of a row further down are fetched ahead.
  @usableFromInline let prefetch: StatePrefetch?
  /// Only in a parallel instance: the position of each record in the whole chunk, and where the loop says which one it is at.
  @usableFromInline let positions: UnsafePointer<UInt32>?
  @usableFromInline let order: UnsafeMutablePointer<UInt32>?

  init(
    _ owner: ProcessOperator, _ chunk: Chunk, _ keys: KeySpace, _ keyRefs: UnsafePointer<KeyRef>,
    _ integers: UnsafePointer<Int64>?, _ slots: UnsafePointer<UInt32>, nextMark: UnsafeMutablePointer<Int>,
    prefetch: StatePrefetch?
  ) {
    self.owner = owner
    context = owner.context
    raw = owner.context.raw
    batch = .passUnretained(chunk.batch)
    selection = chunk.selection
    firstRecord = chunk.firstRecord
    timestamps = chunk.timestamps
    self.keys = keys
    self.keyRefs = keyRefs
    self.integers = integers
    self.slots = slots
    self.nextMark = nextMark
    self.prefetch = prefetch
    positions = chunk.ordered?.positions
    order = owner.orders?.order
  }

  @inlinable
  func run<Function: ProcessFunction>(_ function: UnsafeMutablePointer<Function>) throws {
    if function.pointee.takesSlices { return try runSlices(function) }
    if !owner.arePoliciesPlain { return try runGuarded(function) }
    if positions != nil { return try runOrdered(function) }
    var next = 0
    // The plain case has a loop of its own, in which the tests for everything else are constants.
    if isPlain { next = try runPlain(function) }
    if next < selection.count { _ = try rows(function, from: next, prefetch) }
    if nextMark.pointee != Int.max { try owner.passMarks(at: selection.count) }
  }

  @inlinable @inline(__always)
  func rows<Function: ProcessFunction>(
    _ function: UnsafeMutablePointer<Function>, from start: Int, areOrdered: Bool = false,
    _ prefetch: StatePrefetch?
  ) throws -> Int {
    let key = Key(raw.pointee.key, Int(raw.pointee.key_parts))
    let handle = OpaquePointer(batch.toOpaque())
    let shown = keys.parts
    var position = start
    while position < selection.count {
      let index = position
      position &+= 1
      if index >= nextMark.pointee {
        if areOrdered { try owner.passOrderedMarks(at: index) } else { try owner.passMarks(at: index) }
      }
      if areOrdered { order.unsafelyUnwrapped.pointee = positions.unsafelyUnwrapped[index] &* 2 &+ 1 }
      if let prefetch, index &+ StatePrefetch.distance < selection.count {
        prefetch.fetch(slots[index &+ StatePrefetch.distance])
      }
      let slot = slots[index]
      let row = selection[index]
      raw.pointee.row = Int64(row)
      raw.pointee.record = firstRecord &+ Int64(row)
      if _slowPath(slot == Slot.none) {
        try owner.skipNullKey()
        continue
      }
      raw.pointee.batch = handle
      raw.pointee.slot = slot
      if let integers {
        shown.pointee.integer = integers[index]
      } else {
        keys.show(keyRefs[index])
      }
      if let timestamps {
        let timestamp = timestamps[index]
        raw.pointee.timestamp = timestamp
        let isLate = timestamp <= raw.pointee.watermark && timestamp != EventTime.none
        raw.pointee.is_late = isLate ? 1 : 0
        if isLate { owner.countLate() }
      }
      try function.pointee.onEvent(key: key, batch: Record(batch, row), row: 0, context: context)
    }
    return position
  }
}

extension RecordLoop {
  /// Makes the key of a row of the selection the one the context shows.
  @inline(__always)
  func showKey(_ index: Int) {
    if let integers { keys.parts.pointee.integer = integers[index] } else { keys.show(keyRefs[index]) }
  }
}

/// The calls into one process function, made where its type is known.
@usableFromInline
package struct FunctionCalls {
  let open: (Context) throws -> Void
  let willProcess: (RecordBatch?, Context) throws -> Void
  let run: (RecordLoop) throws -> Void
  let onTimer: (Key, Int64, Context) throws -> Void
  let describe: (any Error, Context) -> FailureDetails
  let didProcess: (Context) -> Void
  /// nil if the function does not want to know of the end of its keys.
  let onEnd: ((Key, Context) throws -> Void)?
  let close: (Context) throws -> Void
  /// nil if the function takes one input.
  @usableFromInline var runMerged: ((MergedLoop) throws -> Void)?

  @usableFromInline
  init(
    open: @escaping (Context) throws -> Void, willProcess: @escaping (RecordBatch?, Context) throws -> Void,
    run: @escaping (RecordLoop) throws -> Void, onTimer: @escaping (Key, Int64, Context) throws -> Void,
    describe: @escaping (any Error, Context) -> FailureDetails,
    didProcess: @escaping (Context) -> Void, onEnd: ((Key, Context) throws -> Void)?,
    close: @escaping (Context) throws -> Void
  ) {
    self.open = open
    self.willProcess = willProcess
    self.run = run
    self.onTimer = onTimer
    self.describe = describe
    self.didProcess = didProcess
    self.onEnd = onEnd
    self.close = close
  }

  @inlinable
  package init<Function: ProcessFunction>(_ function: Function) {
    // Behind an address and not in a class: a timer that fires between two records enters the function while the loop
    // is inside this closure, which Swift would take for two overlapping accesses to a class property.
    self.init(FunctionBox(function))
  }

  @inlinable
  init<Function: ProcessFunction>(_ box: FunctionBox<Function>) {
    self.init(
      open: { try box.function.pointee.open(context: $0) },
      willProcess: { try box.function.pointee.willProcess(batch: $0, context: $1) },
      run: { try $0.run(box.function) },
      onTimer: { try box.function.pointee.onTimer(key: $0, fireTime: $1, context: $2) },
      describe: { box.function.pointee.describe($0, context: $1) },
      didProcess: { box.function.pointee.didProcess(context: $0) },
      onEnd: FunctionCalls.onEnd(box),
      close: { try box.function.pointee.close(context: $0) })
  }
}

@usableFromInline
final class FunctionBox<Function> {
  @usableFromInline let function: UnsafeMutablePointer<Function>

  @usableFromInline
  init(_ function: Function) {
    self.function = .allocate(capacity: 1)
    self.function.initialize(to: function)
  }

  deinit {
    function.deinitialize(count: 1)
    function.deallocate()
  }
}
