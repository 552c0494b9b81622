/// When the key tables grow.
enum TableLoad {
  /// Small tables are kept emptier: a probe that goes on to a second bucket is a mispredicted branch, which costs more than
  /// the lookup itself as long as the table is in the cache. Large ones are kept full for the memory's sake.
  static func isFull(_ count: Int, of bucketCount: Int) -> Bool {
    bucketCount <= 1 << 16 ? count &* 4 > bucketCount : count &* 4 > bucketCount &* 3
  }
}
