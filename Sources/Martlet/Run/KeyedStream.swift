/// A stream divided by a key: functions applied to it have the state and timers of the current key.
public struct KeyedStream {
  public let stream: Stream
  /// The columns that make up the key.
  public let key: [String]

  @usableFromInline
  init(_ stream: Stream, _ key: [String]) {
    self.stream = stream
    self.key = key
  }

  /// As `applyProcessFunction`.
  @inlinable
  public func process<Function: ProcessFunction>(
    _ function: @autoclosure @escaping () -> Function, states: [AnyState] = [], output: Schema? = nil,
    name: String? = nil, config: Stream.Config? = nil
  ) -> Stream {
    applyProcessFunction(
      stream, keys: key, function(), states: states, output: output, name: name, config: config)
  }

  /// Brings a second keyed stream in, for a function over both.
  public func connect(_ right: KeyedStream) -> ConnectedStreams { ConnectedStreams(left: self, right: right) }

  /// Brings a broadcast stream in.
  public func connect(_ broadcast: BroadcastStream) -> BroadcastConnectedStreams {
    BroadcastConnectedStreams(main: stream, key: key, broadcast: broadcast)
  }
}

extension Stream {
  /// Divides the stream by the columns that make up the key.
  public func keyBy(_ columns: String...) -> KeyedStream { KeyedStream(self, columns) }

  /// Makes this the broadcast side of a function: every parallel instance is given all of its records. `states` are those it may
  /// write; without any, all broadcast states of the function.
  public func broadcast(_ states: AnyState...) -> BroadcastStream { BroadcastStream(stream: self, states: states) }

  /// Brings a broadcast stream into a stream that is not keyed, whose function has broadcast state only and no timers.
  public func connect(_ broadcast: BroadcastStream) -> BroadcastConnectedStreams {
    BroadcastConnectedStreams(main: self, key: [], broadcast: broadcast)
  }
}

/// Two keyed streams that a function takes together.
public struct ConnectedStreams {
  @usableFromInline let left: KeyedStream
  @usableFromInline let right: KeyedStream

  /// As `connectStreams`.
  @inlinable
  public func process<Function: CoProcessFunction>(
    _ function: @autoclosure @escaping () -> Function, states: [AnyState] = [], output: Schema? = nil,
    name: String? = nil, config: Stream.Config? = nil
  ) -> Stream {
    connectStreams(left, right, function(), states: states, output: output, name: name, config: config)
  }
}

/// A stream whose every record goes to all instances of the function it is connected to.
public struct BroadcastStream {
  @usableFromInline let stream: Stream
  @usableFromInline let states: [AnyState]
}

/// A main stream and a broadcast stream that a function takes together.
public struct BroadcastConnectedStreams {
  @usableFromInline let main: Stream
  @usableFromInline let key: [String]
  @usableFromInline let broadcast: BroadcastStream

  /// As `broadcastStream`.
  @inlinable
  public func process<Function: BroadcastProcessFunction>(
    _ function: @autoclosure @escaping () -> Function, states: [AnyState] = [], output: Schema? = nil,
    name: String? = nil, config: Stream.Config? = nil
  ) -> Stream {
    broadcastStream(
      main, broadcast, keys: key, function(), states: states, output: output, name: name, config: config)
  }
}

/// Applies a function to two streams keyed by values of one type: it has one state and one set of timers per key for both.
///
/// Records of streams that are not live are merged by timestamp, left first on ties, so that the result is the same in every run; records
/// without timestamps take turns.
///
/// - Parameters:
///   - function: evaluated once for every run and parallel instance.
///   - states: states beyond the stored properties of the function.
///   - output: the schema of the output; otherwise that of the function's `OutputColumn`s, or of the first record emitted.
@inlinable
public func connectStreams<Function: CoProcessFunction>(
  _ left: KeyedStream, _ right: KeyedStream, _ function: @autoclosure @escaping () -> Function,
  states: [AnyState] = [], output: Schema? = nil, name: String? = nil, config: Stream.Config? = nil
) -> Stream {
  Stream(config: config ?? left.stream.config) { plan in
    func make() throws -> ProcessSpec {
      var spec = try ProcessSpec(
        twoInputs: function(), name: name, keyColumns: left.key, states: states, outputSchema: output)
      spec.kind = .connect
      spec.rightKeyColumns = right.key
      return spec
    }
    var spec = try make()
    spec.makeInstance = { _ in try make() }
    return try plan.add(spec, to: [left.stream, right.stream])
  }
}

/// The same for streams keyed by one column of the same name.
@inlinable
public func connectStreams<Function: CoProcessFunction>(
  _ left: Stream, _ right: Stream, _ key: String, _ function: @autoclosure @escaping () -> Function,
  states: [AnyState] = [], output: Schema? = nil, name: String? = nil, config: Stream.Config? = nil
) -> Stream {
  connectStreams(
    KeyedStream(left, [key]), KeyedStream(right, [key]), function(), states: states, output: output, name: name,
    config: config)
}

/// Applies a function to the records of each key and to those of a broadcast stream.
///
/// Streams that are not live and have timestamps are merged by them, the broadcast side first on ties; otherwise a broadcast side that is
/// not live is read to its end first.
///
/// - Parameters:
///   - broadcast: made by `stream.broadcast(…)`.
///   - key: the column of `main` that holds the key; nil: no key, so no keyed state and no timers.
@inlinable
public func broadcastStream<Function: BroadcastProcessFunction>(
  _ main: Stream, _ broadcast: BroadcastStream, key: String? = nil,
  _ function: @autoclosure @escaping () -> Function, states: [AnyState] = [], output: Schema? = nil,
  name: String? = nil, config: Stream.Config? = nil
) -> Stream {
  broadcastStream(
    main, broadcast, keys: key.map { [$0] } ?? [], function(), states: states, output: output, name: name,
    config: config)
}

/// The same for a key of several columns, or none.
@inlinable
public func broadcastStream<Function: BroadcastProcessFunction>(
  _ main: Stream, _ broadcast: BroadcastStream, keys: [String], _ function: @autoclosure @escaping () -> Function,
  states: [AnyState] = [], output: Schema? = nil, name: String? = nil, config: Stream.Config? = nil
) -> Stream {
  Stream(config: config ?? main.config) { plan in
    func make() throws -> ProcessSpec {
      var spec = try ProcessSpec(
        twoInputs: function(), name: name, keyColumns: keys, states: states, broadcastStates: broadcast.states,
        outputSchema: output)
      spec.kind = .broadcast
      return spec
    }
    var spec = try make()
    spec.makeInstance = { _ in try make() }
    return try plan.add(spec, to: [main, broadcast.stream])
  }
}
