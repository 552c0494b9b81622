/// What the header of a snapshot says of an operator of two inputs. It is there from format version 2 on, which only such operators
/// write.
struct SecondSnapshot {
  struct Input {
    var watermark: Int64
    var status: WatermarkValve.Status
  }

  var kind: OperatorKind
  /// Of the right input; empty for a broadcast.
  var keyColumns: [String]
  /// Of the right input; nil if no record of it had come.
  var schema: Schema?
  /// Records of the right input so far.
  var records: Int64
  var left: Input
  var right: Input

  init(kind: OperatorKind, keyColumns: [String], schema: Schema?, records: Int64, _ valve: WatermarkValve) {
    self.kind = kind
    self.keyColumns = keyColumns
    self.schema = schema
    self.records = records
    left = Input(watermark: valve.watermark(of: 0), status: valve.status(of: 0))
    right = Input(watermark: valve.watermark(of: 1), status: valve.status(of: 1))
  }

  fileprivate init(
    _ kind: OperatorKind, _ keyColumns: [String], _ schema: Schema?, _ records: Int64, _ left: Input, _ right: Input
  ) {
    (self.kind, self.keyColumns, self.schema, self.records) = (kind, keyColumns, schema, records)
    (self.left, self.right) = (left, right)
  }

  /// The valve as it stood; `watermark` is the combined one.
  func valve(_ watermark: Int64) -> WatermarkValve {
    WatermarkValve(
      restoring: [(left.watermark, left.status), (right.watermark, right.status)], watermark: watermark)
  }
}

extension ByteWriter {
  mutating func flag(_ value: Bool) { integer(UInt8(value ? 1 : 0)) }

  mutating func second(_ second: SecondSnapshot) {
    integer(UInt8(second.kind.rawValue))
    integer(UInt16(second.keyColumns.count))
    for column in second.keyColumns { text(column) }
    integer(UInt8(second.schema == nil ? 0 : 1))
    if let schema = second.schema { self.schema(schema) }
    integer(second.records)
    for input in [second.left, second.right] {
      integer(input.watermark)
      status(input.status)
    }
  }

  mutating func status(_ status: WatermarkValve.Status) { integer(status.code) }
}

extension ByteReader {
  mutating func second() throws(Malformed) -> SecondSnapshot {
    guard let kind = OperatorKind(rawValue: Int32(try integer(UInt8.self))), kind != .process else { throw Malformed() }
    var columns: [String] = []
    for _ in 0..<(try integer(UInt16.self)) { columns.append(try text()) }
    let schema: Schema? = try flag() ? try self.schema() : nil
    let records = try integer(Int64.self)
    return SecondSnapshot(kind, columns, schema, records, try input(), try input())
  }

  private mutating func input() throws(Malformed) -> SecondSnapshot.Input {
    let watermark = try integer(Int64.self)
    return SecondSnapshot.Input(watermark: watermark, status: try status())
  }

  mutating func status() throws(Malformed) -> WatermarkValve.Status {
    guard let status = WatermarkValve.Status(code: try integer(UInt8.self)) else { throw Malformed() }
    return status
  }
}

extension WatermarkValve.Status {
  fileprivate var code: UInt8 {
    switch self {
    case .active: 0
    case .idle: 1
    case .finished: 2
    }
  }

  fileprivate init?(code: UInt8) {
    switch code {
    case 0: self = .active
    case 1: self = .idle
    case 2: self = .finished
    default: return nil
    }
  }
}

extension ProcessOperator {
  /// What broadcast states hold, as the entry of a key without bytes, which comes before all keys; nil if there is nothing.
  func broadcastEntry(_ parts: Parts, _ kept: [(state: Int, bytes: [UInt8])]) -> SnapshotKey? {
    var entry = SnapshotKey(key: [])
    for (number, column) in parts.states.columns.enumerated() where column.descriptor.kind.isBroadcast {
      var bytes: [UInt8] = []
      column.encodeEntries(of: BroadcastSlot.slot, into: &bytes)
      if !bytes.isEmpty { entry.entries.append((number, bytes)) }
    }
    entry.entries += kept
    return entry.entries.isEmpty ? nil : entry
  }

  /// Throws `.snapshotMismatch` unless the snapshot is of an operator with as many inputs.
  func checkKind(_ header: SnapshotHeader) throws(EngineError) {
    let was = header.second?.kind ?? .process
    guard was != kind else { return }
    func words(_ kind: OperatorKind) -> String {
      switch kind {
      case .process: "one input"
      case .connect: "two connected inputs"
      case .broadcast: "a broadcast side"
      }
    }
    throw EngineError(
      .snapshotMismatch,
      "the snapshot is of a function with \(words(was)), and this one has \(words(kind)); restore it into one of the same kind"
    )
  }
}
