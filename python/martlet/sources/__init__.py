"""Sources that a run reads from an offset: files, Arrow data, Kafka, and the protocol for your own."""

from __future__ import annotations

from .arrow import ArrowSource
from .csv import CsvSource
from .jsonl import JsonlSource
from .kafka import KafkaSource
from .parquet import ParquetSource
from .protocol import Source, SourceBatch

__all__ = ["ArrowSource", "CsvSource", "JsonlSource", "KafkaSource", "ParquetSource", "Source", "SourceBatch"]
