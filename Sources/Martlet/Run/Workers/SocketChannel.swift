import CMartlet

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Messages, some with a descriptor, between two processes over a stream socket.
///
/// Sending never waits: what the socket does not take is kept and goes out with the next `flush` or `wait`. So two processes that
/// both have much to say cannot block each other; whoever wants to bound what is kept looks at `pendingBytes`.
///
///     length of the payload (4) | kind (1) | payload
///
/// Not thread-safe.
final class SocketChannel {
  /// The other end is gone, or speaks another language.
  enum Failure: Error {
    case ended
    case broken(String)
  }

  struct Message {
    let kind: UInt8
    let payload: [UInt8]
  }

  private static let headBytes = 5
  /// No message is nearly as long; what says so is not ours.
  static let longestMessage = 1 << 30

  /// -1 once it was closed.
  private(set) var socket: Int32
  private var outgoing: [UInt8] = []
  private var sent = 0
  /// Descriptors to send, each with the byte at its position of `outgoing`; closing them is their owner's.
  private var descriptorsOut: [(position: Int, descriptor: Int32, onSent: () -> Void)] = []
  private var incoming: [UInt8] = []
  private var parsed = 0
  private var descriptorsIn: [Int32] = []
  private var chunk = [UInt8](repeating: 0, count: 1 << 16)

  /// Takes the socket, which is closed with the channel, also when this throws.
  init(moving socket: Int32) throws(EngineError) {
    guard martlet_socket_prepare(socket) == 0 else {
      self.socket = -1
      let status = errno
      if socket >= 0 { _ = close(socket) }
      errno = status
      throw EngineError(
        .invalidArgument, "descriptor \(socket) is no socket of a worker (\(String(cString: strerror(errno))))")
    }
    self.socket = socket
  }

  deinit { end() }

  /// Closes the socket: the other end is told, and nothing more is sent.
  func end() {
    for descriptor in descriptorsIn { _ = close(descriptor) }
    descriptorsIn = []
    descriptorsOut = []
    if socket >= 0 { _ = close(socket) }
    socket = -1
  }

  /// What the socket has not taken.
  var pendingBytes: Int { outgoing.count - sent }

  // MARK: - Sending

  /// Queues a message. `onSent` is called when the descriptor has gone.
  func send(_ kind: UInt8, _ payload: [UInt8] = [], descriptor: Int32? = nil, onSent: @escaping () -> Void = {}) {
    if let descriptor { descriptorsOut.append((outgoing.count, descriptor, onSent)) }
    withUnsafeBytes(of: UInt32(payload.count).littleEndian) { outgoing.append(contentsOf: $0) }
    outgoing.append(kind)
    outgoing.append(contentsOf: payload)
  }

  /// Gives the socket as much as it takes.
  func flush() throws(Failure) {
    guard socket >= 0 else { throw .ended }
    while sent < outgoing.count {
      // Up to the next byte that carries a descriptor.
      let carried = descriptorsOut.first.flatMap { $0.position == sent ? $0.descriptor : nil }
      let boundary = descriptorsOut.first { $0.position > sent }?.position ?? outgoing.count
      let count = outgoing.withUnsafeBytes {
        martlet_socket_send(socket, $0.baseAddress! + sent, boundary - sent, carried ?? -1)
      }
      if count < 0 {
        switch errno {
        case EINTR: continue
        case EAGAIN, EWOULDBLOCK, ENOBUFS: return
        case EPIPE, ECONNRESET, ENOTCONN: throw .ended
        default: throw .broken("sending failed: \(String(cString: strerror(errno)))")
        }
      }
      sent += count
      if carried != nil { descriptorsOut.removeFirst().onSent() }
    }
    outgoing.removeAll(keepingCapacity: outgoing.capacity <= 1 << 20)
    sent = 0
  }

  // MARK: - Receiving

  /// The next message that is here; nil if none is whole. What had come before the other end went is still given.
  func receive() throws(Failure) -> Message? {
    if let message = try parse() { return message }
    guard socket >= 0 else { throw .ended }
    while true {
      var descriptors = [Int32](repeating: -1, count: Int(MARTLET_SOCKET_DESCRIPTORS))
      var descriptorCount: Int32 = 0
      let count = chunk.withUnsafeMutableBytes {
        martlet_socket_receive(socket, $0.baseAddress, $0.count, &descriptors, &descriptorCount)
      }
      if count < 0 {
        switch errno {
        case EINTR: continue
        case EAGAIN, EWOULDBLOCK: return nil
        case ECONNRESET, ENOTCONN: throw .ended
        default: throw .broken("receiving failed: \(String(cString: strerror(errno)))")
        }
      }
      descriptorsIn.append(contentsOf: descriptors.prefix(Int(descriptorCount)))
      guard count > 0 else { throw .ended }
      incoming.append(contentsOf: chunk[0..<count])
      if let message = try parse() { return message }
    }
  }

  /// The descriptor that came with a message; in the order of the messages.
  func takeDescriptor() throws(Failure) -> Int32 {
    guard !descriptorsIn.isEmpty else { throw .broken("a message came without its descriptor") }
    return descriptorsIn.removeFirst()
  }

  private func parse() throws(Failure) -> Message? {
    guard incoming.count - parsed >= Self.headBytes else { return nil }
    let length = Int(
      UInt32(incoming[parsed]) | UInt32(incoming[parsed + 1]) << 8 | UInt32(incoming[parsed + 2]) << 16
        | UInt32(incoming[parsed + 3]) << 24)
    guard length <= Self.longestMessage else { throw .broken("a message announces \(length) bytes") }
    let begin = parsed + Self.headBytes
    guard incoming.count - begin >= length else { return nil }
    let message = Message(kind: incoming[parsed + 4], payload: Array(incoming[begin..<(begin + length)]))
    parsed = begin + length
    if parsed == incoming.count {
      incoming.removeAll(keepingCapacity: incoming.capacity <= 1 << 20)
      parsed = 0
    } else if parsed > 1 << 16 {
      incoming.removeFirst(parsed)
      parsed = 0
    }
    return message
  }

  // MARK: - Waiting

  /// Waits until something can be read, or sent if something is pending, at most so long; nil waits without end. Signals end
  /// the wait early.
  func wait(milliseconds: Int64?) {
    Self.wait(for: [self], milliseconds: milliseconds)
  }

  /// The same for any of several, or until another descriptor can be read.
  static func wait(for channels: [SocketChannel], or other: Int32? = nil, milliseconds: Int64?) {
    var entries = channels.map {
      pollfd(fd: $0.socket, events: Int16(POLLIN) | ($0.pendingBytes > 0 ? Int16(POLLOUT) : 0), revents: 0)
    }
    if let other { entries.append(pollfd(fd: other, events: Int16(POLLIN), revents: 0)) }
    _ = poll(&entries, nfds_t(entries.count), milliseconds.map { Int32(clamping: $0) } ?? -1)
  }
}

/// Milliseconds of a clock that only moves forward, for waits.
func monotonicMilliseconds() -> Int64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Int64(time.tv_sec) &* 1000 &+ Int64(time.tv_nsec) / 1_000_000
}
