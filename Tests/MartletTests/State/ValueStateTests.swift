import Testing

@testable import Martlet

/// Typed states in a Swift function: every type that one can hold.
@Suite struct ValueStateTests {
  struct AllTypes: ProcessFunction {
    let i8 = ValueState<Int8>("i8")
    let i16 = ValueState<Int16>("i16")
    let i32 = ValueState<Int32>("i32")
    let i64 = ValueState<Int64>("i64")
    let int = ValueState<Int>("int")
    let u8 = ValueState<UInt8>("u8")
    let u16 = ValueState<UInt16>("u16")
    let u32 = ValueState<UInt32>("u32")
    let u64 = ValueState<UInt64>("u64")
    let bool = ValueState<Bool>("bool")
    let float = ValueState<Float>("float")
    let double = ValueState<Double>("double")
    let string = ValueState<String>("string")
    let bytes = ValueState<[UInt8]>("bytes")

    func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
      check(i8, .min, .max)
      check(i16, .min, .max)
      check(i32, .min, .max)
      check(i64, .min, .max)
      check(int, .min, .max)
      check(u8, .min, .max)
      check(u16, .min, .max)
      check(u32, .min, .max)
      check(u64, .min, .max)
      check(bool, false, true)
      check(float, -.greatestFiniteMagnitude, 0.1)
      check(double, -.greatestFiniteMagnitude, 0.1)
      check(string, "", String(repeating: "né ", count: 100))
      check(bytes, [], Array(repeating: 255, count: 13))
    }

    private func check<Value: StateValue & Equatable>(_ state: ValueState<Value>, _ values: Value...) {
      #expect(state.get() == nil && !state.exists())
      for value in values {
        state.set(value)
        #expect(state.get() == value && state.exists())
      }
      state.clear()
      #expect(state.get() == nil && !state.exists())
    }
  }

  @Test func everyType() throws {
    let rig = try OperatorRig(AllTypes())
    try rig.run("a@0 b@0 a@1")
    #expect(rig.process.counters.keys == 0)
  }

  /// Each key has its own value, and none sees another's, also when the columns grow in between.
  @Test func valuesBelongToKeys() throws {
    struct Count: ProcessFunction {
      let count = ValueState<Int64>("count")
      let label = ValueState<String>("label")
      let out = OutputColumn<String>("out")
      func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
        let n = (count.get() ?? 0) + 1
        count.set(n)
        label.set((label.get() ?? key.string) + "+")
        out.set("\(label.get()!)\(n)")
        try context.emit()
      }
    }
    let rig = try OperatorRig(Count())
    #expect(try rig.run("a@0 b@0 a@0") == "a+1@0 b+1@0 a++2@0")
    let many = (0..<5000).map { "k\($0)@0" }.joined(separator: " ")
    try rig.run(Timeline(stringLiteral: many))
    #expect(try rig.run("b@0 k17@0 a@0") == "b++2@0 k17++2@0 a+++3@0")
  }

  /// A state that is given beside the function works as one that is a property of it; two of one name are refused.
  @Test func statesBesideTheFunction() throws {
    final class Forwarding: ProcessFunction {
      let state: ValueState<Int64>
      init(_ state: ValueState<Int64>) { self.state = state }
      func onEvent(key: Key, batch: Record, row: Int, context: Context) throws { state.set((state.get() ?? 0) + 1) }
    }
    let state = ValueState<Int64>("n")
    let spec = try ProcessSpec(
      name: nil, keyColumns: ["k"], Forwarding(state), states: [state, ValueState<Bool>("other")], outputSchema: nil)
    #expect(spec.states.map(\.name) == ["n", "other"] && spec.name == "Forwarding")
    let clash = try ProcessSpec(
      name: nil, keyColumns: ["k"], Forwarding(state), states: [ValueState<Bool>("n")], outputSchema: nil)
    let error = #expect(throws: EngineError.self) { try ProcessOperator(clash, nullKeys: .raise) }
    #expect(error?.kind == .invalidArgument && error.says("'n'"))
  }
}
