/// Everything that describes one process operator before it runs.
@usableFromInline
package struct ProcessSpec {
  var name: String
  var keyColumns: [String]
  var states: [StateDescriptor]
  var outputSchema: Schema?
  var handles: FunctionHandles
  var calls: FunctionCalls

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

  /// The output schema that is known before anything is emitted.
  func declaredOutput() throws(EngineError) -> Schema? {
    if let outputSchema { return outputSchema }
    return handles.outputs.isEmpty ? nil : Schema(handles.outputs.map { Field($0.name, $0.dataType) })
  }
}

/// The states and typed columns among the stored properties of a Swift function.
@usableFromInline
struct FunctionHandles {
  let states: [AnyState]
  let inputs: [AnyInputColumn]
  let outputs: [AnyOutputColumn]

  init() {
    states = []
    inputs = []
    outputs = []
  }

  @usableFromInline
  init(of function: Any, _ extraStates: [AnyState]) {
    var states: [AnyState] = []
    var inputs: [AnyInputColumn] = []
    var outputs: [AnyOutputColumn] = []
    var mirror: Mirror? = Mirror(reflecting: function)
    while let level = mirror {
      for property in level.children {
        switch property.value {
        case let state as AnyState: states.append(state)
        case let input as AnyInputColumn: inputs.append(input)
        case let output as AnyOutputColumn: outputs.append(output)
        default: break
        }
      }
      mirror = level.superclassMirror
    }
    self.states = states + extraStates.filter { extra in !states.contains { $0 === extra } }
    self.inputs = inputs
    self.outputs = outputs
  }

  func bind(_ table: StateTable, _ context: Context, _ output: OutputBuilder) {
    for (state, column) in zip(states, table.columns) { state.bind(column, UnsafePointer(context.raw)) }
    for column in outputs { column.bind(output) }
  }

  func bindInputs(_ batch: RecordBatch) throws(EngineError) {
    for input in inputs { try input.bind(batch) }
  }

  func unbind() {
    for state in states { state.unbind() }
    for output in outputs { output.unbind() }
    for input in inputs { input.unbind() }
  }
}
