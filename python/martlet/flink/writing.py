"""Sinks that the tasks of a job write, committed by Flink with its checkpoints."""

from __future__ import annotations

import copy
import struct
from collections.abc import Iterable
from typing import Any

from pyflink.common import Row, Types
from pyflink.datastream import DataStream, MapFunction
from pyflink.java_gateway import get_gateway

from .._engine import Schema
from ..config import Config
from ..errors import MissingColumnError, SinkError
from ..json_values import dumps
from ..sinks import storage
from ..sinks.jsonl import JsonlSink
from ..sinks.kafka import KafkaSink
from .failing import report_failures
from .jars import kafka_package
from .kafka_settings import java_settings
from .wire import Element, Rows

__all__ = ["add_sink"]

# What a broker allows unless transaction.max.timeout.ms says otherwise; Flink's producer would ask for an hour.
_TRANSACTION_MS = 900_000
_LENGTH = struct.Struct(">i")


def add_sink(stream: DataStream, schema: Schema | None, sink: Any, job: str, config: Config) -> None:
    """Writes the elements of an output, which has this schema as far as it is known, to a sink that `writes_there`
    has found to be of this kind. `job`: its name for the sink."""
    if isinstance(sink, KafkaSink):
        _add_kafka(stream, schema, sink, job, config)
    else:
        _add_lines(stream, schema, sink, job, config)


def _add_kafka(stream: DataStream, schema: Schema | None, sink: KafkaSink, job: str, config: Config) -> None:
    who = f"KafkaSink: topic {sink.topic!r}"
    package = kafka_package(config, who)
    settings = java_settings(who, sink._settings, config, package)
    jvm = get_gateway().jvm
    kafka = jvm.org.apache.flink.connector.kafka.sink.KafkaSink.builder()
    kafka.setBootstrapServers(settings.pop("bootstrap.servers"))
    kafka.setProperty("transaction.timeout.ms", settings.pop("transaction.timeout.ms", str(_TRANSACTION_MS)))
    for name, value in settings.items():
        kafka.setProperty(name, value)
    kafka.setDeliveryGuarantee(jvm.org.apache.flink.connector.base.DeliveryGuarantee.EXACTLY_ONCE)
    kafka.setTransactionalIdPrefix(f"martlet-{job}-{sink.topic}")
    kafka.setRecordSerializer(jvm.martlet.flink.KafkaProducts.schema(sink.topic))
    binary = Types.PRIMITIVE_ARRAY(Types.BYTE())
    rows = stream.map(_ToKafka(sink, schema), Types.ROW([binary, binary, binary, Types.INT()]))
    _attach(rows.name(f"to {sink.name}"), kafka.build(), sink.name, f"{job}:{sink.name}")


def _add_lines(stream: DataStream, schema: Schema | None, sink: JsonlSink, job: str, config: Config) -> None:
    name = storage.quoted(job)
    is_new = config.restore_from is None and "execution.state-recovery.path" not in dict(config.flink)
    if is_new and (found := sorted(sink.path.glob(f"{name}-*{sink.suffix}"))):
        raise SinkError(
            f"JsonlSink: {sink.path} has output of job {job!r} already ({found[0].name}), and the job starts from its "
            "beginning; use another directory or job name, remove its files, or start it with Config(restore_from=…)"
        )
    jvm = get_gateway().jvm
    base = jvm.org.apache.flink.streaming.api.functions.sink.filesystem
    path = jvm.org.apache.flink.core.fs.Path(sink.path.absolute().as_uri())
    files = jvm.org.apache.flink.connector.file.sink.FileSink.forRowFormat(
        path, jvm.org.apache.flink.api.common.serialization.SimpleStringEncoder()
    )
    built = (
        files.withBucketAssigner(base.bucketassigners.BasePathBucketAssigner())
        .withRollingPolicy(jvm.martlet.flink.RollAtCheckpoint(int(sink._max_bytes or 0)))
        .withOutputFileConfig(base.OutputFileConfig(name, sink.suffix))
        .build()
    )
    lines = stream.map(_ToLine(schema), Types.STRING())
    _attach(lines.name(f"to {sink.path.name}"), built, f"jsonl {sink.path}", f"{job}:jsonl")


def _attach(stream: DataStream, built: Any, name: str, uid: str) -> None:
    stream.disable_chaining()._j_data_stream.sinkTo(built).name(name).uid(f"sink:{uid}")


# ---- in the workers


class _ToLine(MapFunction):  # type: ignore[misc]
    """Records as lines of JSON; Flink ends them."""

    def __init__(self, schema: Schema | None) -> None:
        self._rows = Rows(schema)

    def map(self, value: Element) -> str:
        with report_failures():
            return dumps(self._rows.record(value))


class _ToKafka(MapFunction):  # type: ignore[misc]
    """Records as key, value, headers and partition: rows of KafkaProducts."""

    def __init__(self, sink: KafkaSink, schema: Schema | None) -> None:
        self._sink = copy.copy(sink)
        self._sink._kafka = None  # the client, which is not needed there
        self._rows = Rows(schema)

    def map(self, value: Element) -> Row:
        with report_failures():
            record = self._rows.record(value)
            for column in self._sink.columns:
                if column not in record:
                    raise MissingColumnError(
                        f"KafkaSink: topic {self._sink.topic!r}: there is no key column {column!r}; the columns are "
                        f"{', '.join(record)}"
                    )
            key, content, headers, partition = self._sink._record(record)
            return Row(key, content, _packed(headers), partition)


def _packed(headers: Iterable[tuple[str, Any]] | None) -> bytes | None:
    """As KafkaProducts reads them."""
    if not headers:
        return None
    parts: list[bytes] = []
    for name, value in headers:
        for one in (name, value):
            content = one.encode() if isinstance(one, str) else one
            parts += [_LENGTH.pack(-1)] if content is None else [_LENGTH.pack(len(content)), content]
    return b"".join(parts)
