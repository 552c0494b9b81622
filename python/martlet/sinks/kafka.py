"""A topic of Kafka as a sink, in transactions, through confluent-kafka."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from .._engine import RecordBatch, decode_value, encode_value
from ..arguments import duration
from ..errors import ConfigError, SinkError
from ..json_values import dumps
from ..sources.libraries import required
from .delivery import DeliverySink, Mark
from .kafka_marks import create_topic, read_mark
from .tables import check_key, key_of

__all__ = ["KafkaSink"]

_ROWS_PER_FRAME = 256

Row = dict[str, Any]


class KafkaSink(DeliverySink):
    """Writes the output to a topic, exactly once for readers with `isolation.level=read_committed`: `pip install
    martlet[kafka]`.

    - `value`: `"json"`, or a callable that makes bytes, or None, of a row (a dict).
    - `key`: a column (text as UTF-8, binary as it is, anything else as JSON), several (a JSON list), or a callable.
    - `headers`: a callable that makes a dict or a list of (name, bytes) pairs.
    - `partition`: a column or a callable that gives the number of the partition; by default the key's hash decides.
    - `control_topic`: where the sink notes which transactions the topic has; made, compacted, if it is not there. All
      jobs may share it.
    - `config`: further settings of librdkafka. `timeout`: how long the broker has to answer.
    - `rewind`: when the job is restored from a checkpoint that is older than what the topic holds: `"raise"` SinkError,
      or `"accept"` that records come twice.

    Output that is prepared waits in the job's state directory. A commit is one transaction of Kafka, with the records
    and a note in the control topic. A new process first ends what the last one left open (the `transactional.id` is
    made of the names of job and topic, so two jobs that write one topic need different names), then reads the note and
    sends what is missing. A job that starts from its beginning adds its output to the topic.
    """

    min_rows = 1024

    def __init__(
        self,
        topic: str,
        *,
        bootstrap: str,
        value: Literal["json"] | Callable[[Row], bytes | None] = "json",
        key: str | Sequence[str] | Callable[[Row], bytes | None] | None = None,
        headers: Callable[[Row], Any] | None = None,
        partition: str | Callable[[Row], int] | None = None,
        control_topic: str = "martlet-commits",
        config: Mapping[str, Any] | None = None,
        timeout: Any = "60s",
        rewind: Literal["raise", "accept"] = "raise",
    ) -> None:
        self._kafka = required("confluent_kafka", "KafkaSink", "'martlet[kafka]'")
        if not isinstance(topic, str) or not topic:
            raise ConfigError(f"KafkaSink: topic={topic!r} is no name of a topic")
        if value != "json" and not callable(value):
            raise ConfigError(f"KafkaSink: value={value!r} is not allowed; use 'json' or a callable")
        super().__init__(f"kafka {topic}", rewind)
        self.topic = topic
        self._control_topic = control_topic
        self._key_columns = () if callable(key) else key_of("KafkaSink", key)
        self._key = key if callable(key) else self._column_key if key is not None else _nothing
        self._value: Callable[[Row], bytes | None] = value if callable(value) else lambda row: dumps(row).encode()
        self._headers = headers or _nothing
        self._partition_column = partition if isinstance(partition, str) else None
        self._partition = partition if callable(partition) else self._column_partition
        self._timeout_s = duration("timeout", timeout, "the broker has 0 ms or more to answer") / 1000
        self._settings = {"bootstrap.servers": bootstrap, **(config or {})}
        self._producer: Any = None
        self._last: Mark | None = None
        self._failure: str | None = None

    # ---- Kafka

    def _connect(self) -> None:
        self._failure = None
        transactional_id = f"martlet-{self._job}-{self.topic}"
        try:
            create_topic(self._kafka, self._settings, self._control_topic, self._timeout_s)
            self._producer = self._kafka.Producer({**self._settings, "transactional.id": transactional_id})
            # Ends a transaction that an earlier process left open, and keeps that process from going on.
            self._producer.init_transactions(self._timeout_s)
            self._last = read_mark(self._kafka, self._settings, self._control_topic, transactional_id, self._timeout_s)
        except self._kafka.KafkaException as error:
            raise self._failed("cannot be written", error) from error
        self._mark_key = transactional_id

    def _disconnect(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.flush(0)

    def _mark(self) -> Mark | None:
        return self._last

    def _deliver(self, mark: Mark, frames: Iterator[bytes]) -> None:
        if self._failure is not None:
            raise SinkError(f"{self._failure}; the sink was not opened again since")
        last = self._last
        if last is not None and last.life == mark.life and last.checkpoint >= mark.checkpoint:
            return
        what = f"checkpoint {mark.checkpoint} cannot be committed"
        try:
            self._producer.begin_transaction()
            for frame in frames:
                for key, value, headers, partition in decode_value(frame):
                    self._send(self.topic, key, value, headers and [tuple(one) for one in headers], partition)
            self._send(self._control_topic, self._mark_key.encode(), json.dumps(mark._asdict()).encode(), None, 0)
            self._producer.commit_transaction(self._timeout_s)
        except self._kafka.KafkaException as error:
            # Whether the broker has committed is for the next one who opens the sink to find out.
            failure = self._failed(what, error)
            self._failure = str(failure)
            raise failure from error
        except BaseException:
            self._producer.abort_transaction(self._timeout_s)
            raise
        self._last = mark

    def _send(self, topic: str, key: Any, value: Any, headers: Any, partition: int | None) -> None:
        more = {} if partition is None else {"partition": partition}
        while True:
            try:
                self._producer.produce(topic, value, key, headers=headers, **more)
            except BufferError:  # the client's queue is full
                self._producer.poll(0.1)
            else:
                self._producer.poll(0)
                return

    def _failed(self, what: str, error: Exception) -> SinkError:
        return SinkError(
            f"KafkaSink: topic {self.topic!r}: {what}: {error}. Nothing is lost: what was prepared is sent when the "
            "job is started again"
        )

    # ---- rows

    @property
    def columns(self) -> tuple[str, ...]:
        """Those that must be there, for keys and partitions."""
        return (*self._key_columns, *([self._partition_column] if self._partition_column else []))

    def _frames(self, batch: RecordBatch, is_first: bool) -> Iterable[bytes]:
        check_key(f"KafkaSink: topic {self.topic!r}", self.columns, batch)
        for start in range(0, batch.num_rows, _ROWS_PER_FRAME):
            rows = batch[start : start + _ROWS_PER_FRAME].to_pylist()
            yield encode_value([self._record(row) for row in rows])

    def _record(self, row: Row) -> list[Any]:
        headers = self._headers(row)
        if isinstance(headers, Mapping):
            headers = headers.items()
        named = headers and [[name, value] for name, value in headers]
        return [self._bytes("key", self._key(row)), self._bytes("value", self._value(row)), named, self._partition(row)]

    def _bytes(self, what: str, value: Any) -> bytes | None:
        if value is None or isinstance(value, bytes):
            return value
        if isinstance(value, str):
            return value.encode()
        raise SinkError(
            f"KafkaSink: topic {self.topic!r}: {what}= gave a {type(value).__name__}; give bytes, str or None"
        )

    def _column_key(self, row: Row) -> Any:
        values = [row[column] for column in self._key_columns]
        if len(values) > 1:
            return dumps(values)
        (value,) = values
        return value if value is None or isinstance(value, (str, bytes)) else dumps(value)

    def _column_partition(self, row: Row) -> Any:
        return None if self._partition_column is None else row[self._partition_column]


def _nothing(row: Row) -> None:
    return None
