/// The name among `names` that `name` was probably meant to be: the one with the fewest changes of a letter (one more, one less,
/// another one, two swapped), in any case of letters, if these are few for the length. For error messages.
func closeMatch(_ name: String, among names: [String]) -> String? {
  let wanted = Array(name.lowercased().unicodeScalars)
  // Comparing is quadratic, and what is longer than this was no slip of a finger.
  guard !wanted.isEmpty, wanted.count <= 64 else { return nil }
  var best: (name: String, distance: Int)?
  for candidate in names {
    let known = Array(candidate.lowercased().unicodeScalars)
    guard known.count <= 64 else { continue }
    let distance = editDistance(wanted, known)
    guard distance <= max(wanted.count, known.count) / 3, distance < best?.distance ?? .max else { continue }
    best = (candidate, distance)
  }
  return best?.name
}

/// The optimal string alignment distance: Levenshtein's, and a swap of two neighbours counts once.
private func editDistance(_ a: [Unicode.Scalar], _ b: [Unicode.Scalar]) -> Int {
  var before: [Int] = []
  var above = Array(0...b.count)
  for (row, letter) in a.enumerated() {
    var current = [row + 1]
    for (column, other) in b.enumerated() {
      var least = min(above[column] + (letter == other ? 0 : 1), above[column + 1] + 1, current[column] + 1)
      if row > 0, column > 0, letter == b[column - 1], a[row - 1] == other {
        least = min(least, before[column - 1] + 1)
      }
      current.append(least)
    }
    before = above
    above = current
  }
  return above[b.count]
}
