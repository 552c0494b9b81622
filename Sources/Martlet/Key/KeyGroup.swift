/// The unit in which keys are divided among parallel instances and moved between them.
///
/// `group = stableHash(canonical key bytes) % maxParallelism`, `instance = group * parallelism / maxParallelism`, as in
/// Flink's `KeyGroupRangeAssignment`, with our own hash.
public struct KeyGroup: RawRepresentable, Hashable, Comparable, Sendable {
  public let rawValue: Int32

  public init(rawValue: Int32) { self.rawValue = rawValue }

  /// The group of a key with this stable hash; `maxParallelism` is at least 1.
  public init(hash: UInt64, maxParallelism: Int32) {
    rawValue = Int32(truncatingIfNeeded: hash % UInt64(maxParallelism))
  }

  /// The instance that owns the group.
  public func instance(parallelism: Int32, maxParallelism: Int32) -> Int32 {
    Int32(Int64(rawValue) * Int64(parallelism) / Int64(maxParallelism))
  }

  /// The groups that an instance owns.
  public static func range(instance: Int32, parallelism: Int32, maxParallelism: Int32) -> Range<Int32> {
    // The first group whose instance is this one: the ceiling of instance * max / parallelism.
    func first(_ instance: Int32) -> Int32 {
      Int32((Int64(instance) * Int64(maxParallelism) + Int64(parallelism) - 1) / Int64(parallelism))
    }
    return first(instance)..<first(instance + 1)
  }

  public static func < (a: KeyGroup, b: KeyGroup) -> Bool { a.rawValue < b.rawValue }
}
