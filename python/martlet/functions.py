"""The base classes of process functions: over one keyed stream, over two, over a stream and a broadcast."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from ._engine import Context, Record, RecordBatch, State

__all__ = ["BroadcastProcessFunction", "CoProcessFunction", "ProcessFunction"]


class _Function:
    """What the three kinds have in common: states that are attributes, and a beginning and an end."""

    # CPython reads an instance attribute without a lookup only while the class has none of that name. With the states
    # left in the class body, the counter of the README takes 153 ns a record instead of 126 (CPython 3.11).
    _declared_states: ClassVar[dict[str, State]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._declared_states = {name: value for name, value in vars(cls).items() if isinstance(value, State)}
        for name in cls._declared_states:
            delattr(cls, name)

    def __new__(cls, *args: Any, **options: Any) -> Self:
        self = super().__new__(cls)
        for name, state in _inherited_states(cls).items():
            # In a class with __slots__ and no __dict__ the state can only live in a slot of its own.
            setattr(self, name, state)
        return self

    def open(self, ctx: Context) -> None:
        """Called once before the first record. There is no current key here."""

    def on_timer(self, key: Any, fire_time_ms: int, ctx: Context) -> None:
        """Called when a timer of this key fires; `fire_time_ms` is the time it was registered for.

        `ctx.timer_domain` and `ctx.timer_name` tell which timer it is. Callbacks of one instance never overlap.
        """

    def close(self) -> None:
        """Called once after the last record, also when the run failed."""


class ProcessFunction(_Function):
    """Per-record code over a keyed stream, with keyed state and timers (Flink: KeyedProcessFunction).

    States are class or instance attributes; inside a callback they read and write the current key's values. One deep
    copy of the object runs per parallel instance.

    A state written in the class body becomes an attribute of every instance (`fn.count`, not `Counter.count`).
    """

    def on_event(self, key: Any, batch: Record, row: int, ctx: Context) -> None:
        """Called for each record. `batch` is a view of the one record, `row` its index in that view: always 0."""
        raise NotImplementedError(f"{type(self).__name__} has no on_event(key, batch, row, ctx)")

    def on_batch(self, key: Any, batch: RecordBatch, ctx: Context) -> None:
        """Called in place of on_event, when it is defined, for all consecutive records of one key in the input at once.

        `batch` has these records as rows, at most 8192. The slice ends with its key, with the input batch, where the
        watermark makes a timer due, and where records begin or cease to be late; so nothing is in it that on_event
        would have seen after a timer fired. `ctx.timestamp` and `ctx.watermark` are those that on_event would see with
        the last record; a timer that on_event would have set *and seen fire* between two of these records fires after
        the slice. `ctx.emit(batch)`, or a slice of it, emits the records with their own timestamps; everything else
        carries `ctx.timestamp`. An error policy takes back, and counts, all records of a failed call.
        """


class CoProcessFunction(_Function):
    """Per-record code over two keyed streams that share keys, states and timers (Flink: KeyedCoProcessFunction).

    Define `on_left` and `on_right`, or `on_event` for the records of both, with `ctx.side` in ("left", "right").
    Records of the two streams may have different columns; their keys have one type. `ctx.watermark` is the lesser of
    both watermarks. States are attributes, as in `ProcessFunction`, and belong to the key, not to a side.
    """

    def on_left(self, key: Any, batch: Record, row: int, ctx: Context) -> None:
        """Called for each record of the left stream."""
        raise NotImplementedError(f"{type(self).__name__} has no on_left(key, batch, row, ctx)")

    def on_right(self, key: Any, batch: Record, row: int, ctx: Context) -> None:
        """Called for each record of the right stream."""
        raise NotImplementedError(f"{type(self).__name__} has no on_right(key, batch, row, ctx)")

    def on_event(self, key: Any, batch: Record, row: int, ctx: Context) -> None:
        """Called for each record of either stream, when it is defined in place of `on_left` and `on_right`."""
        raise NotImplementedError(f"{type(self).__name__} has no on_event(key, batch, row, ctx)")


class BroadcastProcessFunction(_Function):
    """Per-record code over a stream and a broadcast, such as rules (Flink: KeyedBroadcastProcessFunction).

    Every parallel instance sees every record of the broadcast, at the same place among the others, and keeps what it
    learns from them in `BroadcastState`s: written in `on_broadcast`, read everywhere. Their handles are the objects
    given to `.broadcast(...)`, or attributes of the function with the same names. The main stream may be keyed, and
    then has keyed states and timers, or not.
    """

    def on_event(self, key: Any, batch: Record, row: int, ctx: Context) -> None:
        """Called for each record of the main stream; `key` is None if it has none. Broadcast states are read-only."""
        raise NotImplementedError(f"{type(self).__name__} has no on_event(key, batch, row, ctx)")

    def on_broadcast(self, key: None, batch: Record, row: int, ctx: Context) -> None:
        """Called for each record of the broadcast, on every instance. There is no current key: `key` is None.

        Keyed states are reached by `ctx.apply_to_keyed_state(state, f)` only, timers not at all. What is emitted here
        comes from every instance, so with a parallelism of 2 it comes twice (as in Flink).
        """
        raise NotImplementedError(f"{type(self).__name__} has no on_broadcast(key, batch, row, ctx)")


def _inherited_states(cls: type) -> dict[str, State]:
    """The states declared in the bodies of a class and its bases, less those that a subclass replaced."""
    states: dict[str, State] = {}
    for base in reversed(cls.__mro__):
        for name in vars(base):
            states.pop(name, None)
        states.update(vars(base).get("_declared_states", {}))
    return states
