/// A side output of a Swift function: declare it as a stored property and emit to it.
///
/// ```swift
/// let rejected = SideOutput("rejected")
/// …
/// try context.emit(batch, to: rejected)
/// ```
///
/// Its rows are read from `stream.sideOutput("rejected")`. For rows that are built, declare columns of it:
/// `let reason = OutputColumn<String>("reason", of: rejected)`.
public final class SideOutput {
  public let tag: String
  /// The schema, if it is declared; otherwise that of its `OutputColumn`s, or of the first record emitted.
  public let schema: Schema?
  @exclusivity(unchecked) var bound: Unmanaged<OutputBuilder>?

  public init(_ tag: String, schema: Schema? = nil) {
    self.tag = tag
    self.schema = schema
  }

  var builder: OutputBuilder {
    guard let bound else {
      preconditionFailure("side output '\(tag)' was used outside of a callback of the function it belongs to")
    }
    return bound.takeUnretainedValue()
  }
}
