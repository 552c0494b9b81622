/// A run of key groups: the keys that one parallel instance owns.
public struct KeyGroupRange: Hashable, Sendable {
  public let groups: Range<Int32>
  /// How many groups there are in all.
  public let maxParallelism: Int32

  /// Throws `.invalidArgument` for groups that are not among `0 ..< maxParallelism`.
  public init(_ groups: Range<Int32>, of maxParallelism: Int32) throws(EngineError) {
    guard maxParallelism >= 1, groups.lowerBound >= 0, groups.upperBound <= maxParallelism else {
      throw EngineError(
        .invalidArgument,
        "the key groups \(groups.lowerBound) to \(groups.upperBound) are not within 0 to \(maxParallelism)")
    }
    self.groups = groups
    self.maxParallelism = maxParallelism
  }

  /// Whether the key with these canonical bytes belongs to one of the groups.
  func owns(_ canonical: [UInt8]) -> Bool {
    let hash = canonical.withUnsafeBytes { StableHash.hash($0) }
    return groups.contains(KeyGroup(hash: hash, maxParallelism: maxParallelism).rawValue)
  }
}
