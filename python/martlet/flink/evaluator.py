"""One parallel instance of an operator on Flink: the engine's operator, called for one record or timer of one key at a
time.

What a function sees, how its values are converted, what its errors say, what `on_error` takes back: all of that is the
engine's. Flink holds state and timers and decides which key comes next. The function's methods are wrapped: before the
call the key's pending timers are put into the engine, afterwards timers and states go back to Flink and the engine has
nothing of the key any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from .. import _engine
from .._engine import BroadcastState, ManualClock, RecordBatch, Schema, State
from ..config import Config
from ..failures import FailureLog
from ..graph import PlannedOperator, SourceNode
from ..harness_inputs import one_row
from ..instances import Instance
from ..run import add_operators, add_source, new_job
from .aging import Aging
from .keeper import Keeper, event_ttl, store_of
from .stores import BroadcastStore
from .timer_book import MAX_TIME, MIN_TIME, Pending, TimerBook
from .wire import OneRow

__all__ = ["Evaluator", "Output"]

Method = tuple[Callable[..., Any] | None, bool]


class Output(NamedTuple):
    """A record that the function sent."""

    tag: str | None
    timestamp: int | None
    values: tuple[Any, ...]
    schema: Schema


class Evaluator:
    """Runs one function; see above. `states`: of a descriptor of the function, the state of Flink that keeps it;
    `tags`: which side outputs somebody reads."""

    def __init__(
        self,
        planned: PlannedOperator,
        config: Config,
        timestamps: tuple[str | None, ...],
        tags: tuple[str, ...],
        keep: Callable[[State], Any],
        book: TimerBook | None,
        place: tuple[int, int],
    ) -> None:
        self._operator = planned.operator
        self._clock = ManualClock(0)
        self._tags = tags
        self._book = book
        self._prime: Callable[[Any], None] | None = None
        self._done = True
        self._on_end: Method = (None, False)
        self._inputs = len(planned.inputs)
        self._has_broadcast = self._operator.kind == "broadcast"
        failures = None if config.on_error == "raise" else FailureLog(config.on_error == "dead_letter")
        self._job = new_job(config.name or "flink", config, self._clock, failures)
        for _ in planned.inputs:
            add_source(self._job, SourceNode([], "flink", None, 0, None, "rows", False))
        numbered = tuple(ref._replace(source=i, process=0, tag=None) for i, ref in enumerate(planned.inputs))
        (self._instance,) = add_operators(self._job, [PlannedOperator(self._operator, numbered)], self._wrapped)
        self._engine = _engine.Harness(self._job, timestamps[0], -1, *timestamps[1:])
        self._engine.place(*place)
        states = self._instance.states
        self.aging = Aging(ttl.duration_ms for ttl in map(event_ttl, states) if ttl is not None)
        self._keeper = Keeper([store_of(state, keep(state), self.aging) for state in states], self.aging)
        self._engine.keep(self._keeper)
        if book is not None:
            book.is_shared = self.aging.may_need
        self._keyed = [state for state in self._instance.states if not isinstance(state, BroadcastState)]
        self._schemas: list[Schema | None] = [None] * self._inputs
        self._keys: OneRow | None = None

    # ---- what Flink calls

    def open(self, schemas: list[Schema | None]) -> None:
        """Opens the function, if the inputs' schemas are known already; otherwise the first record does."""
        self._schemas = list(schemas)
        if all(schema is not None for schema in schemas):
            for side, schema in enumerate(schemas):
                assert schema is not None
                self._engine.open(schema, self._side(side))

    def close(self) -> None:
        self._engine.close()

    def push(
        self, side: int, batch: RecordBatch, has_time: bool, timestamp: int | None, watermark: int, now: int
    ) -> Iterator[Output]:
        """Processes a record of an input, 0 or 1."""
        self._move(watermark, now)
        self._schemas[side] = self._schemas[side] or batch.schema
        self._run(lambda: self._engine.push(batch, 0, has_time, timestamp, self._side(side)))
        yield from self._outputs()

    def fire(self, domain: str, time_ms: int, key: tuple[Any, ...], watermark: int, now: int) -> Iterator[Output]:
        """Fires the timers of the current key that are due at a time of their domain, in their order."""
        book = self._book
        while book is not None and (timer := book.due(domain, time_ms)) is not None:
            book.take(timer)
            self._move(watermark, now if domain == "event" else max(now, timer.time_ms))
            # Flink says so when it is further on, the engine at once: what has expired since then is there in both.
            is_behind = domain == "event" and watermark < MAX_TIME
            yield from self._call_timer(timer, key, max(timer.time_ms, timer.after + 1) if is_behind else MAX_TIME)

    def end(self, key: tuple[Any, ...], fires_processing: bool, now: int) -> Iterator[Output]:
        """The end of the input for the current key: its timers, on_end, and what that registered."""
        self._move(MAX_TIME, now)
        yield from self._end_timers(key, fires_processing, now)
        if self._on_end[0] is not None:
            yield from self._primed(key, self._call_end)
            yield from self._end_timers(key, fires_processing, now)

    def clean(self, time_ms: int, watermark: int) -> None:
        """A timer of Flink at this time, after what it stands for of the function: takes away what has expired."""
        if watermark < MAX_TIME:
            self._keeper.clean(time_ms, watermark)

    @property
    def needs_end(self) -> bool:
        """Whether keys are to be looked at when the input ends."""
        return self._on_end[0] is not None

    @property
    def is_loaded(self) -> bool:
        """Whether the schema of the first input is known: what a timer needs to be fired."""
        return self._schemas[0] is not None

    def schema(self, side: int) -> Schema | None:
        return self._schemas[side]

    def load_broadcast(self, schema: Schema) -> None:
        """Takes over the broadcast states of a checkpoint, by a call on the broadcast side that nobody hears of."""
        stores = [store for store in self._keeper.stores if isinstance(store, BroadcastStore)]
        if not stores:
            return

        def load(ctx: Any) -> None:
            with self._keeper.quietly():
                for store in stores:
                    store.load()

        self._prime = load
        self._engine.push(one_row(dict.fromkeys(schema.names), schema), 0, True, None, self._side(1))

    def rebind_broadcast(self, state_of: Callable[[str], Any]) -> None:
        """PyFlink hands broadcast states out with the context of each call."""
        for handle, store in zip(self._instance.states, self._keeper.stores, strict=True):
            if isinstance(store, BroadcastStore):
                store.rebind(state_of(handle.name))

    # ---- one call

    def _side(self, side: int) -> int:
        return side + 1 if self._inputs > 1 else 0

    def _move(self, watermark: int, now: int) -> None:
        if watermark > self._engine.watermark:
            self._engine.advance_watermark(watermark)
        if now > self._engine.processing_time:
            self._engine.advance_processing_time(now)

    def _run(self, call: Callable[[], None]) -> None:
        self._done = False
        call()
        if not self._done:
            # Nothing was called, or the engine took back what the call did.
            self._keeper.forget()

    def _end_timers(self, key: tuple[Any, ...], fires_processing: bool, now: int) -> Iterator[Output]:
        book = self._book
        while book is not None:
            timer = book.due("event", MAX_TIME) or (book.due("processing", MAX_TIME) if fires_processing else None)
            if timer is None:
                return
            yield from self.fire(
                timer.domain, MAX_TIME if timer.domain == "event" else timer.time_ms, key, MAX_TIME, now
            )

    def _call_timer(self, timer: Pending, key: tuple[Any, ...], watermark: int) -> Iterator[Output]:
        """The engine fires it: it is registered for its key, and is due. `watermark`: what it sees as that."""

        def register(ctx: Any) -> None:
            _register(ctx, timer)

        self._prime = register
        self._push_key(key)
        self._run(lambda: self._engine.fire_due(watermark))
        yield from self._outputs()

    def _primed(self, key: tuple[Any, ...], call: Callable[[Any], None]) -> Iterator[Output]:
        self._prime = call
        self._run(lambda: self._push_key(key))
        yield from self._outputs()

    def _push_key(self, key: tuple[Any, ...]) -> None:
        """A record of this key that the function does not see: it makes the key current."""
        schema = self._schemas[0]
        assert schema is not None
        if self._keys is None:
            self._keys = OneRow(schema)
        batch = self._keys.of(dict(zip(self._operator.keys[0], key, strict=True)))
        self._engine.push(batch, 0, True, None, self._side(0))

    def _outputs(self) -> Iterator[Output]:
        for tag in (None, *self._tags):
            taken = self._engine.take(tag)
            if taken is None:
                continue
            batch, times = taken
            schema = batch.schema
            for row, time in zip(batch.to_pylist(), times, strict=True):
                yield Output(tag, time, tuple(row.values()), schema)

    # ---- the wrapped methods

    def _wrapped(self, instance: Instance) -> Instance:
        target = instance.target
        opened, event, timer, closed, self._on_end, batch, right = instance.methods
        return instance._replace(
            methods=(
                opened,
                self._wrap_event(event, target),
                self._wrap_timer(timer, target),
                closed,
                (None, False),
                self._wrap_batch(batch, target),
                self._wrap_broadcast(right, target) if self._has_broadcast else self._wrap_event(right, target),
            )
        )

    def _wrap_event(self, method: Method, target: Any) -> Method:
        call, _ = method
        if call is None:
            return method
        user = _bound(method, target)

        def on_event(key: Any, batch: Any, row: int, ctx: Any) -> None:
            if self._is_primed(ctx):
                return
            self._around(ctx, lambda: user(key, batch, row, ctx))

        return on_event, False

    def _wrap_batch(self, method: Method, target: Any) -> Method:
        call, _ = method
        if call is None:
            return method
        user = _bound(method, target)

        def on_batch(key: Any, batch: Any, ctx: Any) -> None:
            if self._is_primed(ctx):
                return
            self._around(ctx, lambda: user(key, batch, ctx))

        return on_batch, False

    def _wrap_timer(self, method: Method, target: Any) -> Method:
        call, _ = method
        if call is None:
            return method
        user = _bound(method, target)

        def on_timer(key: Any, fire_time_ms: int, ctx: Any) -> None:
            self._around(ctx, lambda: user(key, fire_time_ms, ctx), is_timer=True)

        return on_timer, False

    def _wrap_broadcast(self, method: Method, target: Any) -> Method:
        user = _bound(method, target)

        def on_broadcast(key: Any, batch: Any, row: int, ctx: Any) -> None:
            if self._is_primed(ctx):
                return
            user(key, batch, row, ctx)
            self._keeper.flush()
            self._done = True

        return on_broadcast, False

    def _is_primed(self, ctx: Any) -> bool:
        prime, self._prime = self._prime, None
        if prime is None:
            return False
        prime(ctx)
        return True

    def _call_end(self, ctx: Any) -> None:
        self.aging.begin(ctx)
        if any(state.exists() for state in self._keyed) or (self._book is not None and self._book.pending()):
            user = _bound(self._on_end, self._instance.target)
            self._around(ctx, lambda: user(ctx.key, ctx))
        else:
            self._keeper.flush()
            self._done = True

    def _around(self, ctx: Any, call: Callable[[], Any], is_timer: bool = False) -> None:
        """A call of the function, between Flink's state before it and after it."""
        self.aging.begin(ctx)
        book = self._book
        if book is None:
            call()
            self._keeper.flush()
            self._done = True
            return
        before = book.pending()
        for one in before:
            _register(ctx, one)
        call()
        self._keeper.flush()
        known = {one.place: one for one in before}
        # What a timer registers behind the watermark fires in the same pass, what a record does at the next advance.
        behind = ctx.watermark - 1 if is_timer else ctx.watermark
        after = [
            known.get((one.domain, one.time_ms, one.name))
            or Pending(
                one.domain,
                one.time_ms,
                one.name,
                behind if one.domain == "event" and one.time_ms <= ctx.watermark else MIN_TIME,
            )
            for one in ctx.timers()
        ]
        book.change(before, after)
        for one in after:
            if one.name is not None:
                ctx.delete_timer(one.name)
            elif one.domain == "event":
                ctx.delete_event_time_timer(one.time_ms)
            else:
                ctx.delete_processing_time_timer(one.time_ms)
        if self.needs_end:
            book.at_end()
        self._done = True


def _bound(method: Method, target: Any) -> Callable[..., Any]:
    call, takes_self = method
    assert call is not None
    return call.__get__(target) if takes_self else call


def _register(ctx: Any, timer: Pending) -> None:
    register = ctx.register_event_time_timer if timer.domain == "event" else ctx.register_processing_time_timer
    register(timer.time_ms, name=timer.name)
