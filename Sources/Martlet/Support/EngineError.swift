/// An error of the engine: what happened, where, and (by its kind) what the caller can do about it.
///
/// Kinds are few, and each names one remedy, so that a program can act on the kind and a person on the
/// message. They mirror `martlet_status` in `martlet.h`; bindings turn each into their own exception type.
public struct EngineError: Error, Sendable {
  public enum Kind: Int32, Sendable, CaseIterable {
    /// A setting or argument is wrong: fix the call.
    case invalidArgument = 1
    /// A type does not fit, or batches of one stream differ: fix the input or the declared output.
    case schemaMismatch = 2
    /// A column of this type cannot be a key: cast it.
    case keyType = 3
    /// A record has a null key and the policy is to raise.
    case nullKey = 4
    /// A record has a null timestamp and the policy is to raise.
    case nullTimestamp = 5
    /// State or timers were used where there is no current key.
    case stateAccess = 6
    /// A value does not fit its type.
    case valueRange = 7
    /// A timer re-registered itself at its own time without end.
    case timerLoop = 8
    /// A callback behind the C interface failed; its owner holds the cause.
    case callbackFailed = 9
    /// The job is running: re-entrant or concurrent use.
    case busy = 10
    /// The job was closed or has failed before: build a new one.
    case closed = 11
    /// The source reported an error.
    case sourceFailed = 12
    /// An Arrow type that the engine does not carry.
    case unsupportedType = 13
    /// A broken invariant: report a bug.
    case internalError = 14
    /// A callback failed in a way that no error policy may swallow; its owner holds the cause.
    case callbackFatal = 15
    /// Bytes that are no whole, sound snapshot of a format this version reads: restore from another one.
    case snapshotInvalid = 16
    /// A snapshot of a function with other keys or states: declare them as they were.
    case snapshotMismatch = 17
    /// There is no column of that name: name one of those the message lists. (A `.schemaMismatch` of its own.)
    case missingColumn = 18
    /// Reading or writing files failed (disk full, read-only, no permission): see to that, then open the store again.
    case storageFailed = 19
    /// Another job has the directory open: stop it, or choose another directory.
    case storageInUse = 20
    /// What is on disk is damaged or incomplete: restore from a checkpoint.
    case storageCorrupt = 21
    /// A worker process ended while it was needed: look for what killed it.
    case workerDied = 22
  }

  public var kind: Kind
  public var message: String
  /// The operator the error belongs to, once known.
  public var operatorName: String?
  /// The number of the record in that operator's input, from 0.
  public var record: Int64?
  /// The current key, as text.
  public var key: String?
  /// Of a callback that failed in a worker process: what the binding there gave about the cause, for the binding here.
  public var cause: [UInt8]?

  public init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = message
  }
}

extension EngineError: CustomStringConvertible {
  public var description: String {
    var place = ""
    if let operatorName { place += " in operator '\(operatorName)'" }
    if let record { place += " at record \(record)" }
    if let key { place += " with key \(key)" }
    return "\(message)\(place)"
  }
}
