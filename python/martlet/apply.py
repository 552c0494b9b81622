"""Applying functions to streams: to one, to two, to a stream and a broadcast."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ._engine import State
from .arguments import key_columns, side_keys
from .config import Config
from .errors import ConfigError
from .keyed import BroadcastConnectedStreams, BroadcastStream, ConnectedStreams, KeyedStream
from .stream import Stream

__all__ = ["apply_process_function", "broadcast_stream", "connect_streams"]


def apply_process_function(
    stream: Stream | KeyedStream,
    key: str | Iterable[str] | None,
    fn: Any,
    *states: State,
    output: Any = None,
    side_outputs: Mapping[str, Any] | None = None,
    name: str | None = None,
    config: Config | None = None,
) -> Stream:
    """Runs a process function over a stream (Flink: KeyedStream.process).

    - `key`: a column, a sequence of columns, or None when the stream is a `KeyedStream`.
    - `fn`: an instance of `ProcessFunction`, any object with the same methods, or a callable `fn(key, batch, row,
      ctx)`.
    - `states`: states beyond those that are attributes of `fn`; the object itself is the handle inside a callback.
    - `output`: a mapping name -> type or an Arrow schema; inferred from the first emission when left out.
    - `side_outputs`: a mapping tag -> schema (as for `output`) for side outputs; those that are not in it are inferred.
    - `name`: the operator's name in messages; the class's or function's name when left out.

    Raises ConfigError for arguments that do not fit.
    """
    keyed = _keyed(stream, None if key is None else key_columns((key,) if isinstance(key, str) else key))
    return keyed.process(fn, *states, output=output, side_outputs=side_outputs, name=name, config=config)


def connect_streams(
    left: Stream | KeyedStream,
    right: Stream | KeyedStream,
    fn: Any,
    *states: State,
    key: Any = None,
    output: Any = None,
    side_outputs: Mapping[str, Any] | None = None,
    name: str | None = None,
    config: Config | None = None,
) -> Stream:
    """Runs one function over two keyed streams that share keys, states and timers (Flink: ConnectedStreams.process).

    - `key`: a column that both streams have, or a pair (left, right), each a column or a tuple of columns; None when
      both are `KeyedStream`s. The types of the keys must be the same.
    - `fn`: an instance of `CoProcessFunction`, or any object with `on_left` and `on_right`, or with `on_event` for both
      sides (`ctx.side` tells), or a callable `fn(key, batch, row, ctx)`.
    - `states`, `output`, `side_outputs`, `name`, `config`: as for `apply_process_function`. Both streams and the
      function have one config.

    The two inputs are merged by event time, the left one first among equals, so that the result is the same in every
    run; a record without a time goes at once. If a source is live (see `stream`), records are merged as they arrive.
    The watermark is the lesser of both; an input that has ended, or that is idle, does not hold it back.

    Raises ConfigError for arguments that do not fit; KeyTypeError, when it runs, for keys of different types.
    """
    if key is None:
        for side, stream in (("left", left), ("right", right)):
            if isinstance(stream, Stream):
                raise ConfigError(f"the {side} stream has no key: pass key=, or use .key_by(...) on both")
    left_key, right_key = (None, None) if key is None else side_keys(key)
    streams = ConnectedStreams(_keyed(left, left_key), _keyed(right, right_key))
    return streams.process(fn, *states, output=output, side_outputs=side_outputs, name=name, config=config)


def broadcast_stream(
    stream: Stream | KeyedStream,
    broadcast: BroadcastStream,
    fn: Any,
    *states: State,
    key: str | Iterable[str] | None = None,
    output: Any = None,
    side_outputs: Mapping[str, Any] | None = None,
    name: str | None = None,
    config: Config | None = None,
) -> Stream:
    """Runs a function over a stream and a broadcast, such as rules (Flink: BroadcastConnectedStream.process).

    - `stream`: the main stream; keyed, or by `key`, or without a key, and then without keyed states and timers.
    - `broadcast`: `rules.broadcast(BroadcastState("rules"), …)`: the stream whose records every parallel instance sees,
      with the states that they may write.
    - `fn`: an instance of `BroadcastProcessFunction`, or any object with `on_event` and `on_broadcast`. The objects
      given to `.broadcast(...)`, attributes of `fn` of the same names, and `ctx.state(name)` are handles to the same
      states.
    - the rest: as for `apply_process_function`.

    The two inputs are merged as in `connect_streams`, the broadcast first among equals. A bounded broadcast is read to
    its end first unless both streams have event times.

    Raises ConfigError for arguments that do not fit.
    """
    if not isinstance(broadcast, BroadcastStream):
        raise ConfigError(
            f"expected a broadcast such as rules.broadcast(BroadcastState('rules')), got {type(broadcast).__name__}"
        )
    if key is None and isinstance(stream, Stream):
        connected = BroadcastConnectedStreams(stream, (), broadcast)
    else:
        keyed = _keyed(stream, None if key is None else key_columns((key,) if isinstance(key, str) else key))
        connected = keyed.connect(broadcast)
    return connected.process(fn, *states, output=output, side_outputs=side_outputs, name=name, config=config)


def _keyed(stream: Stream | KeyedStream, key: tuple[str, ...] | None) -> KeyedStream:
    if isinstance(stream, KeyedStream):
        if key is not None:
            raise ConfigError(f"the stream is keyed by {', '.join(stream.key)} already; pass key=None")
        return stream
    if not isinstance(stream, Stream):
        raise ConfigError(f"expected a stream, got {type(stream).__name__}; make one with martlet.stream(...)")
    if key is None:
        raise ConfigError("the stream has no key: pass the column, or use stream.key_by(...)")
    return KeyedStream(stream, key)
