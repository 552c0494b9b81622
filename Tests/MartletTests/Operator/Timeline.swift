@testable import Martlet

/// What happens to an operator, drawn as text: `W17 5@12 42/x@13 END`.
///
/// `key@time` is a record, `key/value@time` one whose value is not its key, `@-` one without a timestamp; `-` for the key is
/// null. `W17` is a watermark of 17 from upstream, `END` the end of the input.
struct Timeline: ExpressibleByStringLiteral, Sendable {
  enum Step: Equatable {
    case record(key: String?, value: String, timestamp: Int64?)
    case watermark(Int64)
    case end
  }

  let steps: [Step]

  init(stringLiteral text: String) {
    steps = text.split(separator: " ").map { word in
      if word == "END" { return .end }
      if word.first == "W", let time = Int64(word.dropFirst()) { return .watermark(time) }
      let sides = word.split(separator: "@")
      let parts = sides[0].split(separator: "/").map(String.init)
      return .record(
        key: parts[0] == "-" ? nil : parts[0], value: parts.count > 1 ? parts[1] : parts[0],
        timestamp: sides[1] == "-" ? nil : Int64(sides[1])!)
    }
  }
}

/// One process operator, driven by a timeline. Its input has the columns "k" (string) and "v" (string); what it emits and the
/// watermarks it passes on come out as text: `a@12 W17`.
final class OperatorRig {
  let process: ProcessOperator
  private let fields = [Field("k", .utf8), Field("v", .utf8)]
  private var records: Int64 = 0

  init(_ function: some ProcessFunction, nullKeys: NullPolicy = .raise) throws {
    process = try ProcessOperator(
      ProcessSpec(name: "rig", keyColumns: ["k"], function, states: [], outputSchema: nil), nullKeys: nullKeys)
    process.output.recordsTimestamps = true
    process.lane.forwards = true
    try process.open(inputSchema: Schema(fields))
  }

  /// Runs the steps, all records in chunks of at most `chunkRows`, and gives what came out.
  @discardableResult
  func run(_ timeline: Timeline, chunkRows: Int = .max) throws -> String {
    var rows: [[Value]] = []
    var times: [Int64] = []
    var marks: [WatermarkMark] = []
    func flush() throws {
      guard !rows.isEmpty || !marks.isEmpty else { return }
      let batch = try ArrowFixture(tally: Tally()).batch(fields, rows)
      try times.withUnsafeBufferPointer { times in
        try marks.withUnsafeBufferPointer { marks in
          try process.process(
            Chunk(
              batch: batch, selection: RowSelection(start: 0, count: times.count), timestamps: times.baseAddress,
              marks: marks, firstRecord: records))
        }
      }
      records += Int64(rows.count)
      (rows, times, marks) = ([], [], [])
    }
    for step in timeline.steps {
      switch step {
      case .record(let key, let value, let timestamp):
        if rows.count == chunkRows { try flush() }
        rows.append([key.map(Value.text) ?? .null, .text(value)])
        times.append(timestamp ?? EventTime.none)
      case .watermark(let time): marks.append(WatermarkMark(position: rows.count, watermark: time))
      case .end:
        try flush()
        try process.finish(watermark: EventTime.max)
      }
    }
    try flush()
    return try takeOutput()
  }

  func takeOutput() throws -> String {
    var words: [String] = []
    var marks = process.lane.marks[...]
    process.lane.marks = []
    func passMarks(_ position: Int) {
      while let mark = marks.first, mark.position <= position {
        words.append(mark.watermark == EventTime.max ? "END" : "W\(mark.watermark)")
        marks.removeFirst()
      }
    }
    if let (batch, timestamps) = try process.output.takeBatch() {
      for (row, cells) in batch.rows.enumerated() {
        passMarks(row)
        let time = timestamps!.values[row]
        words.append("\(cells.last!.plain)@\(time == EventTime.none ? "-" : "\(time)")")
      }
    }
    passMarks(.max)
    return words.joined(separator: " ")
  }
}

extension Value {
  /// The value as a reader would write it.
  var plain: String {
    switch self {
    case .null: "null"
    case .int(let value): "\(value)"
    case .double(let value): "\(value)"
    case .bytes(let bytes): String(decoding: bytes, as: UTF8.self)
    case .nested(let items): "[\(items.map(\.plain).joined(separator: ","))]"
    }
  }
}
