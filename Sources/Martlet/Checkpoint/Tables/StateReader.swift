/// Looks into a checkpoint without a job: what its operators are, and what their states hold, as Arrow tables.
///
/// Opens a checkpoint, a savepoint, or a state directory, of which it takes the newest whole checkpoint; it takes no lock and changes
/// nothing. Everything is verified when it is opened. `StateTableLayout` says how the tables look.
package final class StateReader {
  /// One operator of the checkpoint.
  package struct Operator {
    package let name: String
    package let kind: OperatorKind
    /// The columns of the key; of type null where no record had come, so that there are no keys.
    package let keys: [Field]
    /// Those that the function no longer declared come last.
    package let states: [StateDescriptor]
    /// The last it saw, −2⁶³ for none.
    package let watermark: Int64
    package let processingTime: Int64
    /// Of its inputs, one or two, so far.
    package let records: [Int64]
    package let hasEnded: Bool
    let keySchema: KeySchema?
  }

  /// One source of the checkpoint.
  package struct Source {
    package let name: String
    /// As the source wrote it; nil: it has none.
    package let offset: [UInt8]?
    /// Records so far.
    package let records: Int64
    package let watermark: Int64
    package let hasEnded: Bool
  }

  /// What there is of one operator.
  package struct Counts {
    /// Keys that hold something, and their timers.
    package var keys: Int64 = 0
    package var timers: Int64 = 0
    /// By state: keys that hold it, and its values, elements or entries.
    package var states: [(keys: Int64, entries: Int64)]
  }

  /// Of the checkpoint that is read.
  package let path: String
  package let id: Int64
  /// When it was taken, in milliseconds since the epoch.
  package let time: Int64
  package let jobName: String
  package let parallelism: Int32
  package let maxParallelism: Int32
  package let sources: [Source]
  package let operators: [Operator]
  /// What is wrong with newer checkpoints of the directory.
  package let damaged: [EngineError]
  private let files: any FileSystem
  /// Only where the keys are in stores.
  private let stores: OpenStores?
  private let layout: StoreLayout?

  /// `backends`: the kinds of stores that can be read. Throws `.storageFailed` if there is no checkpoint or it cannot be read,
  /// `.storageCorrupt` if it is damaged (of a directory, all are), `.snapshotInvalid` if a newer version wrote it. Names the file.
  package init(
    _ path: String, _ files: any FileSystem, _ backends: [any StoreBackend] = []
  ) throws(EngineError) {
    let (checkpoint, place, damaged) = try VerifiedCheckpoint.open(path, files)
    let manifest = checkpoint.manifest
    let job = checkpoint.job
    self.path = place
    self.files = files
    self.damaged = damaged
    (id, time, jobName) = (manifest.id, manifest.time, manifest.jobName)
    (parallelism, maxParallelism) = (job.parallelism, job.maxParallelism)
    layout = job.layout
    stores =
      layout == nil
      ? nil : try OpenStores(manifest.stores, in: place, maxParallelism: job.maxParallelism, backends)
    sources = job.sources.map {
      Source(
        name: $0.name, offset: $0.offset, records: $0.firstRecord.saturatingAdding($0.rows), watermark: $0.watermark,
        hasEnded: $0.hasEnded)
    }
    var operators: [Operator] = []
    for (index, saved) in job.operators.enumerated() {
      let (file, content) = try checkpoint.file(Checkpoint.operatorFile(index))
      let header = try SnapshotFile(FilePath.join(place, file.name), content: content, files).header
      let (keys, keySchema) = try header.keyFields()
      operators.append(
        Operator(
          name: saved.name, kind: header.second?.kind ?? .process, keys: keys, states: header.states,
          watermark: header.watermark, processingTime: header.processingTime,
          records: [header.records] + (header.second.map { [$0.records] } ?? []), hasEnded: saved.hasEnded,
          keySchema: keySchema))
    }
    self.operators = operators
  }

  func keys(of index: Int) throws(EngineError) -> any SnapshotKeySource {
    let file = try SnapshotFile(FilePath.join(path, Checkpoint.operatorFile(index)), files)
    guard let stores, let layout else { return try file.keys() }
    return try StoredKeySource(stores, file.header, layout.operators[index])
  }

  // MARK: - Finding things

  /// The number of an operator; without a name that of the only one, or of the only one with that state. Throws `.invalidArgument` saying
  /// what there is.
  package func find(operator name: String?, state: String? = nil) throws(EngineError) -> (operator: Int, state: Int?) {
    let candidates: [Int]
    if let name {
      guard let index = operators.firstIndex(where: { $0.name == name }) else {
        throw unknown("operator", name, among: operators.map(\.name), "the checkpoint '\(path)' has")
      }
      candidates = [index]
    } else {
      candidates = Array(operators.indices)
    }
    guard let state else {
      guard let only = candidates.first, candidates.count == 1 else {
        throw EngineError(
          .invalidArgument,
          "the checkpoint '\(path)' has \(operators.count) operators; name one: \(list(operators.map(\.name)))")
      }
      return (only, nil)
    }
    let found = candidates.compactMap { index in
      operators[index].states.firstIndex { $0.name == state }.map { (operator: index, state: Optional($0)) }
    }
    if found.count > 1 {
      throw EngineError(
        .invalidArgument,
        "the operators \(list(found.map { operators[$0.operator].name })) have a state '\(state)' each; name one of them"
      )
    }
    if let only = found.first { return only }
    let names = candidates.flatMap { operators[$0].states.map(\.name) }
    let place =
      candidates.count == 1 ? "operator '\(operators[candidates[0]].name)' has" : "the checkpoint '\(path)' has"
    throw unknown("state", state, among: names, place)
  }

  private func unknown(_ what: String, _ name: String, among names: [String], _ place: String) -> EngineError {
    let hint = closeMatch(name, among: names).map { " (did you mean '\($0)'?)" } ?? ""
    let known = names.isEmpty ? "no \(what)s" : "the \(what)s \(list(names))"
    return EngineError(.invalidArgument, "there is no \(what) '\(name)'\(hint); \(place) \(known)")
  }

  private func list(_ names: [String]) -> String { names.map { "'\($0)'" }.joined(separator: ", ") }

  // MARK: - Reading

  /// What a state holds. `key`: only of the key whose columns are in row 0.
  package func rows(operator index: Int, state: Int, key: RecordBatch? = nil) throws(EngineError) -> StateRows {
    let one = operators[index]
    return try StateRows(
      keys(of: index), StateTableLayout(one.keys, one.states[state]), state: state, one,
      key: one.states[state].kind.isBroadcast ? nil : try canonical(key, of: one))
  }

  /// The pending timers. `key`: only those of the key whose columns are in row 0.
  package func timers(operator index: Int, key: RecordBatch? = nil) throws(EngineError) -> StateRows {
    let one = operators[index]
    return try StateRows(keys(of: index), TimerTableLayout(one.keys), one, key: try canonical(key, of: one))
  }

  /// Reads everything that an operator has once, to count it.
  package func counts(operator index: Int) throws(EngineError) -> Counts {
    var counts = Counts(states: operators[index].states.map { _ in (0, 0) })
    var keys = try self.keys(of: index)
    while let key = try keys.next() {
      if !key.key.isEmpty { counts.keys += 1 }
      counts.timers += Int64(key.timers.count)
      for (state, bytes) in key.entries where !bytes.isEmpty {
        counts.states[state].keys += 1
        counts.states[state].entries = counts.states[state].entries.saturatingAdding(EntriesCursor.count(bytes))
      }
    }
    return counts
  }

  /// The canonical bytes of the key in row 0. Throws `.keyType` if it cannot be one of the operator's.
  private func canonical(_ key: RecordBatch?, of one: Operator) throws(EngineError) -> [UInt8]? {
    guard let key, let schema = one.keySchema else { return nil }
    guard key.numRows == 1, key.schema.fields.count == schema.parts.count else {
      throw EngineError(
        .invalidArgument,
        "the key to look up has \(key.schema.fields.count) columns; that of operator '\(one.name)' has \(schema.parts.count)"
      )
    }
    let theirs = try KeySchema(key.schema.fields.map(\.name), in: key.schema)
    for (mine, theirs) in zip(schema.parts, theirs.parts) where mine.keyClass != theirs.keyClass {
      throw EngineError(
        .keyType,
        "the key column '\(mine.name)' of operator '\(one.name)' is \(schema.schema.fields[mine.column].type), and a key of it cannot be "
          + "looked up with a \(key.schema.fields[theirs.column].type)")
    }
    let space = KeySpace(theirs)
    var ref = KeyRef(integer: 0)
    var slot: UInt32 = 0
    _ = space.intern(key, RowSelection(start: 0, count: 1), &ref, &slot)
    guard slot != Slot.none else { throw EngineError(.nullKey, "the key to look up is null") }
    return space.canonicalBytes(of: slot)
  }
}
