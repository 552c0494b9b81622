"""Sinks: where `Stream.run` writes, and the protocol for your own."""

from __future__ import annotations

from .jsonl import JsonlSink
from .kafka import KafkaSink
from .parquet import ParquetSink
from .postgres import PostgresSink
from .protocol import Sink
from .sqlite import SqliteSink

__all__ = ["JsonlSink", "KafkaSink", "ParquetSink", "PostgresSink", "Sink", "SqliteSink"]
