/// One pending timer.
struct TimerNode: BitwiseCopyable {
  /// Where the node lies, so that it can be taken out from the middle.
  enum Place {
    case bucket(Int)
    case late(Int)
    case run(Int)
  }

  var time: Int64
  /// Order of registration.
  var sequence: UInt64
  var slot: UInt32
  var depth: UInt32
  /// The neighbours in the list of the key's timers, plus one; 0 for none.
  var next: UInt32 = 0
  var previous: UInt32 = 0
  /// Position within the container.
  private var at: UInt32 = 0
  /// 0...63: a bucket; the two marks below otherwise.
  private var container: UInt16 = 0
  /// Beside the container, so that a name costs an unnamed timer nothing: 40 bytes a timer.
  var name: TimerName

  private static let lateMark: UInt16 = 64
  private static let runMark: UInt16 = 65

  init(time: Int64, sequence: UInt64, slot: UInt32, depth: UInt32, name: TimerName) {
    self.time = time
    self.sequence = sequence
    self.slot = slot
    self.depth = depth
    self.name = name
  }

  var position: Int { Int(at) }

  var place: Place {
    get {
      switch container {
      case TimerNode.lateMark: .late(Int(at))
      case TimerNode.runMark: .run(Int(at))
      default: .bucket(Int(container))
      }
    }
    set {
      switch newValue {
      case .bucket(let bucket): container = UInt16(bucket)
      case .late(let position): (container, at) = (TimerNode.lateMark, UInt32(position))
      case .run(let position): (container, at) = (TimerNode.runMark, UInt32(position))
      }
    }
  }

  @inline(__always)
  mutating func put(inBucket bucket: Int, at position: Int) {
    container = UInt16(truncatingIfNeeded: bucket)
    at = UInt32(truncatingIfNeeded: position)
  }

  mutating func moved(to position: Int) { at = UInt32(truncatingIfNeeded: position) }
}

/// The nodes of a timer queue, addressed by number so that tables can refer to them in four bytes.
struct TimerStore: ~Copyable {
  /// Never a node's number.
  static let gone = UInt32.max

  private var nodes: UnsafeMutablePointer<TimerNode>
  private var capacity = 256
  private var used = 0
  private var firstFree = TimerStore.gone

  init() { nodes = .blocks(capacity) }

  deinit { nodes.freeBlocks() }

  var memoryBytes: Int { used * MemoryLayout<TimerNode>.stride }

  subscript(node: UInt32) -> TimerNode {
    @inline(__always) unsafeAddress { UnsafePointer(nodes + Int(node)) }
    @inline(__always) nonmutating unsafeMutableAddress { nodes + Int(node) }
  }

  mutating func add(_ node: TimerNode) -> UInt32 {
    if firstFree != TimerStore.gone {
      let number = firstFree
      firstFree = nodes[Int(number)].next
      nodes[Int(number)] = node
      return number
    }
    if used == capacity {
      // A queue marks lists with the highest bit of a node's number.
      guard capacity < 1 << 30 else { fatalError("martlet: more than 2^30 timers pending in one operator instance") }
      capacity *= 2
      nodes.growBlocks(to: capacity)
    }
    nodes[used] = node
    used &+= 1
    return UInt32(used - 1)
  }

  mutating func free(_ node: UInt32) {
    nodes[Int(node)].next = firstFree
    firstFree = node
  }
}
