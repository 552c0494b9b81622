import CMartlet
import Martlet

// Functions of two inputs, and what only they can do.

func keyColumns(
  _ names: UnsafePointer<UnsafePointer<CChar>?>?, _ count: Int64, _ field: String
) throws(EngineError) -> [String] {
  var columns: [String] = []
  for name in try array(names, count, field) {
    guard let name = text(name) else { throw missing("a name in \(field)") }
    columns.append(name)
  }
  return columns
}

/// The kind of the operator and its inputs; none if `input` and `input_tag` tell.
func operatorInputs(
  _ options: martlet_process_options, _ function: CallbackFunction
) throws(EngineError) -> (OperatorKind, [JobInput]) {
  guard let kind = OperatorKind(rawValue: options.kind) else {
    throw EngineError(.invalidArgument, "martlet_process_options.kind is not a martlet_operator_kind")
  }
  if kind != .process, function.takesSlices {
    throw EngineError(
      .invalidArgument,
      "martlet_process_function.on_batch is set for a function of two inputs, which takes records one by one")
  }
  if kind == .broadcast, !function.hasOnRight {
    throw EngineError(.invalidArgument, "martlet_process_function.on_right is NULL in a broadcast")
  }
  var inputs: [JobInput] = []
  for input in try array(options.inputs, options.n_inputs, "martlet_process_options.inputs") {
    if input.source >= 0 {
      inputs.append(.source(Int(clamping: input.source)))
    } else if input.process >= 1 {
      inputs.append(.output(OutputSelector(process: Int(clamping: input.process) - 1, tag: text(input.tag))))
    } else {
      throw EngineError(
        .invalidArgument, "martlet_input has source \(input.source) and process \(input.process); set one of them")
    }
  }
  return (kind, inputs)
}

@_cdecl("martlet_apply_to_keyed_state")
public func martletApplyToKeyedState(
  _ call: UnsafeMutablePointer<martlet_context>, _ state: Int64,
  _ apply: (
    @convention(c) (
      UnsafeMutableRawPointer?, UnsafeMutablePointer<martlet_context>?, UnsafeMutablePointer<martlet_error>?
    ) -> Int32
  )?, _ context: UnsafeMutableRawPointer?, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  running(error: error) {
    guard let apply else { throw missing("apply") }
    let lifetime = CallbackLifetime(context, nil)
    try engine(call).applyToKeyedState(Int(clamping: state)) { _ in
      let status = apply(context, call, lifetime.error)
      if status != 0 { throw lifetime.failure(status) }
    }
  }
}
