"""Which sinks the tasks of a job on Flink write themselves, and which get what comes back to the program. Needs neither
PyFlink nor Java."""

from __future__ import annotations

from typing import Any

from ..config import Config
from ..errors import ConfigError
from ..graph import Plan
from ..sinks.jsonl import JsonlSink
from ..sinks.kafka import KafkaSink
from ..sinks.parquet import ParquetSink
from .jars import kafka_package
from .kafka_settings import java_settings

__all__ = ["is_endless", "is_written_there"]


def is_endless(plan: Plan) -> bool:
    """Whether the job runs until it is stopped."""
    return any(one.kind == "source" and not getattr(one.source, "bounded", True) for one in plan.sources)


def is_written_there(sink: Any, plan: Plan, config: Config) -> bool:
    """Whether the job's tasks write this sink. ConfigError if nobody can."""
    if isinstance(sink, KafkaSink):
        who = f"KafkaSink: topic {sink.topic!r}"
        java_settings(who, sink._settings, config, kafka_package(config, who))
        if is_endless(plan) and not _takes_checkpoints(config):
            raise ConfigError(
                f"{who}: transactions are committed with Flink's checkpoints, and this job takes none and does not "
                "end; pass Config(state_dir=…, checkpoint_interval=…)"
            )
        return True
    if isinstance(sink, JsonlSink) and _takes_checkpoints(config) and not _why_not(sink):
        return True
    if is_endless(plan) and getattr(sink, "transactional", False):
        label = "ParquetSink" if isinstance(sink, ParquetSink) else type(sink).__name__
        raise ConfigError(
            f"{label} is written by the program that submits the job, which commits it when the job has "
            f"ended, and this one does not end{_hint(sink, config)}; use a KafkaSink, a JsonlSink with "
            "Config(state_dir=…, checkpoint_interval=…), or take the results as they come"
        )
    return False


def _takes_checkpoints(config: Config) -> bool:
    return config.state_dir is not None and config.checkpoint_interval is not None


def _why_not(sink: JsonlSink) -> str:
    if sink.suffix != ".jsonl":
        return "compression="
    if sink._max_rows is not None:
        return "max_rows="
    return "existing='replace'" if sink._existing == "replace" else ""


def _hint(sink: Any, config: Config) -> str:
    if isinstance(sink, JsonlSink) and _takes_checkpoints(config):
        return f" ({_why_not(sink)} is not possible where Flink's tasks write)"
    return ""
