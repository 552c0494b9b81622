"""How a plan runs on Flink, in words: what becomes of each part, and what is different there. Needs neither PyFlink
nor Java."""

from __future__ import annotations

from typing import Any

from .._engine import BroadcastState, ListState, MapState, State
from ..config import Config
from ..errors import ConfigError
from ..graph import Operator, Plan, PlannedOperator
from ..sources.files import FileSource
from ..sources.kafka import KafkaSource
from ..states import all_states
from ..ttl import TTL
from .aging import period_ms
from .keeper import event_ttl
from .refusals import check
from .stores import key_form, value_form

__all__ = ["as_text"]

_FORMS = {
    "LONG": "Types.LONG",
    "DOUBLE": "Types.DOUBLE",
    "STRING": "Types.STRING",
    "BOOLEAN": "Types.BOOLEAN",
    "PICKLED": "Types.PICKLED_BYTE_ARRAY",
}
_FUNCTIONS = {"process": "KeyedProcessFunction", "connect": "KeyedCoProcessFunction"}
_POLICY = ("null_keys", "null_timestamps", "late", "on_error", "at_end")


def as_text(plan: Plan, config: Config) -> str:
    """One line for each part of the plan, then the differences. What cannot run there is said in its place."""
    lines = [f"on Apache Flink ({_place(config)}), parallelism {config.parallelism} of {config.max_parallelism}"]
    try:
        check(plan, config)
    except ConfigError as error:
        lines.append(f"REFUSED: {error}")
    for source in plan.sources:
        time = (
            f"WatermarkStrategy.for_bounded_out_of_orderness({source.bound_ms} ms) on {source.timestamp!r}"
            if source.timestamp
            else "no watermarks before the end"
        )
        if source.timestamp and isinstance(source.source, KafkaSource):
            idle = f", silent ones left out after {source.idle_ms} ms" if source.idle_ms else ""
            time = f"a watermark for each partition, {source.bound_ms} ms behind {source.timestamp!r}{idle}"
        reading = _reading(source.source, config)
        lines.append(f"stream {source.name!r}: {type(source.source).__name__} -> {reading}; {time}")
    for number, planned in enumerate(plan.operators, 1):
        is_merged = all(
            ref.process == 0 and not isinstance(plan.sources[ref.source].source, KafkaSource) for ref in planned.inputs
        )
        lines += _operator(number, planned, is_merged)
    lines.append(f"sinks: {_sinks(config)}")
    policies = ", ".join(f"{name}={getattr(config, name)!r}" for name in _POLICY)
    lines.append(f"policies: {policies}; applied by the engine inside each instance")
    lines.append(f"checkpoints: {_checkpoints(config)}")
    lines.append("what is different from the embedded engine:")
    lines += [f"  - {text}" for text in _differences(plan, config)]
    return "\n".join(lines)


def _place(config: Config) -> str:
    return "a mini-cluster in this machine" if config.cluster is None else f"the cluster at {config.cluster}"


def _reading(source: Any, config: Config) -> str:
    if isinstance(source, KafkaSource):
        ends = "to what there is at the start" if source.bounded else "until the job is stopped"
        return (
            f"Flink's KafkaSource, {ends}; offsets in Flink's checkpoints; {config.parallelism} tasks make records of "
            "the bytes"
        )
    if isinstance(source, FileSource):
        return "one task, a file at a time, where Flink runs"
    return "read where the job is submitted -> one source task"


def _sinks(config: Config) -> str:
    lines = (
        "JsonlSink -> Flink's FileSink, with its checkpoints"
        if config.state_dir is not None and config.checkpoint_interval is not None
        else "JsonlSink with state_dir= and checkpoint_interval= -> Flink's FileSink"
    )
    return (
        f"KafkaSink -> Flink's KafkaSink, in transactions; {lines}; others are written by the program that submits the "
        "job, which gets what they hold"
    )


def _operator(number: int, planned: PlannedOperator, is_merged: bool) -> list[str]:
    operator = planned.operator
    is_keyed = bool(operator.keys[0])
    if operator.kind == "broadcast":
        function = "KeyedBroadcastProcessFunction" if is_keyed else "BroadcastProcessFunction"
    elif operator.kind == "connect" and is_merged:
        function = "KeyedProcessFunction over both sources, merged by time by the task that reads them"
    else:
        function = _FUNCTIONS[operator.kind]
    keys = " and ".join(f"key_by({', '.join(key)})" for key in operator.keys if key)
    by = f"{keys} -> " if keys else ""
    lines = [f"  {operator.kind} {operator.name!r}: {by}{function}, uid '{number}:{operator.name}'"]
    states = all_states(
        operator.fn, operator.states, operator.name, operator.kind, operator.broadcast, is_keyed=is_keyed
    )
    lines += [f"    {state!r} -> {_state(state)}" for state in states]
    if is_keyed and _may_have_timers(operator):
        lines.append("    timers -> Flink's timer service; names and what is pending in ValueState 'martlet.timers'")
    for tag in operator.side_outputs:
        lines.append(f"    side output {tag!r} -> OutputTag('{number}:{tag}')")
    return lines


def _may_have_timers(operator: Operator) -> bool:
    return any(callable(getattr(operator.fn, name, None)) for name in ("on_timer", "on_end"))


def _state(state: State) -> str:
    if isinstance(state, BroadcastState):
        words = f"broadcast state, {_FORMS[key_form(state.key_dtype)]} -> {_FORMS['PICKLED']}"
    elif isinstance(state, MapState):
        words = f"MapState, entry by entry, {_FORMS[key_form(state.key_dtype)]} -> {_FORMS['PICKLED']}"
    elif isinstance(state, ListState):
        words = f"ListState of {_FORMS['PICKLED']}; adding reads nothing"
    else:
        form = "PICKLED" if event_ttl(state) else value_form(state.dtype)
        words = f"ValueState of {_FORMS[form]}"
    if state.ttl is None:
        return words
    if event_ttl(state):
        last = "last written or read" if state.ttl.update == "read_write" else "last written"
        age = state.ttl.duration_ms
        return (
            f"{words}, with the event time when it was {last}; the engine leaves out what is {age} ms old, and "
            f"event-time timers of the key, {period_ms(age)} ms apart, clear it"
        )
    update = "OnReadAndWrite" if state.ttl.update == "read_write" else "OnCreateAndWrite"
    visible = "ReturnExpiredIfNotCleanedUp" if state.ttl.visibility == "until_cleaned" else "NeverReturnExpired"
    return f"{words}, StateTtlConfig({state.ttl.duration_ms} ms, {update}, {visible})"


def _checkpoints(config: Config) -> str:
    if config.state_dir is None:
        return "none: Config(state_dir=…) turns them on; a failure ends the job"
    often = "on request only" if config.checkpoint_interval is None else f"every {config.checkpoint_interval:,} ms"
    backend = f"{config.state_backend!r} as Flink's backend"
    return f"in {config.state_dir}, {often}, {backend}; a failed task starts again from the last"


def _differences(plan: Plan, config: Config) -> list[str]:
    found = [
        "order: records of one key keep theirs; across keys there is none, so results are the same as a set",
        "watermarks: right after a source a key's timers fire before its next record, as in the engine; after other "
        "operators they follow Flink's watermarks, which come between bundles of records; in on_timer ctx.watermark is "
        "the time of the timer, or that of the end, and in the engine that of the record that made it due",
        "on_batch is called with one record at a time; record numbers in messages count in each instance",
        "processing time is the clock of Flink's machines; at the end of the input ctx.processing_time in a timer is "
        "the timer's time or later",
        "open() is called when the schema of the input is known, close() when Flink ends the task, also for a restart",
        "the report counts records in and out; the other counters are those of Flink's web page",
    ]
    if any(one.operator.output is None for one in plan.operators) and config.parallelism > 1:
        found.append("output without output=: each instance infers its schema, and rows that differ are a SchemaError")
    if any(isinstance(source.source, KafkaSource) for source in plan.sources):
        found.append(
            "Kafka: partitions that are there when the job is submitted are waited for, records or not, until "
            "idle_timeout=; watermarks begin anew after a restart; bad_values is a metric of Flink"
        )
    if any(_expires_late(plan, one) for one in plan.operators):
        found.append(
            "TTLs in event time after other operators or Kafka, or beside a broadcast: what has expired is seen until "
            "a watermark of Flink says so"
        )
    if config.on_error != "raise" and any(map(_is_read_newer, plan.operators)):
        found.append("TTLs in event time: what a call read and then failed makes nothing newer")
    if any(one.operator.kind == "broadcast" for one in plan.operators):
        found.append(
            "broadcast: its records come to each instance in their order, but anywhere among those of the main stream; "
            "the engine merges them by time, or reads the broadcast first"
        )
    if any(
        one.operator.kind == "connect"
        and any(ref.process or isinstance(plan.sources[ref.source].source, KafkaSource) for ref in one.inputs)
        for one in plan.operators
    ):
        found.append("connect after other operators or Kafka: both sides are merged as they arrive, not by time")
    return found


def _event_ttls(operator: Operator) -> list[TTL]:
    is_keyed = bool(operator.keys[0])
    states = all_states(
        operator.fn, operator.states, operator.name, operator.kind, operator.broadcast, is_keyed=is_keyed
    )
    return [ttl for ttl in map(event_ttl, states) if ttl is not None]


def _expires_late(plan: Plan, planned: PlannedOperator) -> bool:
    is_coarse = planned.operator.kind == "broadcast" or any(
        ref.process or isinstance(plan.sources[ref.source].source, KafkaSource) for ref in planned.inputs
    )
    return is_coarse and bool(_event_ttls(planned.operator))


def _is_read_newer(planned: PlannedOperator) -> bool:
    return any(ttl.update == "read_write" for ttl in _event_ttls(planned.operator))
