/// A process function of two inputs, as the engine sees it: conform to `CoProcessFunction` or `BroadcastProcessFunction`.
public protocol TwoInputFunction: ProcessFunction {
  mutating func onLeft(key: Key, batch: Record, row: Int, context: Context) throws
  /// For a broadcast the key has no parts.
  mutating func onRight(key: Key, batch: Record, row: Int, context: Context) throws
}

/// Per-record code over two keyed streams that share keys, state and timers.
///
/// Implement `onLeft` and `onRight`, or `onEvent` alone, which is then called for both and asks `context.side`. Keys of both sides have one
/// type; the watermark is the smaller of the two. Columns of the right side are declared with `InputColumn("x", side: .right)`; one
/// declared without a side is read on whichever sides have it.
///
/// The model is Flink's `KeyedCoProcessFunction`.
public protocol CoProcessFunction: TwoInputFunction {}

extension CoProcessFunction {
  @inlinable
  public mutating func onLeft(key: Key, batch: Record, row: Int, context: Context) throws {
    try onEvent(key: key, batch: batch, row: row, context: context)
  }

  @inlinable
  public mutating func onRight(key: Key, batch: Record, row: Int, context: Context) throws {
    try onEvent(key: key, batch: batch, row: row, context: context)
  }

  /// Only called if `onLeft` or `onRight` is missing.
  public mutating func onEvent(key: Key, batch: Record, row: Int, context: Context) throws {
    throw EngineError(
      .invalidArgument,
      "\(Self.self) has no code for a record of the \(context.side == .right ? "right" : "left") side; implement onLeft and onRight, or "
        + "onEvent for both")
  }
}

/// Per-record code over a stream, keyed or not, with a second stream that every parallel instance sees whole: rules, settings, a small
/// table.
///
/// `onBroadcast` is called for each record of the second stream. It writes the function's `BroadcastState`s, and can visit what keys
/// hold with `context.applyToKeyedState`; it has no current key, so no keyed state and no timers. `onEvent` and `onTimer` read
/// `BroadcastState`s and cannot write them.
///
/// The model is Flink's `KeyedBroadcastProcessFunction`, and `BroadcastProcessFunction` where the main stream has no key: then `key` has
/// no parts, and there is neither keyed state nor timers.
public protocol BroadcastProcessFunction: TwoInputFunction {
  mutating func onBroadcast(batch: Record, row: Int, context: Context) throws
}

extension BroadcastProcessFunction {
  @inlinable
  public mutating func onLeft(key: Key, batch: Record, row: Int, context: Context) throws {
    try onEvent(key: key, batch: batch, row: row, context: context)
  }

  @inlinable
  public mutating func onRight(key: Key, batch: Record, row: Int, context: Context) throws {
    try onBroadcast(batch: batch, row: row, context: context)
  }
}
