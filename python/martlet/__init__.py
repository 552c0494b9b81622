"""Martlet: stateful process functions over Arrow streams, on a native engine.

import martlet as mt

class Counter(mt.ProcessFunction):
    count = mt.ValueState("count", int)

    def on_event(self, key, batch, row, ctx):
        n = (self.count.get() or 0) + 1
        self.count.set(n)
        ctx.emit(user_id=key, n=n)

events = mt.stream([{"user_id": "a"}, {"user_id": "b"}, {"user_id": "a"}])
mt.apply_process_function(events, "user_id", Counter()).to_pylist()
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import errors
from ._engine import (
    AggregatingState,
    BroadcastState,
    Column,
    Context,
    ListState,
    ManualClock,
    MapState,
    Record,
    RecordBatch,
    ReducingState,
    Schema,
    State,
    Timer,
    ValueState,
)
from ._engine import rocksdb_version as _rocksdb_version
from ._engine import version as __version__
from .apply import apply_process_function, broadcast_stream, connect_streams
from .backends import InMemoryStateBackend, RocksDbStateBackend
from .config import Config
from .errors import (
    BusyError,
    ClosedError,
    ConfigError,
    EngineError,
    KeyTypeError,
    MartletError,
    MartletWarning,
    MissingColumnError,
    NullKeyError,
    NullTimestampError,
    SchemaError,
    SinkError,
    SnapshotError,
    SnapshotMismatchError,
    SourceError,
    StateAccessError,
    StateTypeError,
    StorageCorruptError,
    StorageError,
    StorageInUseError,
    TimerError,
    ValueRangeError,
    WorkerDiedError,
    WorkerFailedError,
)
from .functions import BroadcastProcessFunction, CoProcessFunction, ProcessFunction
from .keyed import BroadcastConnectedStreams, BroadcastStream, ConnectedStreams, KeyedStream
from .late import late_names
from .report import RunReport
from .source import stream
from .stream import Stream
from .ttl import TTL

if TYPE_CHECKING:
    from .flink.job import FlinkJob
    from .running_job import RunningJob
    from .sinks import JsonlSink, KafkaSink, ParquetSink, PostgresSink, Sink, SqliteSink
    from .sources import ArrowSource, CsvSource, JsonlSource, KafkaSource, ParquetSource, Source, SourceBatch
    from .state_tables import read_state, write_state
else:
    __getattr__ = late_names(
        __name__,
        {
            "flink.job": ["FlinkJob"],
            "running_job": ["RunningJob"],
            "sinks": ["JsonlSink", "KafkaSink", "ParquetSink", "PostgresSink", "Sink", "SqliteSink"],
            "sources": [
                "ArrowSource",
                "CsvSource",
                "JsonlSource",
                "KafkaSource",
                "ParquetSource",
                "Source",
                "SourceBatch",
            ],
            "state_tables": ["read_state", "write_state"],
        },
    )

__all__ = [
    "TTL",
    "AggregatingState",
    "ArrowSource",
    "BroadcastConnectedStreams",
    "BroadcastProcessFunction",
    "BroadcastState",
    "BroadcastStream",
    "BusyError",
    "ClosedError",
    "CoProcessFunction",
    "Column",
    "Config",
    "ConfigError",
    "ConnectedStreams",
    "Context",
    "CsvSource",
    "EngineError",
    "FlinkJob",
    "InMemoryStateBackend",
    "JsonlSink",
    "JsonlSource",
    "KafkaSink",
    "KafkaSource",
    "KeyTypeError",
    "KeyedStream",
    "ListState",
    "ManualClock",
    "MapState",
    "MartletError",
    "MartletWarning",
    "MissingColumnError",
    "NullKeyError",
    "NullTimestampError",
    "ParquetSink",
    "ParquetSource",
    "PostgresSink",
    "ProcessFunction",
    "Record",
    "RecordBatch",
    "ReducingState",
    "RocksDbStateBackend",
    "RunReport",
    "RunningJob",
    "Schema",
    "SchemaError",
    "Sink",
    "SinkError",
    "SnapshotError",
    "SnapshotMismatchError",
    "Source",
    "SourceBatch",
    "SourceError",
    "SqliteSink",
    "State",
    "StateAccessError",
    "StateTypeError",
    "StorageCorruptError",
    "StorageError",
    "StorageInUseError",
    "Stream",
    "Timer",
    "TimerError",
    "ValueRangeError",
    "ValueState",
    "WorkerDiedError",
    "WorkerFailedError",
    "__features__",
    "__version__",
    "apply_process_function",
    "broadcast_stream",
    "connect_streams",
    "errors",
    "read_state",
    "stream",
    "write_state",
]

#: What this build of martlet works with, name → version: `{"rocksdb": "7.8.3"}`. For bug reports.
__features__: dict[str, str] = {"rocksdb": _rocksdb_version}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
