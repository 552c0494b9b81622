"""What Flink cannot do, found before anything is submitted."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from typing import Any

from ..config import Config
from ..errors import ConfigError
from ..graph import Operator, Plan, SourceNode
from ..sources.kafka import KafkaSource
from ..states import all_states
from .jars import kafka_package
from .kafka_settings import java_settings

__all__ = ["check"]


def check(plan: Plan, config: Config) -> None:
    """ConfigError, saying what to do instead, if this plan cannot run on Flink with this config."""
    for setting, value, hint in (
        ("clock", config.clock, "Flink's processing time is the clock of its machines; test with mt.testing.Harness"),
        ("memory_limit", config.memory_limit, "set taskmanager.memory.managed.size of the cluster, or in flink="),
        (
            "forget",
            config.forget or None,
            "restore with flink={'execution.state-recovery.ignore-unclaimed-state': 'true'}",
        ),
    ):
        if value is not None:
            raise ConfigError(f"{setting}={value!r} is not possible with profile='distributed-durable'; {hint}")
    for source in plan.sources:
        _check_source(source, config)
    for planned in plan.operators:
        _check_operator(planned.operator)


def _check_source(source: SourceNode, config: Config) -> None:
    if isinstance(source.source, KafkaSource):
        who = f"stream {source.name!r}: KafkaSource"
        if source.source.schema is None:
            raise ConfigError(
                f"{who} infers its columns from the first records, which instances would each do for themselves; pass "
                "schema="
            )
        java_settings(who, source.source._settings, config, kafka_package(config, who))
    elif source.kind == "source" and not getattr(source.source, "bounded", True):
        raise ConfigError(
            f"stream {source.name!r} reads a {type(source.source).__name__}, which does not end: here a source "
            "is read to its end and its records are given to Flink; use a bounded one, a KafkaSource, or "
            "profile='single-node-durable'"
        )


def _check_operator(operator: Operator) -> None:
    if any("apply_to_keyed_state" in names for names in _names(operator.fn)):
        raise ConfigError(
            f"operator {operator.name!r}: {type(operator.fn).__name__} calls ctx.apply_to_keyed_state, which Apache "
            "Flink does not offer to Python functions; put what all keys must see into the broadcast state, which "
            "on_event and on_timer of each key read, or run the job with profile='single-node-durable'"
        )
    states = all_states(
        operator.fn, operator.states, operator.name, operator.kind, operator.broadcast, is_keyed=bool(operator.keys[0])
    )
    for state in states:
        if state.name.startswith("martlet."):
            raise ConfigError(
                f"operator {operator.name!r}: {state!r} has a name of Martlet's own on Flink; give it one that "
                "does not begin with 'martlet.'"
            )


def _names(fn: Any) -> Iterator[tuple[str, ...]]:
    """The names that the code of a function, or of the methods of its class, uses."""
    codes = [fn.__code__] if isinstance(fn, types.FunctionType) else []
    for base in () if codes else type(fn).__mro__:
        if base.__module__.partition(".")[0] not in ("martlet", "builtins"):
            codes += [member.__code__ for member in vars(base).values() if inspect.isfunction(member)]
    while codes:
        code = codes.pop()
        yield code.co_names
        codes += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
