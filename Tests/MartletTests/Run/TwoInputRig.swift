import Testing

@testable import Martlet

/// Runs a function of two inputs through its harness, from a script: `1:5@12` a record of value 5 at 12 on the left (or only the value,
/// `1:5`, without a timestamp), `2:` on the right, `W17` on both inputs, `W1=17` on one, `PT5` the clock, `1I` idle, `1E` the end of one
/// input, `END`. Gives what was emitted, `x@12` or `x@-`, and `W17` wherever the function's watermark has moved.
struct TwoInputRig {
  let harness: Harness
  static let left = Schema([Field("k", .utf8), Field("v", .int64)])
  static let right = Schema([Field("k", .utf8)])

  func run(_ script: String, side tag: String? = nil) throws -> String {
    var told: [String] = []
    var watermark = harness.watermark
    func collect() throws {
      for row in try tag.map({ try harness.sideOutput($0, timestamps: true) }) ?? harness.output(timestamps: true) {
        guard case .string(let text) = row.values[0], let time = row.timestamp else { continue }
        told.append(text + (time == .absent ? "@-" : "@\(time)".replacingAt))
      }
      if harness.watermark != watermark {
        told.append(harness.watermark == EventTime.max ? "END" : "W\(harness.watermark)")
      }
      watermark = harness.watermark
    }
    for step in script.split(separator: " ") {
      try take(String(step))
      try collect()
    }
    return told.joined(separator: " ")
  }

  private func take(_ step: String) throws {
    if step == "END" { return try harness.end() }
    if step.hasPrefix("PT") { return try harness.advanceProcessingTime(to: Int64(step.dropFirst(2))!) }
    if step.hasPrefix("W1=") { return try harness.advanceWatermark(.left, to: Int64(step.dropFirst(3))!) }
    if step.hasPrefix("W2=") { return try harness.advanceWatermark(.right, to: Int64(step.dropFirst(3))!) }
    if step.hasPrefix("W") { return try harness.advanceWatermark(to: Int64(step.dropFirst())!) }
    let side = step.hasPrefix("1") ? Side.left : .right
    switch step.dropFirst() {
    case "I": return try harness.setIdle(side)
    case "E": return try harness.end(side)
    default: break
    }
    let parts = step.dropFirst(2).split(separator: "@")
    let time = parts.count > 1 ? RecordTime.at(Int64(parts[1])!) : .none
    let value = String(parts[0])
    if side == .left {
      try harness.push(.left, .string(value), .int(Int64(value) ?? 0), timestamp: time)
    } else {
      try harness.push(.right, .string(value), timestamp: time)
    }
  }
}

extension String {
  /// `@at(12)` as `@12`.
  fileprivate var replacingAt: String {
    var text = self
    text.removeAll { "at()".contains($0) }
    return text
  }
}
