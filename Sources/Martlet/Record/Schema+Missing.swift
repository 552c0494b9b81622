extension Schema {
  /// The error for a column that the schema lacks: what it was to be, which columns there are, and which of them may have been
  /// meant.
  func missing(_ name: String, as role: String = "column") -> EngineError {
    let names = fields.map(\.name)
    // A message has room for so many: a table can have thousands of columns.
    let shown = names.prefix(100).map { "'\($0)'" }.joined(separator: ", ")
    let rest = names.count > 100 ? " and \(names.count - 100) more" : ""
    let known = names.isEmpty ? "there are no columns" : "the columns are \(shown)\(rest)"
    let hint = closeMatch(name, among: names).map { " (did you mean '\($0)'?)" } ?? ""
    return EngineError(.missingColumn, "there is no \(role) '\(name)'\(hint); \(known)")
  }
}
