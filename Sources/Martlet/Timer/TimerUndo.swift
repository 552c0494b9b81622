/// What one callback did to a timer queue, so that it can be taken back when the callback fails.
///
/// Not recorded: the timer that fired. A callback that failed has had its turn.
struct TimerUndo {
  private enum Change {
    case added(TimerNode)
    case removed(TimerNode)
  }

  /// Set while a callback runs that may have to be undone; a queue that nobody undoes pays one test per change.
  private(set) var isRecording = false
  private var changes: [Change] = []
  private var sequence: UInt64 = 0

  mutating func note(added timer: TimerNode) { changes.append(.added(timer)) }
  mutating func note(removed timer: TimerNode) { changes.append(.removed(timer)) }

  fileprivate mutating func begin(_ sequence: UInt64) {
    isRecording = true
    self.sequence = sequence
  }

  fileprivate mutating func end() {
    isRecording = false
    changes.removeAll(keepingCapacity: changes.count <= 1024)
  }

  fileprivate mutating func takeBack(from queue: TimerQueue) {
    isRecording = false
    for change in changes.reversed() {
      switch change {
      case .added(let timer): queue.delete(slot: timer.slot, time: timer.time, name: timer.name)
      // With the number of its first registration, so that it also fires in its old place.
      case .removed(let timer): queue.insert(timer)
      }
    }
    queue.sequence = sequence
    end()
  }
}

extension TimerQueue {
  /// From here to `commitCall` or `rollbackCall`, registrations and deletes are remembered.
  func beginCall() { undo.begin(sequence) }

  /// Keeps what was done since `beginCall`.
  func commitCall() { undo.end() }

  /// Takes back what was done since `beginCall`. Does nothing unless a call was begun.
  func rollbackCall() {
    guard undo.isRecording else { return }
    undo.takeBack(from: self)
  }
}
