"""Sources that a run reads from an offset: files, Arrow data, Kafka, and the protocol for your own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..late import late_names
from .protocol import Source, SourceBatch

if TYPE_CHECKING:
    from .arrow import ArrowSource
    from .csv import CsvSource
    from .jsonl import JsonlSource
    from .kafka import KafkaSource
    from .parquet import ParquetSource
else:
    __getattr__ = late_names(
        __name__,
        {
            "arrow": ["ArrowSource"],
            "csv": ["CsvSource"],
            "jsonl": ["JsonlSource"],
            "kafka": ["KafkaSource"],
            "parquet": ["ParquetSource"],
        },
    )

__all__ = ["ArrowSource", "CsvSource", "JsonlSource", "KafkaSource", "ParquetSource", "Source", "SourceBatch"]
