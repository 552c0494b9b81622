"""Topics of Kafka that Flink reads: its connector has offsets, partitions and checkpoints, the package's own code makes
rows of the bytes."""

from __future__ import annotations

import pickle
import struct
import sys
from collections.abc import Iterator
from typing import Any

import cloudpickle
from pyflink.common import Row, Types, WatermarkStrategy
from pyflink.datastream import DataStream, FlatMapFunction
from pyflink.datastream.connectors.base import Source
from pyflink.java_gateway import get_gateway

from .. import _engine
from .._engine import ManualClock, RecordBatch, Schema
from ..config import Config
from ..graph import Edge, Plan, SourceNode
from ..operators import operator_node
from ..run import add_operators, add_source, new_job
from ..sources.kafka import KafkaSource
from ..sources.kafka_topics import Positions, Topics
from .failing import report_failures
from .jars import kafka_package
from .kafka_settings import java_settings
from .reading import Tap
from .wire import Element

__all__ = ["kafka_stream"]

_NO_TIME = -(2**63)
_LENGTH = struct.Struct(">i")


def kafka_stream(environment: Any, number: int, node: SourceNode, config: Config, paths: tuple[str, ...]) -> DataStream:
    """The elements of a KafkaSource, the plan's source with this number: read and decoded by as many tasks as the job
    has instances. `paths`: where the submitting process finds modules."""
    source: KafkaSource = node.source
    who = f"stream {node.name!r}: KafkaSource"
    package = kafka_package(config, who)
    positions = _positions(source)
    jvm = get_gateway().jvm
    built = _flink_source(source, java_settings(who, source._settings, config, package), package, positions)
    environment.set_parallelism(config.parallelism)
    stream = environment.from_source(built, WatermarkStrategy.no_watermarks(), node.name)
    stream = stream.uid(f"topics {number}:{node.name}")
    topics, tasks = list(source.topics), config.parallelism
    route = jvm.martlet.flink.PartitionRoute(_java_list(topics))
    routed = DataStream(stream._j_data_stream.partitionCustom(route, route))
    timed = Types.ROW([Types.STRING(), Types.LONG(), Types.PRIMITIVE_ARRAY(Types.BYTE())])
    decoded = routed.flat_map(_Decode(node, paths), timed).name(f"decode {node.name}")
    if node.timestamp is not None:
        # As PartitionRoute sends them.
        places = [
            [_place(*one) for one in positions.next if (topics.index(one[0]) + one[1]) % tasks == task]
            for task in range(tasks)
        ]
        marks = jvm.martlet.flink.PartitionWatermarks(
            _java_list([_java_list(one) for one in places]), node.bound_ms, node.idle_ms
        )
        decoded = DataStream(decoded._j_data_stream.assignTimestampsAndWatermarks(marks))
    payload = decoded._j_data_stream.map(jvm.martlet.flink.Payload())
    return DataStream(payload.returns(Types.PICKLED_BYTE_ARRAY().get_java_type_info()))


def _place(topic: str, partition: int) -> str:
    return f"{topic}-{partition}"


def _java_list(items: list[Any]) -> Any:
    found = get_gateway().jvm.java.util.ArrayList()
    for one in items:
        found.add(one)
    return found


def _positions(source: KafkaSource) -> Positions:
    """Where the partitions begin and end: what the engine would find now."""
    topics = Topics(source._kafka, source._kafka.Consumer(source._settings), source.name, source.topics)
    try:
        found = Positions()
        found.begin(topics, source._start, is_bounded=source.bounded)
        return found
    finally:
        topics.close()


def _flink_source(source: KafkaSource, settings: dict[str, str], package: str, positions: Positions) -> Source:
    jvm = get_gateway().jvm
    offsets = jvm.org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer
    client = _package(package)
    # A gap is an error, and not a jump to what is there.
    never = client.clients.consumer.OffsetResetStrategy.NONE

    def at(places: dict[Any, int]) -> Any:
        found = jvm.java.util.HashMap()
        for (topic, partition), offset in places.items():
            jvm.martlet.flink.KafkaRecords.put(found, client.common.TopicPartition(topic, partition), offset)
        return offsets.offsets(found, never)

    builder = jvm.org.apache.flink.connector.kafka.source.KafkaSource.builder()
    builder.setTopics(_java_list(list(source.topics)))
    for name, value in settings.items():
        builder.setProperty(name, value)
    builder.setProperty("commit.offsets.on.checkpoint", "false" if source._group is None else "true")
    every_ms = -1 if source.bounded else max(1, int(source._refresh_s * 1000))
    builder.setProperty("partition.discovery.interval.ms", str(every_ms))
    builder.setStartingOffsets(at(positions.next))
    if positions.end is not None:
        builder.setBounded(at(positions.end))
    builder.setDeserializer(jvm.martlet.flink.KafkaRecords.schema())
    return Source(builder.build())


def _package(name: str) -> Any:
    found = get_gateway().jvm
    for part in name.rstrip(".").split("."):
        found = getattr(found, part)
    return found


# ---- in the workers


class _Message:
    """A record as confluent-kafka shows it, which is what `Messages` reads."""

    __slots__ = ("_row",)

    def __init__(self, row: Any) -> None:
        self._row = row

    def topic(self) -> str:
        topic: str = self._row[0]
        return topic

    def partition(self) -> int:
        partition: int = self._row[1]
        return partition

    def offset(self) -> int:
        offset: int = self._row[2]
        return offset

    def timestamp(self) -> tuple[int, int]:
        time_ms = self._row[3]
        return (0, 0) if time_ms is None else (1, time_ms)

    def key(self) -> bytes | None:
        return _bytes(self._row[4])

    def value(self) -> bytes | None:
        return _bytes(self._row[5])

    def headers(self) -> list[tuple[str, bytes | None]]:
        packed = _bytes(self._row[6]) or b""
        found, at = [], 0
        while at < len(packed):
            name, at = _part(packed, at)
            value, at = _part(packed, at)
            found.append(((name or b"").decode(), value))
        return found


def _bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)


def _part(packed: bytes, at: int) -> tuple[bytes | None, int]:
    (length,) = _LENGTH.unpack_from(packed, at)
    at += _LENGTH.size
    return (None, at) if length < 0 else (packed[at : at + length], at + length)


class _Times:
    """The event times of records, as the engine finds them in a column."""

    def __init__(self, schema: Schema, column: str | None) -> None:
        self._tap = Tap((0, 1))
        other = SourceNode([], "none", None, 0, Schema({"none": int}), "rows", False)
        main = SourceNode([], "main", None, 0, schema, "rows", False)
        operator = operator_node("broadcast", self._tap, (), (Edge(main), Edge(other)), ((), ()))
        config = Config(profile="dev-local", parallelism=1, null_timestamps="process")
        job = new_job("flink", config, ManualClock(0), None)
        for node in (main, other):
            add_source(job, node)
        add_operators(job, Plan.of([Edge(operator)]).operators)
        self._engine = _engine.Harness(job, column, -1, None)
        self._engine.open(schema, 1)
        self._engine.open(other.schema, 2)

    def elements(self, batch: RecordBatch) -> list[Element]:
        """The records of a batch, without a watermark."""
        self._tap.elements.clear()
        self._engine.push(batch, 0, False, None, 1)
        return [(0, "0", timestamp, None, values, None) for _, _, timestamp, _, values, _ in self._tap.elements]


class _Decode(FlatMapFunction):  # type: ignore[misc]
    """Rows of KafkaRecords as rows for PartitionWatermarks."""

    def __init__(self, node: SourceNode, paths: tuple[str, ...]) -> None:
        self._pickled = cloudpickle.dumps(node.source._messages)
        self._paths = paths
        self._timestamp = node.timestamp
        self._messages: Any = None
        self._times: Any = None
        self._bad: Any = None

    def open(self, runtime_context: Any) -> None:
        sys.path.extend(path for path in self._paths if path not in sys.path)
        self._messages = pickle.loads(self._pickled)
        self._times = _Times(self._messages.schema, self._timestamp)
        self._bad = runtime_context.get_metrics_group().counter("bad_values")

    def flat_map(self, value: Any) -> Iterator[Any]:
        with report_failures():
            before = self._messages.bad_values
            batch = self._messages.batch([_Message(value)])
            self._bad.inc(self._messages.bad_values - before)
            for element in self._times.elements(batch) if batch.num_rows else ():
                time_ms = _NO_TIME if element[2] is None else element[2]
                yield Row(_place(value[0], value[1]), time_ms, pickle.dumps(element))
