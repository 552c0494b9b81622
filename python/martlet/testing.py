"""The harness for unit tests of process functions: records, watermarks and clocks by hand, no stream around it.

from martlet.testing import Harness

with Harness(Counter(), key="user_id") as h:
    h.push({"user_id": "ann", "amount": 5}, timestamp=12)
    assert h.output() == [{"user_id": "ann", "n": 1}]
    h.advance_watermark(60_012)
    assert h.state("count", "ann") is None
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Final, Literal, Self, cast, overload

from . import _engine
from ._engine import BroadcastState, ManualClock, RecordBatch, State, Timer
from .arguments import duration
from .config import Config
from .errors import ConfigError
from .failures import FailureLog
from .graph import Edge, Kind, Plan, SourceNode
from .harness_inputs import HarnessInput, SideName, harness_inputs, one_row, record_batch
from .instances import kind_of
from .operators import operator_node
from .run import add_operators, add_source, new_job
from .states import attribute_states

__all__ = ["Harness"]


class _FromColumn:
    def __repr__(self) -> str:
        return "<from the timestamp column>"


_FROM_COLUMN: Final = _FromColumn()


class Harness:
    """Drives one process function, one record at a time (Flink: KeyedOneInputStreamOperatorTestHarness and its kin).

    - `fn`, `states`, `output`, `side_outputs`, `name`: as for `apply_process_function`, `connect_streams` or
      `broadcast_stream`. A copy of `fn` runs, as in a stream: `.fn`.
    - `key`: the key column, or a sequence of them; of two streams, also a pair (left, right). Left out, records are
      single values, such as `push(5)`: each is a record with one column `"value"`, and its own key. With a broadcast,
      left out means that the main stream has no key.
    - `timestamp`: the column of event times; of two inputs, also a pair. Without it, `push(record, timestamp=...)`
      gives a record its time.
    - `watermark`: a duration, as for `stream`: the watermark then follows the records. Without it, the watermark moves
      only by `advance_watermark`.
    - `schema`: a mapping name -> type or an Arrow schema of the records; of two inputs, also a pair. Without it, the
      first record tells, and a dict does so as it would in a stream: int is int64, a column that is None stays null.
    - `config`: as for a stream. Time starts at 0 under a manual clock, unless the config brings a ManualClock.
    - `kind`: `"process"`, `"connect"` or `"broadcast"`, for an object whose methods do not tell: one with `on_event`
      only that is meant for two streams.

    A function of two streams takes `push_left` and `push_right`, one over a broadcast `push` and `push_broadcast`.
    Records are processed in the order of the calls, whatever their timestamps.

    Every call is processed before it returns, by the engine that runs streams. An exception of the function comes out
    as it comes out of a stream, with its note, and ends the run: output, states and timers can still be looked at,
    more input is a ClosedError. Use it as a context manager, or call `close()`, to have the function's `close` called.
    """

    __slots__ = ("_engine", "_inputs", "_job", "_states", "fn", "key")

    fn: Any
    """The copy of the function that runs."""
    key: tuple[str, ...]
    """The key columns; of the left stream, if there are two."""

    def __init__(
        self,
        fn: Any,
        *states: State,
        key: Any = None,
        timestamp: Any = None,
        watermark: Any = None,
        schema: Any = None,
        output: Any = None,
        side_outputs: Mapping[str, Any] | None = None,
        name: str | None = None,
        config: Config | None = None,
        kind: Kind | None = None,
    ) -> None:
        if config is not None and not isinstance(config, Config):
            raise ConfigError(f"config= is a martlet.Config, got {type(config).__name__}")
        config = config or Config()
        clock = config.clock if isinstance(config.clock, ManualClock) else ManualClock(0)
        broadcast = _broadcast_states(fn, states)
        kind = kind or ("broadcast" if broadcast else kind_of(fn))
        self._inputs = harness_inputs(kind, key, timestamp, schema)
        self.key = self._inputs[0].key
        sources = [SourceNode([], "harness", None, 0, None, "rows", False) for _ in self._inputs]
        node = operator_node(
            kind,
            fn,
            states,
            tuple(Edge(source) for source in sources),
            tuple(one.key for one in self._inputs),
            broadcast=broadcast,
            output=output,
            side_outputs=side_outputs,
            name=name,
        )
        failures = None if config.on_error == "raise" else FailureLog(config.on_error == "dead_letter")
        self._job = new_job("harness", config, clock, failures)
        for source in sources:
            add_source(self._job, source)
        instance = add_operators(self._job, Plan.of([Edge(node)]).operators)[0]
        self.fn = instance.target
        self._states = {state.name: state for state in instance.states}
        bound = -1 if watermark is None else duration("watermark", watermark, "a watermark lags by 0 ms or more")
        times = [one.timestamp for one in self._inputs]
        self._engine = _engine.Harness(self._job, times[0], bound, *times[1:])
        for one in self._inputs:
            if one.schema is not None:
                self._engine.open(one.schema, one.side)

    # ---- input

    def push(self, record: Any, timestamp: int | _FromColumn | None = _FROM_COLUMN) -> None:
        """Processes one record: a dict, an Arrow object of one row, or, in a harness without `key`, a value.

        `timestamp`: its event time in milliseconds, or None for none; it goes before the timestamp column. With a
        broadcast this is the main stream.
        """
        self._push(self._input("main", "push"), record, timestamp)

    def push_left(self, record: Any, timestamp: int | _FromColumn | None = _FROM_COLUMN) -> None:
        """As `push`, for the left one of two streams."""
        self._push(self._input("left", "push_left"), record, timestamp)

    def push_right(self, record: Any, timestamp: int | _FromColumn | None = _FROM_COLUMN) -> None:
        """As `push`, for the right one of two streams."""
        self._push(self._input("right", "push_right"), record, timestamp)

    def push_broadcast(self, record: Any, timestamp: int | _FromColumn | None = _FROM_COLUMN) -> None:
        """As `push`, for the broadcast."""
        self._push(self._input("broadcast", "push_broadcast"), record, timestamp)

    def _input(self, name: str, what: str) -> HarnessInput:
        for one in self._inputs:
            if one.name == name:
                return one
        known = ", ".join(one.name for one in self._inputs)
        raise ConfigError(f"{what}: the function has no input {name!r}; it has {known}")

    def _push(self, into: HarnessInput, record: Any, timestamp: int | _FromColumn | None) -> None:
        batch = record_batch(record, into)
        if batch.num_rows != 1:
            raise ConfigError(f"push takes one record, got {batch.num_rows}; call it once for each")
        if isinstance(timestamp, _FromColumn):
            self._engine.push(batch, 0, False, None, into.side)
        elif timestamp is None or (isinstance(timestamp, int) and not isinstance(timestamp, bool)):
            self._engine.push(batch, 0, True, timestamp, into.side)
        else:
            raise TypeError(f"a timestamp is an int, milliseconds since the Unix epoch, got {timestamp!r}")
        into.schema = into.schema or batch.schema

    def advance_watermark(
        self,
        time_ms: int | None = None,
        *,
        left: int | None = None,
        right: int | None = None,
        main: int | None = None,
        broadcast: int | None = None,
    ) -> None:
        """Moves the watermark and fires the event-time timers that fall due. ConfigError if it would go back.

        `time_ms` is for all inputs. With two inputs, `left=` and `right=`, or `main=` and `broadcast=`, move the
        watermark of one; the function sees the lesser of both.
        """
        sides = {"left": left, "right": right, "main": main, "broadcast": broadcast}
        given = {name: time for name, time in sides.items() if time is not None}
        if (time_ms is None) == (not given):
            raise ConfigError(
                "advance_watermark takes a time for all inputs, or times for single ones such as left=, and not both"
            )
        if time_ms is not None:
            self._engine.advance_watermark(time_ms)
        for one, time in [(self._input(name, "advance_watermark"), time) for name, time in given.items()]:
            self._engine.advance_watermark(time, one.side)

    def set_idle(self, side: SideName, idle: bool = True) -> None:
        """Makes one of two inputs idle, so that it does not hold back the watermark, or active again. Its next record
        or watermark makes it active, too."""
        one = self._input(side, "set_idle")
        if one.side == 0:
            raise ConfigError("set_idle: a function of one input has nothing that an idle input could hold back")
        self._engine.set_idle(one.side, idle)

    def advance_processing_time(self, time_ms: int) -> None:
        """Sets the clock and fires the processing-time timers that fall due. ConfigError if it would go back."""
        self._engine.advance_processing_time(time_ms)

    def end(self, side: SideName | None = None) -> None:
        """The end of the input: pending timers fire (processing-time timers as `Config.at_end` says), `on_end` runs.

        With `side`, one of two inputs ends, and no longer holds back the watermark; the end comes with the other one's.
        """
        if side is None:
            self._engine.end()
        else:
            self._engine.end(self._input(side, "end").side)

    def close(self) -> None:
        """Calls the function's `close`, once. Output can still be taken; states and timers are gone."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            # What the test failed with is what must be seen, not what close() makes of it.
            with contextlib.suppress(Exception):
                self.close()

    # ---- looking at it

    @property
    def watermark(self) -> int:
        """The watermark the function sees; -2**63 before the first, 2**63 - 1 at the end of the input."""
        return self._engine.watermark

    @property
    def processing_time(self) -> int:
        """The time the function sees, in milliseconds."""
        return self._engine.processing_time

    @overload
    def output(self, timestamps: Literal[False] = False) -> list[dict[str, Any]]: ...
    @overload
    def output(self, timestamps: Literal[True]) -> list[tuple[dict[str, Any], int | None]]: ...
    def output(self, timestamps: bool = False) -> list[Any]:
        """What was emitted since the last call, as dicts; with `timestamps=True` as pairs (dict, timestamp or None)."""
        return _rows(self._engine.take(None), timestamps)

    @overload
    def side_output(self, tag: str, timestamps: Literal[False] = False) -> list[dict[str, Any]]: ...
    @overload
    def side_output(self, tag: str, timestamps: Literal[True]) -> list[tuple[dict[str, Any], int | None]]: ...
    def side_output(self, tag: str, timestamps: bool = False) -> list[Any]:
        """The same for a side output: one that the function emits to, or "late" and "errors" of the policies."""
        return _rows(self._engine.take(tag), timestamps)

    def state(self, name: str, key: Any = None) -> Any:
        """What a state holds for a key: the value, a list or a dict; None if it holds nothing. Of a broadcast state,
        which has no keys, leave the key out.

        Looking is not a read: it keeps no value with a TTL alive. ConfigError for a name the function does not declare.
        """
        state = self._states.get(name)
        if state is None:
            known = ", ".join(map(repr, self._states)) or "none"
            raise ConfigError(f"there is no state {name!r}; the function declares {known}")
        if isinstance(state, BroadcastState):
            if key is not None:
                raise ConfigError(f"the broadcast state {name!r} is one for all keys: leave the key {key!r} out")
            return self._engine.inspect(None, lambda ctx: _content(state))
        return self._inspect(key, lambda ctx: _content(state))

    def timers(self, key: Any) -> list[Timer]:
        """The pending timers of a key, as `ctx.timers()` lists them: event time first, each by time."""
        return cast("list[Timer]", self._inspect(key, lambda ctx: ctx.timers()) or [])

    def _inspect(self, key: Any, look: Any) -> Any:
        schema = self._engine.key_schema()
        if schema is None:
            return None
        parts = key if len(schema.names) > 1 else (key,)
        if not isinstance(parts, tuple) or len(parts) != len(schema.names):
            raise ConfigError(f"the key is a tuple of {len(schema.names)} ({', '.join(schema.names)}), got {key!r}")
        return self._engine.inspect(one_row(dict(zip(schema.names, parts, strict=True)), schema), look)

    # ---- snapshots

    def snapshot(self) -> bytes:
        """All state, timers and times, to be restored by another harness. ClosedError after an error or close()."""
        return self._engine.snapshot()

    @classmethod
    def restore(
        cls,
        snapshot: bytes,
        fn: Any,
        *states: State,
        forget: Iterable[str] = (),
        key_groups: range | None = None,
        max_parallelism: int = 128,
        **settings: Any,
    ) -> Self:
        """A harness that continues from a snapshot, with the same function or another version of it.

        - `settings`: those of the constructor. Unless `schema=` is given, records have the schema they had.
        - `forget`: names of states that the function no longer declares and that need not be kept. A dropped state is
          otherwise kept, unseen, and written to the next snapshot.
        - `key_groups`, `max_parallelism`: restores only the keys of these key groups, as one of several parallel
          instances does.

        A state that the snapshot does not have is empty. SnapshotMismatchError names a state or key column that changed
        its kind or type; SnapshotError says what is wrong with bytes that are torn, corrupt or of a newer format.
        """
        harness = cls(fn, *states, **settings)
        if key_groups is not None and key_groups.step != 1:
            raise ConfigError(f"key_groups={key_groups!r} is not a run of key groups; use range(first, end)")
        groups = (key_groups.start, len(key_groups), max_parallelism) if key_groups is not None else (0, 0, 0)
        harness._engine.restore(snapshot, tuple(forget), *groups)
        for one in harness._inputs:
            one.schema = one.schema or harness._engine.schema(one.side)
        return harness


def _broadcast_states(fn: Any, states: tuple[State, ...]) -> tuple[State, ...]:
    """In a harness, the states that a broadcast lists are those that there are."""
    found: dict[str, State] = {}
    for state in (*states, *attribute_states(fn).values()):
        if isinstance(state, BroadcastState):
            found.setdefault(state.name, state)
    return tuple(found.values())


def _content(state: Any) -> Any:
    if not state.exists():
        return None
    if isinstance(state, _engine.MapState | BroadcastState):
        return dict(state.items())
    return state.get()


def _rows(taken: tuple[RecordBatch, list[int | None]] | None, timestamps: bool) -> list[Any]:
    if taken is None:
        return []
    batch, times = taken
    return list(zip(batch.to_pylist(), times, strict=True)) if timestamps else batch.to_pylist()
