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
from ._engine import ManualClock, RecordBatch, Schema, State, Timer
from .config import Config
from .errors import ConfigError, SchemaError
from .failures import FailureLog
from .functions import all_states, check_function, function_name, instantiate
from .run import new_job
from .stream import _key_columns, _milliseconds, stream

__all__ = ["Harness"]

SCALAR: Final = "value"


class _FromColumn:
    def __repr__(self) -> str:
        return "<from the timestamp column>"


_FROM_COLUMN: Final = _FromColumn()


class Harness:
    """Drives one process function, one record at a time (Flink: KeyedOneInputStreamOperatorTestHarness).

    - `fn`, `states`, `output`, `side_outputs`, `name`: as for `apply_process_function`. A copy of `fn` runs, as in a
      stream: `.fn`.
    - `key`: the key column, or a sequence of them. Left out, records are single values, such as `push(5)`: each is a
      record with one column `"value"`, and its own key.
    - `timestamp`: the column of event times. Without it, `push(record, timestamp=...)` gives a record its time.
    - `watermark`: a duration, as for `stream`: the watermark then follows the records. Without it, the watermark moves
      only by `advance_watermark`.
    - `schema`: a mapping name -> type or an Arrow schema of the records. Without it, the first record tells, and a
      dict does so as it would in a stream: int is int64, a column that is None stays null.
    - `config`: as for a stream. Time starts at 0 under a manual clock, unless the config brings a ManualClock.

    Every call is processed before it returns, by the engine that runs streams. An exception of the function comes out
    as it comes out of a stream, with its note, and ends the run: output, states and timers can still be looked at,
    more input is a ClosedError. Use it as a context manager, or call `close()`, to have the function's `close` called.
    """

    __slots__ = ("_engine", "_job", "_schema", "_states", "fn", "key")

    fn: Any
    """The copy of the function that runs."""
    key: tuple[str, ...]
    """The key columns."""

    def __init__(
        self,
        fn: Any,
        *states: State,
        key: str | Iterable[str] | None = None,
        timestamp: str | None = None,
        watermark: Any = None,
        schema: Any = None,
        output: Any = None,
        side_outputs: Mapping[str, Any] | None = None,
        name: str | None = None,
        config: Config | None = None,
    ) -> None:
        check_function(fn)
        label = name or function_name(fn)
        all_states(fn, states, label)
        if config is not None and not isinstance(config, Config):
            raise ConfigError(f"config= is a martlet.Config, got {type(config).__name__}")
        config = config or Config()
        clock = config.clock if isinstance(config.clock, ManualClock) else ManualClock(0)
        self.key = (SCALAR,) if key is None else _key_columns((key,) if isinstance(key, str) else key)
        target, methods, handles = instantiate(fn, states, label)
        self.fn = target
        self._states = {state.name: state for state in handles}
        failures = None if config.on_error == "raise" else FailureLog(config.on_error == "dead_letter")
        self._job = new_job("harness", config, clock, failures)
        self._job.add_source("harness", None, 0, [], True, None)
        sides = tuple((tag, Schema(fields)) for tag, fields in (side_outputs or {}).items())
        declared = None if output is None else Schema(output)
        self._job.add_process(label, target, methods, self.key, handles, declared, sides)
        bound = -1 if watermark is None else _milliseconds(watermark)
        self._engine = _engine.Harness(self._job, timestamp, bound)
        self._schema: Schema | None = None
        if schema is not None:
            self._schema = Schema(schema)
            self._engine.open(self._schema)

    # ---- input

    def push(self, record: Any, timestamp: int | _FromColumn | None = _FROM_COLUMN) -> None:
        """Processes one record: a dict, an Arrow object of one row, or, in a harness without `key`, a value.

        `timestamp`: its event time in milliseconds, or None for none; it goes before the timestamp column.
        """
        batch = self._batch(record)
        if batch.num_rows != 1:
            raise ConfigError(f"push takes one record, got {batch.num_rows}; call it once for each")
        if isinstance(timestamp, _FromColumn):
            self._engine.push(batch, 0, False, None)
        elif timestamp is None or (isinstance(timestamp, int) and not isinstance(timestamp, bool)):
            self._engine.push(batch, 0, True, timestamp)
        else:
            raise TypeError(f"a timestamp is an int, milliseconds since the Unix epoch, got {timestamp!r}")
        self._schema = self._schema or batch.schema

    def advance_watermark(self, time_ms: int) -> None:
        """Moves the watermark and fires the event-time timers that fall due. ConfigError if it would go back."""
        self._engine.advance_watermark(time_ms)

    def advance_processing_time(self, time_ms: int) -> None:
        """Sets the clock and fires the processing-time timers that fall due. ConfigError if it would go back."""
        self._engine.advance_processing_time(time_ms)

    def end(self) -> None:
        """The end of the input: pending timers fire (processing-time timers as `Config.at_end` says), `on_end` runs."""
        self._engine.end()

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

    def state(self, name: str, key: Any) -> Any:
        """What a state holds for a key: the value, a list or a dict; None if it holds nothing.

        Looking is not a read: it keeps no value with a TTL alive. ConfigError for a name the function does not declare.
        """
        state = self._states.get(name)
        if state is None:
            known = ", ".join(map(repr, self._states)) or "none"
            raise ConfigError(f"there is no state {name!r}; the function declares {known}")
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
        return self._engine.inspect(_one_row(dict(zip(schema.names, parts, strict=True)), schema), look)

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
        harness._schema = harness._schema or harness._engine.schema()
        return harness

    # ---- records

    def _batch(self, record: Any) -> RecordBatch:
        if isinstance(record, dict):
            return _one_row(record, self._schema)
        if hasattr(record, "__arrow_c_array__"):
            return RecordBatch(record)
        if hasattr(record, "__arrow_c_stream__"):
            batches = list(stream(record))
            if sum(batch.num_rows for batch in batches) != 1:
                raise ConfigError(f"push takes one record, got a {type(record).__name__} of {sum(map(len, batches))}")
            return next(batch for batch in batches if batch.num_rows)
        if self.key == (SCALAR,):
            return _one_row({SCALAR: record}, self._schema)
        raise ConfigError(
            f"a record is a dict or an Arrow object of one row, got {type(record).__name__} {record!r}; values "
            "on their own are records in a harness without key="
        )


def _one_row(record: dict[str, Any], schema: Schema | None) -> RecordBatch:
    # Through a stream, so that a dict becomes the record that it would be in one.
    for batch in stream([record], schema=schema, name="harness"):
        return batch
    raise SchemaError("a record needs at least one column")


def _content(state: Any) -> Any:
    if not state.exists():
        return None
    if isinstance(state, _engine.MapState):
        return dict(state.items())
    return state.get()


def _rows(taken: tuple[RecordBatch, list[int | None]] | None, timestamps: bool) -> list[Any]:
    if taken is None:
        return []
    batch, times = taken
    return list(zip(batch.to_pylist(), times, strict=True)) if timestamps else batch.to_pylist()
