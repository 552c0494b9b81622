import Testing

@testable import Martlet

/// States as bindings use them: every storage, its range, and what does not fit.
@Suite struct StateHandleTests {
  static let integers: [(DataType, ClosedRange<Int64>)] = [
    (.bool, 0...1), (.int8, -128...127), (.int16, -32768...32767), (.int32, Int64(Int32.min)...Int64(Int32.max)),
    (.int64, .min ... .max), (.uint8, 0...255), (.uint16, 0...65535), (.uint32, 0...Int64(UInt32.max)),
    (.uint64, 0 ... .max), (.date32, Int64(Int32.min)...Int64(Int32.max)), (.date64, .min ... .max),
    (.time32(.second), Int64(Int32.min)...Int64(Int32.max)), (.time64(.nano), .min ... .max),
    (.timestamp(.micro, timezone: "UTC"), .min ... .max), (.duration(.milli), .min ... .max),
  ]

  @Test(arguments: integers)
  func integersKeepToTheirRange(_ type: DataType, _ range: ClosedRange<Int64>) throws {
    let rig = try StateRig([.typed(type)])
    let state = rig.handle()
    #expect(try state.getInteger() == nil && !state.exists())
    for value in [range.lowerBound, range.upperBound, 0] {
      try state.setInteger(value)
      #expect(try state.getInteger() == value && state.exists())
    }
    for value in [range.lowerBound.subtractingReportingOverflow(1), range.upperBound.addingReportingOverflow(1)]
    where !value.overflow {
      let error = #expect(throws: EngineError.self) { try state.setInteger(value.partialValue) }
      #expect(
        error?.kind == .valueRange && error.says("'s0'") && error.says("\(value.partialValue)") && error.says("\(type)")
      )
      #expect(try state.getInteger() == 0, "a refused value changes nothing")
    }
    try state.clear()
    #expect(try state.getInteger() == nil && !state.exists())
  }

  @Test func unsigned() throws {
    let rig = try StateRig([.typed(.uint64), .typed(.int64), .typed(.uint8)])
    try rig.handle(0).setUnsigned(.max)
    #expect(try rig.handle(0).getInteger() == -1)
    try rig.handle(1).setUnsigned(7)
    #expect(try rig.handle(1).getInteger() == 7)
    for (index, value) in [(1, UInt64.max), (2, 256)] {
      let error = #expect(throws: EngineError.self) { try rig.handle(index).setUnsigned(value) }
      #expect(error?.kind == .valueRange && error.says("\(value)"))
    }
    let error = #expect(throws: EngineError.self) { try rig.handle(0).setInteger(-1) }
    #expect(error?.kind == .valueRange)
  }

  @Test func floats() throws {
    let rig = try StateRig([.typed(.float64), .typed(.float32)])
    for value in [0.1, -0.0, .infinity, 1e300, .leastNonzeroMagnitude] {
      try rig.handle(0).setDouble(value)
      #expect(try rig.handle(0).getDouble()?.bitPattern == value.bitPattern)
      try rig.handle(1).setDouble(value)
      #expect(try rig.handle(1).getDouble() == Double(Float(value)), "what a float32 column would hold")
    }
    try rig.handle(0).setDouble(.nan)
    #expect(try rig.handle(0).getDouble()?.isNaN == true)
  }

  @Test(arguments: [StateType.typed(.utf8), .typed(.largeUtf8), .typed(.binary), .typed(.binaryView), .encoded])
  func bytesOfAnyLength(_ type: StateType) throws {
    let rig = try StateRig([type])
    for length in [0, 1, 12, 13, 1000, 13, 12, 100_000, 0] {
      let value = (0..<length).map { UInt8(truncatingIfNeeded: $0 % 90 + 33) }
      try rig.handle().set(value)
      #expect(try rig.handle().bytes() == value)
    }
    try rig.handle().clear()
    #expect(try rig.handle().bytes() == nil)
  }

  @Test func bytesThatDoNotFit() throws {
    let rig = try StateRig([
      .typed(.utf8), .typed(.fixedSizeBinary(3)), .typed(.decimal128(precision: 5, scale: 1)), .typed(.binary),
    ])
    for (index, value) in [
      (0, [0xFF]), (0, [0xC0, 0x80]), (1, [1, 2]), (2, [1]), (2, Array(repeating: 0, count: 17)),
    ]
      as [(Int, [UInt8])]
    {
      let error = #expect(throws: EngineError.self) { try rig.handle(index).set(value) }
      #expect(error?.kind == .valueRange && error.says("'s\(index)'"))
      #expect(try rig.handle(index).bytes() == nil)
    }
    try rig.handle(1).set([1, 2, 3])
    try rig.handle(2).set(Array(repeating: 9, count: 16))
    try rig.handle(3).set([0xFF])
  }

  @Test func wrongStorage() throws {
    let rig = try StateRig([.typed(.int64), .typed(.float64), .typed(.utf8), .encoded])
    for index in 0..<4 {
      let state = rig.handle(index)
      let calls: [(fits: Bool, call: () throws -> Void)] = [
        (index == 0, { _ = try state.getInteger() }), (index == 0, { try state.setInteger(1) }),
        (index == 0, { try state.setUnsigned(1) }), (index == 1, { _ = try state.getDouble() }),
        (index == 1, { try state.setDouble(1) }), (index >= 2, { _ = try state.bytes() }),
        (index >= 2, { try state.set([1]) }),
      ]
      for (position, call) in calls.enumerated() {
        do {
          try call.call()
          #expect(call.fits, "state \(index), call \(position)")
        } catch let error as EngineError {
          #expect(!call.fits && error.kind == .schemaMismatch && error.message.contains("'s\(index)'"))
        }
      }
    }
  }

  @Test func noCurrentKey() throws {
    let rig = try StateRig([.typed(.int64), .typed(.float32), .encoded])
    rig.call.pointee.slot = Slot.none
    let calls: [() throws -> Void] = [
      { _ = try rig.handle().getInteger() }, { try rig.handle().setInteger(1) }, { _ = try rig.handle().exists() },
      { try rig.handle().clear() }, { try rig.handle(1).setDouble(1) }, { try rig.handle(2).set([]) },
    ]
    for call in calls {
      let error = #expect(throws: EngineError.self) { try call() }
      #expect(error?.kind == .stateAccess && error.says("on_event"))
    }
  }

  @Test func declarations() throws {
    for type in [DataType.null, .float16, .list(Field("item", .int8)), .decimal256(precision: 40, scale: 0)] {
      let error = #expect(throws: EngineError.self) { try StateDescriptor("s", .typed(type)) }
      #expect(error?.kind == .invalidArgument && error.says("'s'") && error.says("\(type)"))
    }
    #expect(throws: EngineError.self) { try StateDescriptor("", .encoded) }
    let twice = [try StateDescriptor("s", .encoded), try StateDescriptor("s", .typed(.int8))]
    let error = #expect(throws: EngineError.self) { try StateTable.checkNames(twice) }
    #expect(error?.kind == .invalidArgument && error.says("'s'"))
  }
}
