"""Sinks: where `Stream.run` writes, and the protocol for your own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..late import late_names
from .protocol import Sink

if TYPE_CHECKING:
    from .jsonl import JsonlSink
    from .kafka import KafkaSink
    from .parquet import ParquetSink
    from .postgres import PostgresSink
    from .sqlite import SqliteSink
else:
    __getattr__ = late_names(
        __name__,
        {
            "jsonl": ["JsonlSink"],
            "kafka": ["KafkaSink"],
            "parquet": ["ParquetSink"],
            "postgres": ["PostgresSink"],
            "sqlite": ["SqliteSink"],
        },
    )

__all__ = ["JsonlSink", "KafkaSink", "ParquetSink", "PostgresSink", "Sink", "SqliteSink"]
