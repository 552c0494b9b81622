"""What functions are applied to: keyed streams, two connected streams, a stream and a broadcast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, overload

from ._engine import State
from .arguments import one_config
from .config import Config
from .errors import ConfigError
from .operators import apply_to
from .states import all_states

if TYPE_CHECKING:
    from .stream import Stream

__all__ = ["BroadcastConnectedStreams", "BroadcastStream", "ConnectedStreams", "KeyedStream"]


class KeyedStream:
    """A stream with a key: what a process function needs."""

    __slots__ = ("_columns", "_stream")

    def __init__(self, stream: Stream, columns: tuple[str, ...]) -> None:
        self._stream = stream
        self._columns = columns

    @property
    def key(self) -> tuple[str, ...]:
        """The key's columns."""
        return self._columns

    def process(
        self,
        fn: Any,
        *states: State,
        output: Any = None,
        side_outputs: Mapping[str, Any] | None = None,
        name: str | None = None,
        config: Config | None = None,
    ) -> Stream:
        """Runs a process function over the stream; see `apply_process_function`."""
        return apply_to(
            (self._stream,),
            "process",
            fn,
            states,
            (self._columns,),
            output=output,
            side_outputs=side_outputs,
            name=name,
            config=config,
        )

    @overload
    def connect(self, other: KeyedStream) -> ConnectedStreams: ...
    @overload
    def connect(self, other: BroadcastStream) -> BroadcastConnectedStreams: ...
    def connect(self, other: KeyedStream | BroadcastStream) -> ConnectedStreams | BroadcastConnectedStreams:
        """This stream and another keyed one, left and right, or this stream and a broadcast; `.process(fn)` follows."""
        if isinstance(other, KeyedStream):
            return ConnectedStreams(self, other)
        if isinstance(other, BroadcastStream):
            return BroadcastConnectedStreams(self._stream, self._columns, other)
        raise ConfigError(
            f"a keyed stream is connected with another keyed stream or a broadcast, got {type(other).__name__}; use "
            ".key_by(...) or .broadcast(...) on it first"
        )

    def __repr__(self) -> str:
        return f"<KeyedStream {self._stream!r} by {', '.join(self._columns)}>"


class ConnectedStreams:
    """Two keyed streams that one function reads, with shared state and timers per key (Flink: ConnectedStreams)."""

    __slots__ = ("_left", "_right")

    def __init__(self, left: KeyedStream, right: KeyedStream) -> None:
        if len(left.key) != len(right.key):
            raise ConfigError(
                f"connected streams have keys of one type: the left key has {len(left.key)} columns "
                f"({', '.join(left.key)}), the right one {len(right.key)} ({', '.join(right.key)})"
            )
        one_config(left._stream._config, right._stream._config)
        self._left = left
        self._right = right

    def process(
        self,
        fn: Any,
        *states: State,
        output: Any = None,
        side_outputs: Mapping[str, Any] | None = None,
        name: str | None = None,
        config: Config | None = None,
    ) -> Stream:
        """Runs a function over both streams; see `connect_streams`."""
        return apply_to(
            (self._left._stream, self._right._stream),
            "connect",
            fn,
            states,
            (self._left.key, self._right.key),
            output=output,
            side_outputs=side_outputs,
            name=name,
            config=config,
        )

    def __repr__(self) -> str:
        return f"<ConnectedStreams {self._left!r}, {self._right!r}>"


class BroadcastStream:
    """A stream that every parallel instance of a function sees whole, and the states it may write (Flink:
    BroadcastStream)."""

    __slots__ = ("_states", "_stream")

    def __init__(self, stream: Stream, states: tuple[State, ...]) -> None:
        all_states(None, (), "broadcast", "broadcast", states)
        self._stream = stream
        self._states = states

    @property
    def states(self) -> tuple[State, ...]:
        """The broadcast states."""
        return self._states

    def __repr__(self) -> str:
        return f"<BroadcastStream {self._stream!r}, {', '.join(map(repr, self._states)) or 'no states'}>"


class BroadcastConnectedStreams:
    """A stream, keyed or not, and a broadcast that one function reads (Flink: BroadcastConnectedStream)."""

    __slots__ = ("_broadcast", "_key", "_stream")

    def __init__(self, stream: Stream, key: tuple[str, ...], broadcast: BroadcastStream) -> None:
        one_config(stream._config, broadcast._stream._config)
        self._stream = stream
        self._key = key
        self._broadcast = broadcast

    def process(
        self,
        fn: Any,
        *states: State,
        output: Any = None,
        side_outputs: Mapping[str, Any] | None = None,
        name: str | None = None,
        config: Config | None = None,
    ) -> Stream:
        """Runs a function over the stream and the broadcast; see `broadcast_stream`."""
        return apply_to(
            (self._stream, self._broadcast._stream),
            "broadcast",
            fn,
            states,
            (self._key, ()),
            broadcast=self._broadcast.states,
            output=output,
            side_outputs=side_outputs,
            name=name,
            config=config,
        )

    def __repr__(self) -> str:
        by = f" by {', '.join(self._key)}" if self._key else ""
        return f"<BroadcastConnectedStreams {self._stream!r}{by}, {self._broadcast!r}>"
