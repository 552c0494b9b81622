/// Combines the watermarks of several inputs into one: the smallest of those that count.
///
/// An input that is *idle* or *finished* does not count, and one that comes back from being idle counts again once it has caught up
/// with what was forwarded; so the combined watermark never goes back. When the last input that counted goes idle, the largest
/// watermark of all is forwarded first: nothing is left to wait for. When all inputs have finished nothing is forwarded: the end of the
/// input is told in its own way, and an input that is only idle must not be taken for it.
///
/// The rules are those of Flink's `StatusWatermarkValve`, but for finished inputs, which Flink tells from their last watermark.
struct WatermarkValve {
  enum Status { case active, idle, finished }

  private struct Channel {
    var watermark = EventTime.min
    var status = Status.active
    /// Whether it takes part in the minimum.
    var isAligned = true
  }

  /// What goes on, in this order; nil where nothing changes.
  struct Forwarded: Equatable {
    var watermark: Int64?
    var isIdle: Bool?

    static let nothing = Forwarded()
  }

  private var channels: ContiguousArray<Channel>
  /// The combined watermark.
  private(set) var watermark = EventTime.min
  /// Whether every input that has not finished is idle.
  private(set) var isIdle = false

  init(channels count: Int) {
    precondition(count > 0)
    channels = ContiguousArray(repeating: Channel(), count: count)
  }

  /// Starts where an earlier valve stood.
  init(restoring channels: [(watermark: Int64, status: Status)], watermark: Int64) {
    self.init(channels: channels.count)
    for (number, channel) in channels.enumerated() {
      self.channels[number] = Channel(
        watermark: channel.watermark, status: channel.status,
        isAligned: channel.status == .active && channel.watermark >= watermark)
    }
    self.watermark = watermark
    isIdle = !channels.contains { $0.status == .active } && channels.contains { $0.status == .idle }
  }

  func watermark(of channel: Int) -> Int64 { channels[channel].watermark }
  func status(of channel: Int) -> Status { channels[channel].status }

  /// Whether every input counts, so that the combined watermark is plainly the smallest.
  var isPlain: Bool { channels.allSatisfy { $0.isAligned } }

  /// An input's watermark has advanced. That of an input that is idle or has finished is ignored: say first that it is active.
  mutating func advance(_ channel: Int, to watermark: Int64) -> Int64? {
    guard channels[channel].status == .active, watermark > channels[channel].watermark else { return nil }
    channels[channel].watermark = watermark
    if watermark >= self.watermark { channels[channel].isAligned = true }
    return forwardMinimum()
  }

  /// Where plain inputs stand after many advances at once, the combined watermark among them.
  mutating func jump(to watermarks: (Int64, Int64), combined: Int64) {
    channels[0].watermark = watermarks.0
    channels[1].watermark = watermarks.1
    watermark = combined
  }

  mutating func idle(_ channel: Int) -> Forwarded {
    guard channels[channel].status == .active else { return .nothing }
    return leave(channel, .idle)
  }

  mutating func active(_ channel: Int) -> Forwarded {
    guard channels[channel].status == .idle else { return .nothing }
    channels[channel].status = .active
    channels[channel].isAligned = channels[channel].watermark >= watermark
    guard isIdle else { return .nothing }
    isIdle = false
    return Forwarded(isIdle: false)
  }

  mutating func finish(_ channel: Int) -> Forwarded {
    switch channels[channel].status {
    case .finished: return .nothing
    case .active: return leave(channel, .finished)
    case .idle:
      channels[channel].status = .finished
      return .nothing
    }
  }

  private mutating func leave(_ channel: Int, _ status: Status) -> Forwarded {
    channels[channel].status = status
    channels[channel].isAligned = false
    let heldBack = channels[channel].watermark == watermark
    if channels.contains(where: { $0.status == .active }) {
      return Forwarded(watermark: heldBack ? forwardMinimum() : nil)
    }
    guard channels.contains(where: { $0.status == .idle }) else { return .nothing }
    isIdle = true
    return Forwarded(
      watermark: heldBack ? forward(channels.reduce(EventTime.min) { max($0, $1.watermark) }) : nil, isIdle: true)
  }

  private mutating func forwardMinimum() -> Int64? {
    var least = EventTime.max
    var counts = false
    for channel in channels where channel.isAligned {
      least = min(least, channel.watermark)
      counts = true
    }
    return counts ? forward(least) : nil
  }

  private mutating func forward(_ watermark: Int64) -> Int64? {
    guard watermark > self.watermark else { return nil }
    self.watermark = watermark
    return watermark
  }
}
