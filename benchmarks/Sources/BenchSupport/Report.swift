/// `value` with so many digits after the point; Foundation is not worth its size here.
public func fixed(_ value: Double, _ digits: Int = 2) -> String {
  precondition(digits > 0, "whole numbers need no formatting")
  var scale = 1.0
  for _ in 0..<digits { scale *= 10 }
  let scaled = Int64(abs(value) * scale + 0.5)
  let fraction = String(scaled % Int64(scale))
  let sign = value < 0 && scaled > 0 ? "-" : ""
  return "\(sign)\(scaled / Int64(scale)).\(String(repeating: "0", count: digits - fraction.count))\(fraction)"
}

/// Prints lines of cells in columns: the first to the left, the others to the right.
public func printTable(_ title: String, header: [String], rows: [[String]]) {
  let lines = [header] + rows
  let widths = header.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
  print("\n\(title)")
  for line in lines {
    let cells = line.enumerated().map { column, cell in
      let padding = String(repeating: " ", count: widths[column] - cell.count)
      return column == 0 ? cell + padding : padding + cell
    }
    print("  " + cells.joined(separator: "  "))
  }
}

/// Prints the timings of one contest over `records` records, each with its ratio to `peer` (above 1: faster than it).
public func report(_ title: String, records: Int, peer: String, _ timings: [Contest.Timing]) {
  guard let reference = timings.first(where: { $0.name == peer })?.median else {
    preconditionFailure("there is no contender named \(peer)")
  }
  let rows = timings.map { timing in
    [
      timing.name,
      fixed(Double(records) * 1e3 / timing.median),
      fixed(timing.median / Double(records), 1),
      fixed(reference / timing.median),
      fixed(timing.spread * 100, 1) + "%",
    ]
  }
  printTable(title, header: ["", "M records/s", "ns/record", "x \(peer)", "spread"], rows: rows)
}
