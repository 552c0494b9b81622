/// The part of a source that a batch belongs to, where it has parts that are each in order by themselves: see `Source.partition`.
public struct SourcePartition: Hashable, Sendable {
  public var name: String
  /// Whether nothing more comes of it after this batch, and those of the same partition that follow it at once. It then no longer holds back the source's
  /// watermark.
  public var isLast: Bool

  public init(_ name: String, isLast: Bool = false) { (self.name, self.isLast) = (name, isLast) }
}
