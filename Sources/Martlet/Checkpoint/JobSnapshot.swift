/// What a checkpoint says of a job beside the state of its operators: where its sources stand, what waits between operators. Drawn
/// byte by byte in `docs/design/checkpoint.md`.
struct JobSnapshot {
  struct Source {
    var name: String
    /// Nil: the source has no offsets, so it is read from its beginning after a restore.
    var offset: [UInt8]?
    /// Rows behind the offset that were processed.
    var rows: Int64
    /// The number of the first record behind the offset.
    var firstRecord: Int64
    var watermark: Int64
    var hasEnded: Bool
    var isIdle: Bool
    /// Empty if the source has none. Since version 3.
    var partitions: [PartitionWatermarks.Partition] = []
  }

  struct Lane {
    var tag: String?
    var schema: Schema
  }

  struct Operator {
    var name: String
    /// Whether its function was opened: if not, its input is not known yet, and it has no keys.
    var isOpen: Bool
    var hasEnded: Bool
    /// Per input, the number of the first record to come.
    var firstRecords: [Int64]
    /// The schemas of its outputs as far as they are known.
    var lanes: [Lane]
    /// What waits before an operator of two inputs, as `ByteWriter.merge` writes it; empty for one input.
    var merge: [UInt8]
  }

  var maxParallelism: Int32
  /// For people; a restore may have another.
  var parallelism: Int32
  /// The job's clock, in milliseconds since the epoch.
  var processingTime: Int64
  /// The source to be asked first of several live ones.
  var turn: Int32
  var sources: [Source]
  var operators: [Operator]
  /// What the sink wrote down: its prepared transaction. Nobody else looks into it.
  var sink: [UInt8]
  /// Under which numbers operators and states are kept, if that is in stores. Since version 2.
  var layout: StoreLayout?
}

extension JobSnapshot {
  static let file = CheckedBytes(magic: Array("MRTLTJOB".utf8), version: 3)

  func encoded() -> [UInt8] {
    // A job without partitions is written as before, so that an older Martlet can read it too.
    let hasPartitions = sources.contains { !$0.partitions.isEmpty }
    return JobSnapshot.file.write(version: hasPartitions ? 3 : 2) { writer in
      writer.integer(maxParallelism)
      writer.integer(parallelism)
      writer.integer(processingTime)
      writer.integer(turn)
      writer.integer(UInt32(sources.count))
      for source in sources {
        writer.text(source.name)
        writer.flag(source.offset != nil)
        if let offset = source.offset { writer.short(offset) }
        writer.integer(source.rows)
        writer.integer(source.firstRecord)
        writer.integer(source.watermark)
        writer.flag(source.hasEnded)
        writer.flag(source.isIdle)
      }
      writer.integer(UInt32(operators.count))
      for one in operators { writer.state(of: one) }
      writer.long(sink)
      writer.flag(layout != nil)
      if let layout { writer.layout(layout) }
      guard hasPartitions else { return }
      for source in sources { writer.partitions(source.partitions) }
    }
  }

  init(decoding bytes: [UInt8], _ path: String) throws(EngineError) {
    self = try JobSnapshot.file.read(bytes, path) { reader, version in
      var job = JobSnapshot(
        maxParallelism: try reader.integer(Int32.self), parallelism: try reader.integer(Int32.self),
        processingTime: try reader.integer(Int64.self), turn: try reader.integer(Int32.self), sources: [],
        operators: [],
        sink: [])
      for _ in 0..<(try reader.integer(UInt32.self)) {
        let name = try reader.text()
        let offset = try reader.flag() ? Array(try reader.short()) : nil
        job.sources.append(
          Source(
            name: name, offset: offset, rows: try reader.integer(Int64.self),
            firstRecord: try reader.integer(Int64.self), watermark: try reader.integer(Int64.self),
            hasEnded: try reader.flag(), isIdle: try reader.flag()))
      }
      for _ in 0..<(try reader.integer(UInt32.self)) { job.operators.append(try reader.jobOperator()) }
      job.sink = Array(try reader.long())
      if version >= 2, try reader.flag() {
        let layout = try reader.layout()
        guard layout.operators.count == job.operators.count else { throw ByteReader.Malformed() }
        job.layout = layout
      }
      if version >= 3 {
        for number in job.sources.indices { job.sources[number].partitions = try reader.partitions() }
      }
      return job
    }
  }
}

extension ByteWriter {
  fileprivate mutating func partitions(_ partitions: [PartitionWatermarks.Partition]) {
    integer(UInt32(partitions.count))
    for partition in partitions {
      flag(partition.name != nil)
      text(partition.name ?? "")
      integer(partition.watermark)
      flag(partition.isIdle)
      flag(partition.isEnding)
    }
  }

  fileprivate mutating func state(of one: JobSnapshot.Operator) {
    text(one.name)
    flag(one.isOpen)
    flag(one.hasEnded)
    integer(UInt8(one.firstRecords.count))
    for record in one.firstRecords { integer(record) }
    integer(UInt32(one.lanes.count))
    for lane in one.lanes {
      flag(lane.tag != nil)
      text(lane.tag ?? "")
      schema(lane.schema)
    }
    long(one.merge)
  }
}

extension ByteReader {
  fileprivate mutating func partitions() throws(Malformed) -> [PartitionWatermarks.Partition] {
    var all: [PartitionWatermarks.Partition] = []
    for _ in 0..<(try integer(UInt32.self)) {
      let hasName = try flag()
      let name = try text()
      all.append(
        PartitionWatermarks.Partition(
          name: hasName ? name : nil, watermark: try integer(Int64.self), isIdle: try flag(), isEnding: try flag()))
    }
    return all
  }

  fileprivate mutating func jobOperator() throws(Malformed) -> JobSnapshot.Operator {
    var one = JobSnapshot.Operator(
      name: try text(), isOpen: try flag(), hasEnded: try flag(), firstRecords: [], lanes: [], merge: [])
    for _ in 0..<(try integer(UInt8.self)) { one.firstRecords.append(try integer(Int64.self)) }
    guard one.firstRecords.count == 1 || one.firstRecords.count == 2 else { throw Malformed() }
    for _ in 0..<(try integer(UInt32.self)) {
      let hasTag = try flag()
      let tag = try text()
      one.lanes.append(JobSnapshot.Lane(tag: hasTag ? tag : nil, schema: try schema()))
    }
    one.merge = Array(try long())
    return one
  }
}
