import CMartlet

@testable import Martlet

/// State columns of one operator, and the place in the context that says whose state is current.
final class StateRig {
  let slots = SlotAllocator(holdsBytes: false)
  let table: StateTable
  let call: UnsafeMutablePointer<martlet_context>

  let clock = ManualClock()

  convenience init(_ types: [StateType], slots count: Int = 10) throws {
    var descriptors: [StateDescriptor] = []
    for (index, type) in types.enumerated() { descriptors.append(try StateDescriptor("s\(index)", type)) }
    self.init(descriptors, slots: count)
  }

  init(_ descriptors: [StateDescriptor], slots count: Int = 10, undoable: Bool = false) {
    call = .allocate(capacity: 1)
    call.initialize(to: martlet_context())
    call.pointee.slot = 0
    call.pointee.watermark = EventTime.min
    call.pointee.timestamp = EventTime.none
    table = StateTable(descriptors, slots, StateTime(clock, call), undoable: undoable)
    grow(to: count)
  }

  deinit { call.deallocate() }

  func grow(to count: Int) {
    while slots.slotCount < count { _ = slots.allocate() }
    _ = table.reserve()
  }

  func handle(_ index: Int = 0) -> StateHandle { StateHandle(table.columns[index], cursor: call) }
}

extension StateHandle {
  func set(_ bytes: [UInt8]) throws(EngineError) {
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    defer { copy.deallocate() }
    copy.copyBytes(from: bytes)
    try setBytes(UnsafeRawBufferPointer(copy))
  }

  func bytes() throws(EngineError) -> [UInt8]? { try getBytes().map { [UInt8]($0) } }
}
