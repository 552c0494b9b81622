"""What runs inside Flink: PyFlink's functions around an `Evaluator`."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pyflink.common import Types
from pyflink.common.time import Time
from pyflink.datastream import (
    BroadcastProcessFunction,
    KeyedBroadcastProcessFunction,
    KeyedCoProcessFunction,
    KeyedProcessFunction,
    KeySelector,
    OutputTag,
    TimeDomain,
)
from pyflink.datastream.state import (
    ListStateDescriptor,
    MapStateDescriptor,
    StateTtlConfig,
    ValueStateDescriptor,
)

from .._engine import BroadcastState, ListState, MapState, Schema, State
from .evaluator import Evaluator
from .failing import report_failures
from .keeper import event_ttl
from .stores import key_form, value_form
from .timer_book import MAX_TIME, TimerBook
from .wire import Element, Rows, key_text, key_values, side_of

__all__ = [
    "BroadcastTask",
    "ConnectTask",
    "Key",
    "KeyedBroadcastTask",
    "MergedTask",
    "ProcessTask",
    "TaskSpec",
    "broadcast_descriptors",
    "side_tag",
]


@dataclass(frozen=True)
class TaskSpec:
    """What an instance of an operator needs to build itself: plain data and pickled functions."""

    number: int
    """Of the operator in its plan, from 1."""
    job: bytes
    """A `WorkerJob` with all operators, pickled."""
    timestamps: tuple[str | None, ...]
    """Of each input: the column of event times, if the input is a source."""
    precise: tuple[bool, ...]
    """Of each input: whether elements carry the watermark of their source."""
    schemas: tuple[Schema | None, ...]
    """Of each input, as far as the plan knows it."""
    tags: tuple[str, ...]
    """Side outputs that somebody reads."""
    declared: tuple[tuple[str | None, Schema], ...]
    """Outputs whose schema the plan knows, by tag."""
    is_keyed: bool
    has_timers: bool
    at_end: str
    paths: tuple[str, ...]
    """Where the submitting process finds modules."""


def side_tag(number: int, tag: str) -> Any:
    """Flink's tag of a side output."""
    return OutputTag(f"{number}:{tag}", Types.PICKLED_BYTE_ARRAY())


class Key(KeySelector):  # type: ignore[misc]
    """The key of an element as Flink sees it. `schemas`, `columns`: of the one input, or of both where a source is the
    merge of two."""

    def __init__(self, schemas: tuple[Schema | None, ...], columns: tuple[tuple[str, ...], ...]) -> None:
        self._rows = [Rows(schema) for schema in schemas]
        self._columns = columns

    def get_key(self, value: Element) -> str:
        side = side_of(value) if len(self._rows) > 1 else 0
        return key_text(value[4], self._rows[side].schema_of(value[5]).names, self._columns[side])


# ---- states ------------------------------------------------------------------------------------------------


def _type(form: str) -> Any:
    return {
        "LONG": Types.LONG,
        "DOUBLE": Types.DOUBLE,
        "STRING": Types.STRING,
        "BOOLEAN": Types.BOOLEAN,
        "PICKLED": Types.PICKLED_BYTE_ARRAY,
    }[form]()


def _flink_state(runtime: Any, state: State) -> Any:
    """Flink's state for a descriptor."""
    if isinstance(state, ListState):
        descriptor = ListStateDescriptor(state.name, Types.PICKLED_BYTE_ARRAY())
        get = runtime.get_list_state
    elif isinstance(state, MapState):
        descriptor = MapStateDescriptor(state.name, _type(key_form(state.key_dtype)), Types.PICKLED_BYTE_ARRAY())
        get = runtime.get_map_state
    else:
        form = "PICKLED" if event_ttl(state) else value_form(state.dtype)
        descriptor = ValueStateDescriptor(state.name, _type(form))
        get = runtime.get_state
    ttl = state.ttl
    if ttl is not None and event_ttl(state) is None:
        builder = StateTtlConfig.new_builder(Time.milliseconds(ttl.duration_ms))
        update, visible = StateTtlConfig.UpdateType, StateTtlConfig.StateVisibility
        builder.set_update_type(update.OnReadAndWrite if ttl.update == "read_write" else update.OnCreateAndWrite)
        builder.set_state_visibility(
            visible.ReturnExpiredIfNotCleanedUp if ttl.visibility == "until_cleaned" else visible.NeverReturnExpired
        )
        descriptor.enable_time_to_live(builder.build())
    return get(descriptor)


_BROADCAST_SCHEMA = "martlet.schema"


def broadcast_descriptors(states: tuple[State, ...]) -> dict[str, Any]:
    """Flink's descriptors of broadcast states, and of where the schema of the broadcast is kept with them."""
    found = {
        state.name: MapStateDescriptor(state.name, _type(key_form(state.key_dtype)), Types.PICKLED_BYTE_ARRAY())
        for state in states
        if isinstance(state, BroadcastState)
    }
    return {
        **found,
        _BROADCAST_SCHEMA: MapStateDescriptor(_BROADCAST_SCHEMA, Types.STRING(), Types.PICKLED_BYTE_ARRAY()),
    }


# ---- instances ---------------------------------------------------------------------------------------------


class _Core:
    """An operator's instance, and how elements come in and go out."""

    def __init__(self, spec: TaskSpec, runtime: Any) -> None:
        self.spec = spec
        sys.path.extend(path for path in spec.paths if path not in sys.path)
        job = pickle.loads(spec.job)
        self.planned = job.operators[spec.number - 1]
        self.book = None
        if spec.is_keyed and spec.has_timers:
            kept = runtime.get_state(ValueStateDescriptor("martlet.timers", Types.PICKLED_BYTE_ARRAY()))
            self.book = TimerBook(kept, spec.at_end == "fire")
        self.evaluator = Evaluator(
            self.planned,
            job.config(),
            spec.timestamps,
            spec.tags,
            lambda state: None if isinstance(state, BroadcastState) else _flink_state(runtime, state),
            self.book,
            (runtime.get_index_of_this_subtask(), runtime.get_number_of_parallel_subtasks()),
        )
        self.rows = [Rows(schema) for schema in spec.schemas]
        self.declared = dict(spec.declared)
        self.pickled: dict[Schema, bytes] = {}
        self.evaluator.open(list(spec.schemas))

    def serve(self, service: Any, key: str) -> None:
        """The timer service and the key of the call that follows."""
        self.evaluator.aging.service = service
        self.evaluator.aging.key = key
        if self.book is not None:
            self.book.service = service

    def element(self, side: int, element: Element, watermark: int, now: int) -> Iterator[Any]:
        """A record of an input."""
        batch = self.rows[side].batch(element)
        if self.spec.precise[side] and element[3] is not None:
            watermark = max(watermark, element[3])
        if self.book is not None:
            if self.spec.schemas[0] is None:
                self.book.kept_schema = self._pickled(batch.schema) if side == 0 else self.book.schema()
            if self.evaluator.is_loaded:
                columns = self.planned.operator.keys[side]
                names = batch.schema.names
                if all(column in names for column in columns):
                    key = tuple(element[4][names.index(column)] for column in columns)
                    if None not in key:
                        yield from self._sent(self.evaluator.fire("event", watermark, key, watermark, now))
        has_time = self.spec.timestamps[side] is None
        yield from self._sent(self.evaluator.push(side, batch, has_time, element[2], watermark, now))

    def broadcast(self, element: Element, watermark: int, now: int) -> Iterator[Any]:
        """A record of the broadcast."""
        batch = self.rows[1].batch(element)
        has_time = self.spec.timestamps[1] is None
        yield from self._sent(self.evaluator.push(1, batch, has_time, element[2], watermark, now))

    def timer(self, time_ms: int, is_event: bool, key: str, watermark: int, now: int) -> Iterator[Any]:
        """A timer of Flink, which stands for the ones of the function at this time, for the end, or for a clean-up."""
        if self.book is not None:
            yield from self._due(self.book, time_ms, is_event, key, watermark, now)
        if is_event:
            self.evaluator.clean(time_ms, watermark)

    def _due(self, book: TimerBook, time_ms: int, is_event: bool, key: str, watermark: int, now: int) -> Iterator[Any]:
        if not self.evaluator.is_loaded:
            pickled = book.schema()
            if pickled is None:
                return
            schema = pickle.loads(pickled)
            self.rows[0].schema = schema
            self.evaluator.open([schema, *self.spec.schemas[1:]])
        book.kept_schema = None if self.spec.schemas[0] is not None else book.schema()
        parts = key_values(key)
        book.is_ending = watermark == MAX_TIME
        if is_event and time_ms == MAX_TIME:
            yield from self._sent(self.evaluator.end(parts, self.spec.at_end == "fire", now))
        elif is_event:
            yield from self._sent(self.evaluator.fire("event", watermark, parts, watermark, now))
            book.arm_again(watermark)
        else:
            yield from self._sent(self.evaluator.fire("processing", max(time_ms, now), parts, watermark, now))

    def _pickled(self, schema: Schema) -> bytes:
        found = self.pickled.get(schema)
        if found is None:
            found = self.pickled[schema] = pickle.dumps(schema)
        return found

    def _sent(self, outputs: Iterator[Any]) -> Iterator[Any]:
        number = self.spec.number
        for tag, timestamp, values, schema in outputs:
            known = None if tag in self.declared else self._pickled(schema)
            element = (number, tag, timestamp, None, values, known)
            yield element if tag is None else (side_tag(number, tag), element)


class _Task:
    """What PyFlink's functions have in common here."""

    def __init__(self, spec: TaskSpec) -> None:
        self._spec = spec
        self._core: Any = None

    def open(self, runtime_context: Any) -> None:
        with report_failures():
            self._core = _Core(self._spec, runtime_context)

    def close(self) -> None:
        core, self._core = self._core, None
        if core is not None:
            with report_failures():
                core.evaluator.close()

    def _keyed(self, side: int, value: Element, ctx: Any) -> Iterator[Any]:
        service = ctx.timer_service()
        core = self._core
        core.serve(service, ctx.get_current_key())
        with report_failures():
            yield from core.element(side, value, service.current_watermark(), service.current_processing_time())

    def _timer(self, timestamp: int, ctx: Any) -> Iterator[Any]:
        service = ctx.timer_service()
        core = self._core
        core.serve(service, ctx.get_current_key())
        is_event = ctx.time_domain() == TimeDomain.EVENT_TIME
        with report_failures():
            yield from core.timer(
                timestamp,
                is_event,
                ctx.get_current_key(),
                service.current_watermark(),
                service.current_processing_time(),
            )


class ProcessTask(_Task, KeyedProcessFunction):  # type: ignore[misc]
    """A function over one keyed stream."""

    def process_element(self, value: Element, ctx: Any) -> Iterator[Any]:
        return self._keyed(0, value, ctx)

    def on_timer(self, timestamp: int, ctx: Any) -> Iterator[Any]:
        return self._timer(timestamp, ctx)


class MergedTask(ProcessTask):
    """A function over two streams whose records one source reads in the order of their merge."""

    def process_element(self, value: Element, ctx: Any) -> Iterator[Any]:
        return self._keyed(side_of(value), value, ctx)


class ConnectTask(_Task, KeyedCoProcessFunction):  # type: ignore[misc]
    """A function over two keyed streams."""

    def process_element1(self, value: Element, ctx: Any) -> Iterator[Any]:
        return self._keyed(0, value, ctx)

    def process_element2(self, value: Element, ctx: Any) -> Iterator[Any]:
        return self._keyed(1, value, ctx)

    def on_timer(self, timestamp: int, ctx: Any) -> Iterator[Any]:
        return self._timer(timestamp, ctx)


class _Broadcasting(_Task):
    """Broadcast states, which PyFlink gives with the context of each call."""

    def __init__(self, spec: TaskSpec, states: tuple[State, ...]) -> None:
        super().__init__(spec)
        self._states = states
        self._descriptors: dict[str, Any] = {}

    def _begin(self, ctx: Any) -> None:
        core = self._core
        if not self._descriptors:
            self._descriptors = broadcast_descriptors(self._states)
            core.evaluator.rebind_broadcast(lambda name: ctx.get_broadcast_state(self._descriptors[name]))
            pickled = ctx.get_broadcast_state(self._descriptors[_BROADCAST_SCHEMA]).get("schema")
            if pickled is not None:
                core.rows[1].schema = core.rows[1].schema or pickle.loads(pickled)
                core.evaluator.load_broadcast(core.rows[1].schema)

    def _broadcast(self, value: Element, ctx: Any) -> Iterator[Any]:
        core = self._core
        with report_failures():
            self._begin(ctx)
            core.evaluator.rebind_broadcast(lambda name: ctx.get_broadcast_state(self._descriptors[name]))
            kept = ctx.get_broadcast_state(self._descriptors[_BROADCAST_SCHEMA])
            if not kept.contains("schema"):
                kept.put("schema", core._pickled(core.rows[1].schema_of(value[5])))
            yield from core.broadcast(value, ctx.current_watermark(), ctx.current_processing_time())


class BroadcastTask(_Broadcasting, BroadcastProcessFunction):  # type: ignore[misc]
    """A function over a stream without a key and a broadcast."""

    def process_element(self, value: Element, ctx: Any) -> Iterator[Any]:
        with report_failures():
            self._begin(ctx)
            yield from self._core.element(0, value, ctx.current_watermark(), ctx.current_processing_time())

    def process_broadcast_element(self, value: Element, ctx: Any) -> Iterator[Any]:
        return self._broadcast(value, ctx)


class KeyedBroadcastTask(_Broadcasting, KeyedBroadcastProcessFunction):  # type: ignore[misc]
    """A function over a keyed stream and a broadcast."""

    def process_element(self, value: Element, ctx: Any) -> Iterator[Any]:
        self._begin(ctx)
        return self._keyed(0, value, ctx)

    def process_broadcast_element(self, value: Element, ctx: Any) -> Iterator[Any]:
        return self._broadcast(value, ctx)

    def on_timer(self, timestamp: int, ctx: Any) -> Iterator[Any]:
        self._begin(ctx)
        return self._timer(timestamp, ctx)
