/// What to do with a record whose timestamp is not after the watermark.
public enum LatePolicy: Int32, Sendable {
  /// Deliver it; `context.isLate` tells.
  case process = 0
  /// Leave it out and count it.
  case drop = 1
  /// Send it as it is to the side output "late" of the operator that finds it late.
  case sideOutput = 2
}

/// What to do when a callback of a function throws.
public enum ErrorPolicy: Int32, Sendable {
  /// Stop with the error.
  case raise = 0
  /// Take back what the call did to state, timers and outputs, count it, go on with the next record.
  case skip = 1
  /// The same, and one row for each record of the call to the side output "errors".
  case deadLetter = 2
}

/// What a job does with records that are not as they should be.
public struct RecordPolicies: Sendable {
  public var onError = ErrorPolicy.raise
  public var late = LatePolicy.process
  public var nullKeys = NullPolicy.raise
  public var nullTimestamps = NullPolicy.raise

  public init() {}

  public init(nullKeys: NullPolicy, nullTimestamps: NullPolicy = .raise) {
    self.nullKeys = nullKeys
    self.nullTimestamps = nullTimestamps
  }

  /// Whether the record loop has nothing to decide but null keys.
  var arePlain: Bool {
    onError == .raise && late == .process && nullKeys != .deadLetter && nullTimestamps != .deadLetter
  }

  /// Tags of side outputs that the engine fills.
  var reservedTags: [String] {
    var tags: [String] = []
    if late == .sideOutput { tags.append(SideOutputs.lateTag) }
    if onError == .deadLetter || nullKeys == .deadLetter || nullTimestamps == .deadLetter {
      tags.append(SideOutputs.errorTag)
    }
    return tags
  }
}

/// A failure as a dead letter shows it.
public struct FailureDetails: Sendable {
  /// The type of the error: `ValueError`, `ParseError`.
  public var type: String
  public var message: String
  public var traceback: String?

  public init(type: String, message: String, traceback: String? = nil) {
    self.type = type
    self.message = message
    self.traceback = traceback
  }
}
