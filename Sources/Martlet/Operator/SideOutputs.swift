/// The side outputs of one operator instance: by tag, each with a schema of its own, made on first use.
final class SideOutputs {
  /// Where late records go under `LatePolicy.sideOutput`.
  static let lateTag = "late"
  /// Where dead letters go.
  static let errorTag = "errors"

  private(set) var lanes: [OutputLane] = []
  /// Whether any of them feeds another operator: asked with every watermark.
  @exclusivity(unchecked) var forward = false
  /// Tags that the engine fills itself under the job's policies.
  private let reserved: [String]
  private unowned let context: Context
  private var keepsEverything = false

  init(_ context: Context, reserved: [String]) {
    self.context = context
    self.reserved = reserved
  }

  /// The output of that tag, for the engine and for who takes its rows.
  func lane(_ tag: String) -> OutputLane {
    if let lane = lanes.first(where: { $0.tag == tag }) { return lane }
    let lane = OutputLane(tag, OutputBuilder(), context)
    if keepsEverything { keep(lane) }
    lanes.append(lane)
    return lane
  }

  /// Keeps the rows of all outputs, with their timestamps, also of those that are made later. Before the first row.
  func keepEverything() {
    keepsEverything = true
    for lane in lanes { keep(lane) }
  }

  private func keep(_ lane: OutputLane) {
    lane.isKept = true
    lane.builder.recordsTimestamps = true
  }

  /// The output of that tag, for the user's function. Errors: the tag is empty, or filled by the engine in this job.
  func userLane(_ tag: String) throws(EngineError) -> OutputLane {
    guard !tag.isEmpty else { throw EngineError(.invalidArgument, "the tag of a side output is empty") }
    guard !reserved.contains(tag) else {
      throw EngineError(
        .invalidArgument,
        "the side output '\(tag)' is filled by the engine under this job's settings; emit to another tag")
    }
    return lane(tag)
  }
}

extension Context {
  /// Emits the record to a side output, by reference. It carries the current timestamp.
  public func emit(_ record: Record, to side: SideOutput) throws(EngineError) {
    try side.builder.emitRow(record.batch, record.row, timestamp: raw.pointee.timestamp)
  }

  /// Emits the row that was set through the side output's `OutputColumn`s.
  public func emit(to side: SideOutput) throws(EngineError) {
    try side.builder.endBuiltRow(timestamp: raw.pointee.timestamp)
  }

  /// Emits a whole batch to a side output; every row carries the current timestamp.
  public func emit(batch: RecordBatch, to side: SideOutput) throws(EngineError) {
    try side.builder.emitBatch(batch, timestamp: raw.pointee.timestamp)
  }

  /// Emits the rows of a slice to a side output; each carries its own timestamp.
  public func emit(_ slice: RecordSlice, to side: SideOutput) throws(EngineError) {
    try emitRows(slice.batch, slice.rows, into: side.builder)
  }

  /// The side output of a tag, for bindings. Errors: the engine fills it itself in this job.
  package func sidePort(_ tag: String) throws(EngineError) -> OutputPort {
    do { return try sides.userLane(tag).port } catch { throw located(error) }
  }
}
