import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A named place where a test can make the engine fail or die.
///
/// The places are those between two effects on the disk: a crash there leaves the first without the second, and recovery
/// has to cope. This list is the crash matrix: a test goes through `allCases`. None is on the path of a record, and one that
/// is not armed costs the load of one flag.
///
/// A test in the same process arms a place with `arm`; a test of whole processes with the environment variable
/// `MARTLET_FAULT=place:action[:count]`, several separated by commas, where the action is `throw` (fail with
/// `.storageFailed`), `kill` (end the process as `kill -9` does) or `note` (write the place's name to standard error, at every
/// visit), and the count says at which visit (1 is the first).
package enum FaultPoint: String, CaseIterable, Sendable {
  // A file that is replaced atomically.
  case fileBeforeRename = "file-before-rename"
  case fileAfterRename = "file-after-rename"
  // A write batch, before it is handed to the store and after it is durable.
  case storeBeforeWrite = "store-before-write"
  case storeAfterWrite = "store-after-write"
  // Before RocksDB changes a file or folder, in whatever thread.
  case storeFileChange = "store-file-change"
  // A copy of a store, before it is begun and after it is there, not yet durable by name.
  case storeBeforeCopy = "store-before-copy"
  case storeAfterCopy = "store-after-copy"
  // A clone of a copy, after its files are there and before it has its final name.
  case storeBeforeCloneRename = "store-before-clone-rename"
  // A sink's transaction, around its preparation, and around its commit once the checkpoint is durable.
  case sinkBeforePrepare = "sink-before-prepare"
  case sinkAfterPrepare = "sink-after-prepare"
  case sinkBeforeCommit = "sink-before-commit"
  case sinkAfterCommit = "sink-after-commit"
  // A checkpoint that was put down in memory, before anything of it is written.
  case checkpointPutDown = "checkpoint-put-down"
  // A checkpoint in files: before the first one, before its manifest, and around the name it becomes valid under.
  case checkpointBeforeFiles = "checkpoint-before-files"
  case checkpointBeforeManifest = "checkpoint-before-manifest"
  case checkpointBeforeRename = "checkpoint-before-rename"
  case checkpointAfterRename = "checkpoint-after-rename"
  // A store that is made out of a checkpoint: after the old one is gone, and when it is there.
  case resumeBeforeStore = "resume-before-store"
  case resumeAfterStore = "resume-after-store"
  // A checkpoint that need not be kept, before and after it loses its name.
  case checkpointBeforeRemove = "checkpoint-before-remove"
  case checkpointAfterRemove = "checkpoint-after-remove"

  package enum Action: String, Sendable {
    case fail = "throw"
    case kill
    case note
  }

  /// To be called at the place. Throws if a test wants it to; anything else wrong with `MARTLET_FAULT` is `.invalidArgument`.
  @inline(__always)
  package func reach() throws(EngineError) {
    if FaultPoint.isAnyArmed.load(ordering: .relaxed) { try visit() }
  }

  /// From now on the `count`th visit of this place, in whatever thread, acts; once, or then and ever after.
  package func arm(_ action: Action, at count: Int = 1, forGood: Bool = false) {
    FaultPoint.armed.withLock { $0[self] = Armed(action: action, remaining: count, forGood: forGood) }
    FaultPoint.isAnyArmed.store(true, ordering: .relaxed)
  }

  /// Whether it has not acted yet.
  @discardableResult package func disarm() -> Bool {
    FaultPoint.armed.withLock { $0.removeValue(forKey: self).map { $0.remaining > 0 } ?? false }
  }

  private struct Armed {
    var action: Action
    var remaining: Int
    var forGood: Bool
  }

  private static let armed = Locked<[FaultPoint: Armed]>([:])
  /// What is wrong with the environment variable, to be said by the first place that is reached.
  private static let complaint = Locked<EngineError?>(nil)
  private static let isAnyArmed: Atomic<Bool> = {
    guard let text = getenv("MARTLET_FAULT").map({ String(cString: $0) }), !text.isEmpty else { return Atomic(false) }
    do throws(EngineError) {
      let plan = try parse(text)
      armed.withLock { $0 = plan }
    } catch {
      complaint.withLock { $0 = error }
    }
    return Atomic(true)
  }()

  @inline(never)
  private func visit() throws(EngineError) {
    if let complaint = FaultPoint.complaint.withLock({ $0 }) { throw complaint }
    let action: Action? = FaultPoint.armed.withLock { plan in
      guard var mine = plan[self] else { return nil }
      if mine.action == .note { return .note }
      mine.remaining -= 1
      plan[self] = mine.remaining > 0 || mine.forGood ? mine : nil
      return mine.remaining <= 0 ? mine.action : nil
    }
    switch action {
    case nil: return
    case .kill: kill(getpid(), SIGKILL)
    case .note: FaultPoint.note(rawValue)
    case .fail: throw EngineError(.storageFailed, "fault point '\(rawValue)' was armed to fail here")
    }
  }

  /// By the system's call: nothing of it waits in a buffer when the process dies.
  private static func note(_ name: String) {
    var line = "fault point \(name)\n"
    line.withUTF8 { bytes in _ = write(2, bytes.baseAddress, bytes.count) }
  }

  private static func parse(_ text: String) throws(EngineError) -> [FaultPoint: Armed] {
    var plan: [FaultPoint: Armed] = [:]
    for item in text.split(separator: ",") {
      let parts = item.split(separator: ":", omittingEmptySubsequences: false)
      let count = parts.count == 3 ? Int(parts[2]) : 1
      guard parts.count == 2 || parts.count == 3, let place = FaultPoint(rawValue: String(parts[0])),
        let action = Action(rawValue: String(parts[1])), let count, count > 0
      else {
        throw EngineError(
          .invalidArgument,
          "MARTLET_FAULT: '\(item)' is not PLACE:throw|kill|note[:COUNT]; the places are "
            + allCases.map(\.rawValue).joined(separator: ", "))
      }
      plan[place] = Armed(action: action, remaining: count, forGood: false)
    }
    return plan
  }
}
