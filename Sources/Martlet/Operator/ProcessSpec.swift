/// Everything that describes one process operator before it runs.
@usableFromInline
package struct ProcessSpec {
  var name: String
  /// Of the only, or left, input. Empty for a broadcast whose main stream has no key.
  var keyColumns: [String]
  @usableFromInline package var kind = OperatorKind.process
  /// Of the right input of a connect.
  @usableFromInline package var rightKeyColumns: [String] = []
  var states: [StateDescriptor]
  var outputSchema: Schema?
  /// Side outputs with a declared schema, by tag.
  package var sideSchemas: [(tag: String, schema: Schema)] = []
  var handles: FunctionHandles
  var calls: FunctionCalls
  /// Makes the function of a further parallel instance, with states and columns of its own.
  @usableFromInline package var makeInstance: ((_ instance: Int32) throws -> ProcessSpec)?

  /// For a Swift function: states and columns are its stored properties and those in `extraStates`.
  @inlinable
  init<Function: ProcessFunction>(
    name: String?, keyColumns: [String], _ function: Function, states: [AnyState], outputSchema: Schema?
  ) throws(EngineError) {
    let handles = FunctionHandles(of: function, states)
    try self.init(
      name: name ?? String(describing: Function.self), keyColumns: keyColumns, handles: handles,
      outputSchema: outputSchema, calls: FunctionCalls(function))
  }

  /// The same for a function of two inputs. `broadcastStates` are those that its broadcast side may write, none for all it has: each is
  /// a stored property of the function, recognised by its name, or a state of its own.
  @inlinable
  init<Function: TwoInputFunction>(
    twoInputs function: Function, name: String?, keyColumns: [String], states: [AnyState],
    broadcastStates: [AnyState] = [], outputSchema: Schema?
  ) throws(EngineError) {
    let name = name ?? String(describing: Function.self)
    let handles = try FunctionHandles(of: function, states).adding(broadcastStates, name)
    try self.init(
      name: name, keyColumns: keyColumns, handles: handles, outputSchema: outputSchema,
      calls: FunctionCalls(twoInputs: function))
  }

  @usableFromInline
  init(
    name: String, keyColumns: [String], handles: FunctionHandles, outputSchema: Schema?, calls: FunctionCalls
  ) throws(EngineError) {
    self.name = name
    self.keyColumns = keyColumns
    self.handles = handles
    self.outputSchema = outputSchema
    self.calls = calls
    states = []
    for state in handles.states { states.append(try state.descriptor()) }
  }

  /// For a binding, which reaches states through `StateHandle`.
  package init(
    name: String, keyColumns: [String], states: [StateDescriptor], outputSchema: Schema?, calls: FunctionCalls
  ) {
    self.name = name
    self.keyColumns = keyColumns
    self.states = states
    self.outputSchema = outputSchema
    handles = FunctionHandles()
    self.calls = calls
  }

  /// The same with the function of another parallel instance.
  func remade(for instance: Int32) throws -> ProcessSpec {
    guard let makeInstance else {
      throw EngineError(
        .invalidArgument,
        "operator '\(name)': its function is the only one of its kind, and parallel instances need one each; set "
          + "martlet_process_function.instantiate, or run it with a parallelism of 1")
    }
    let other = try makeInstance(instance)
    var spec = self
    (spec.handles, spec.calls) = (other.handles, other.calls)
    return spec
  }

  /// Throws `.invalidArgument` for settings that do not fit the kind of the operator.
  func checkStates() throws(EngineError) {
    for state in states where state.kind.isBroadcast && kind != .broadcast {
      throw EngineError(
        .invalidArgument,
        "operator '\(name)': '\(state.name)' is a broadcast state, which only a function with a broadcast side has; use a map state, "
          + "or connect a broadcast stream")
    }
    if keyColumns.isEmpty, let state = states.first(where: { !$0.kind.isBroadcast }) {
      throw EngineError(
        .invalidArgument,
        "operator '\(name)': '\(state.name)' is a \(state.kind.noun), which belongs to a key, and the main stream has none; key it by a "
          + "column, or use a broadcast state")
    }
  }

  /// The output schema that is known before anything is emitted.
  func declaredOutput() throws(EngineError) -> Schema? {
    if let outputSchema { return outputSchema }
    let columns = handles.outputs.filter { $0.side == nil }
    return columns.isEmpty ? nil : Schema(columns.map { Field($0.name, $0.dataType) })
  }
}

extension ProcessSpec {
  /// The schemas of side outputs that are known before anything is emitted.
  func declaredSides() throws(EngineError) -> [(tag: String, schema: Schema)] {
    var declared = sideSchemas
    for side in handles.sides {
      let columns = handles.outputs.filter { $0.side === side }
      if let schema = side.schema ?? (columns.isEmpty ? nil : Schema(columns.map { Field($0.name, $0.dataType) })) {
        declared.append((side.tag, schema))
      }
    }
    return declared
  }
}

/// The states and typed columns among the stored properties of a Swift function.
@usableFromInline
struct FunctionHandles {
  private(set) var states: [AnyState]
  let inputs: [AnyInputColumn]
  let outputs: [AnyOutputColumn]
  let sides: [SideOutput]
  /// A function that is an object itself.
  private let object: AnyObject?

  init() {
    object = nil
    states = []
    inputs = []
    outputs = []
    sides = []
  }

  @usableFromInline
  init(of function: Any, _ extraStates: [AnyState]) {
    var states: [AnyState] = []
    var inputs: [AnyInputColumn] = []
    var outputs: [AnyOutputColumn] = []
    var sides: [SideOutput] = []
    var mirror: Mirror? = Mirror(reflecting: function)
    while let level = mirror {
      for property in level.children {
        switch property.value {
        case let state as AnyState: states.append(state)
        case let input as AnyInputColumn: inputs.append(input)
        case let output as AnyOutputColumn: outputs.append(output)
        case let side as SideOutput: sides.append(side)
        default: break
        }
      }
      mirror = level.superclassMirror
    }
    self.states = states + extraStates.filter { extra in !states.contains { $0 === extra } }
    self.inputs = inputs
    self.outputs = outputs
    self.sides = sides
    object = type(of: function) is AnyClass ? function as AnyObject : nil
  }

  /// What both functions use, as a message says it; nil if they have nothing in common.
  func shared(with other: FunctionHandles) -> String? {
    for state in states where other.states.contains(where: { $0 === state }) { return "the state '\(state.name)'" }
    for column in inputs where other.inputs.contains(where: { $0 === column }) { return "the column '\(column.name)'" }
    for column in outputs where other.outputs.contains(where: { $0 === column }) {
      return "the column '\(column.name)'"
    }
    for side in sides where other.sides.contains(where: { $0 === side }) { return "the side output '\(side.tag)'" }
    if let object, object === other.object { return "one function object" }
    return nil
  }

  /// With broadcast states that were given apart from the function.
  @usableFromInline
  func adding(_ broadcastStates: [AnyState], _ name: String) throws(EngineError) -> FunctionHandles {
    guard !broadcastStates.isEmpty else { return self }
    var all = self
    for state in broadcastStates {
      let given = try state.descriptor()
      guard given.kind.isBroadcast else {
        throw EngineError(
          .invalidArgument,
          "operator '\(name)': '\(state.name)' is a \(given.kind.noun), and only a BroadcastState can be broadcast")
      }
      guard let mine = states.first(where: { $0.name == state.name }) else {
        all.states.append(state)
        continue
      }
      let declared = try mine.descriptor()
      guard declared.kind == given.kind, declared.type == given.type else {
        throw EngineError(
          .invalidArgument,
          "operator '\(name)': the broadcast state '\(state.name)' has other types in the function than in broadcast(…); declare both alike"
        )
      }
    }
    for state in states where try state.descriptor().kind.isBroadcast {
      guard broadcastStates.contains(where: { $0.name == state.name }) else {
        throw EngineError(
          .invalidArgument,
          "operator '\(name)': the broadcast state '\(state.name)' is not among those given to broadcast(…), so nothing could write it; "
            + "add it there")
      }
    }
    return all
  }

  func bind(_ table: StateTable, _ context: Context, _ output: OutputBuilder) {
    for (state, column) in zip(states, table.columns) { context.bind(state, column) }
    for column in outputs where column.side == nil { column.bind(output) }
    for side in sides {
      let lane = context.sides.lane(side.tag)
      side.bound = .passUnretained(lane.builder)
      for column in outputs where column.side === side { column.bind(lane.builder) }
    }
  }

  func bindInputs(_ batch: RecordBatch) throws(EngineError) {
    for input in inputs { try input.bind(batch) }
  }

  /// For a chunk of two inputs.
  func bindInputs(
    left: RecordBatch?, right: RecordBatch?, known: (left: Schema?, right: Schema?)
  ) throws(EngineError) {
    for input in inputs { try input.bind(left: left, right: right, known: known) }
  }

  func unbind() {
    for state in states { state.unbind() }
    for output in outputs { output.unbind() }
    for side in sides { side.bound = nil }
    for input in inputs { input.unbind() }
  }
}
