"""Topics of Kafka as a source, through confluent-kafka."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from .._engine import Schema
from ..arguments import duration
from ..errors import ClosedError, ConfigError, SourceError
from .kafka_messages import Messages, Place
from .kafka_topics import Positions, Topics
from .libraries import required
from .protocol import Offset, SourceBatch
from .rows import MOST_ROWS, batch_of, schema_from_json, schema_to_json

__all__ = ["KafkaSource"]

# How often offsets are committed for those who watch a group's lag.
_COMMIT_EVERY_S = 5.0


class KafkaSource:
    """Records of one or several topics: `pip install martlet[kafka]`.

    - `value`: `"json"`: an object for each record, whose fields are columns; `"raw"`: a column `value`, binary, or text
      with `schema={"value": str}`; or a callable that makes a dict of the value's bytes (None for a record without), or
      None to leave the record out.
    - `schema`: the columns of the value and their types, as of `JsonlSource`. By default inferred from the records of
      the first poll, and fixed from then on.
    - `key`, `timestamp`, `partition`, `offset`, `headers`, `topic`: names for further columns with what Kafka has of a
      record: binary, timestamp[ms, UTC], int32, int64, a list of structs (name, value), and text.
    - `start`: where a job that starts from its beginning begins in the partitions that are there: `"earliest"` or
      `"latest"`. Partitions that are added later are read from their beginning; they are looked for every `refresh`.
    - `end`: None: it does not end. `"latest"`: it ends at what the partitions hold when it begins.
    - `on_bad_value`: `"raise"` SourceError with topic, partition and offset, or `"skip"` and count in `bad_values`.
    - `batch_rows`: records of a poll at most, up to 4096. `poll`: how long one waits; then comes an empty batch.
    - `group`: a consumer group whose committed offsets follow the reading, for tools that watch its lag. They are never
      read: where a job goes on is in its own checkpoints.
    - `config`: further settings of librdkafka, such as `{"security.protocol": "SASL_SSL"}`.

    Offsets of each partition, and which records come next, are in the source's offset. Each partition is a partition of
    the stream, with a watermark of its own: one without records holds back the stream's, unless `mt.stream` has an
    `idle_timeout`; with `end`, one that was read to its end does not. Records of transactions are read when these have
    been committed. A topic that is missing, and records that the broker no longer has, are a SourceError. In compacted
    topics a restart may find fewer records than before.
    """

    replayable = True

    def __init__(
        self,
        topics: str | Sequence[str],
        *,
        bootstrap: str,
        value: Literal["json", "raw"] | Callable[[bytes | None], dict[str, Any] | None] = "json",
        schema: Mapping[str, Any] | Any = None,
        key: str | None = None,
        timestamp: str | None = None,
        partition: str | None = None,
        offset: str | None = None,
        headers: str | None = None,
        topic: str | None = None,
        start: Literal["earliest", "latest"] = "earliest",
        end: Literal["latest"] | None = None,
        on_bad_value: Literal["raise", "skip"] = "raise",
        batch_rows: int = MOST_ROWS,
        poll: Any = "1s",
        refresh: Any = "30s",
        group: str | None = None,
        config: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> None:
        self._kafka = required("confluent_kafka", "KafkaSource", "'martlet[kafka]'")
        self.topics = (topics,) if isinstance(topics, str) else tuple(topics)
        if not self.topics or not all(isinstance(one, str) and one for one in self.topics):
            raise ConfigError(
                f"KafkaSource: topics={topics!r} is not allowed; use the name of a topic or a list of them"
            )
        for setting, given, allowed in (
            ("start", start, ("earliest", "latest")),
            ("end", end, (None, "latest")),
            ("on_bad_value", on_bad_value, ("raise", "skip")),
        ):
            if given not in allowed:
                raise ConfigError(
                    f"KafkaSource: {setting}={given!r} is not allowed; use {' or '.join(map(repr, allowed))}"
                )
        if not isinstance(batch_rows, int) or not 1 <= batch_rows <= MOST_ROWS:
            raise ConfigError(f"KafkaSource: batch_rows={batch_rows!r} is not allowed; use 1 to {MOST_ROWS}")
        self.name = name or " + ".join(self.topics)
        self.bounded = end is not None
        columns = {
            "key": key,
            "timestamp": timestamp,
            "partition": partition,
            "offset": offset,
            "headers": headers,
            "topic": topic,
        }
        self._messages = Messages(self.name, value, schema, columns, skips=on_bad_value == "skip")
        self._start = start
        self._batch_rows = batch_rows
        self._poll_s = duration("poll", poll, "a poll waits 0 ms or more") / 1000
        self._refresh_s = duration("refresh", refresh, "partitions are looked for every 0 ms or more") / 1000
        self._group = group
        self._settings = {
            "bootstrap.servers": bootstrap,
            "group.id": group or f"martlet-{uuid.uuid4().hex}",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            **(config or {}),
        }
        self._is_closed = threading.Event()

    @property
    def schema(self) -> Schema | None:
        """None while it is not known, because it will be inferred."""
        return self._messages.schema

    @property
    def bad_values(self) -> int:
        """Records that were skipped by this object, in all reads."""
        return self._messages.bad_values

    def close(self) -> None:
        """Ends a read that waits, after its poll, with ClosedError."""
        self._is_closed.set()

    def read(self, offset: Offset = None) -> Iterator[SourceBatch]:
        self._is_closed.clear()
        at, planned = self._restore(offset)
        topics = Topics(self._kafka, self._kafka.Consumer(self._settings), self.name, self.topics)
        try:
            if offset is None:
                at.begin(topics, self._start, is_bounded=self.bounded)
            elif not self.bounded:
                at.add_new(topics)
            for number, (place, end) in enumerate(planned):
                # As it came before.
                messages = topics.range(place, at.next[place], end, self._is_closed)
                yield self._batch(at, planned[number:], messages)
            yield from self._follow(topics, at)
        finally:
            topics.close()

    def _name_partitions(self, at: Positions, plan: list[tuple[Place, int]]) -> Iterator[SourceBatch]:
        """Tells the stream of partitions before their first record, so that each counts for the watermark from the
        beginning; and of those that turned out to have ended."""
        if self.schema is None:
            return
        coming = {place for place, _ in plan}
        for place in at.next:
            is_over = at.is_finished(place) and place not in coming
            if is_over is (place in at.named):
                yield SourceBatch(batch_of([], self.schema), self._offset(at, plan), _name(place), is_last=is_over)
                at.name(place, is_over=is_over)

    def _batch(self, at: Positions, plan: list[tuple[Place, int]], messages: list[Any]) -> SourceBatch:
        """The first of what is planned."""
        (place, end), left = plan[0], plan[1:]
        batch = self._messages.batch(messages)
        at.next[place] = end
        is_over = at.is_finished(place)
        at.name(place, is_over=is_over)
        return SourceBatch(batch, self._offset(at, left), _name(place), is_last=is_over)

    def _follow(self, topics: Topics, at: Positions) -> Iterator[SourceBatch]:
        """Poll after poll. What a poll gave is pinned by an empty batch before its first record."""
        topics.assign(at.unfinished())
        refreshed = committed = time.monotonic()
        while not at.is_at_end():
            if self._is_closed.is_set():
                raise ClosedError(f"source {self.name!r} was closed while it waited for records")
            found = topics.poll(self._batch_rows, self._poll_s, at)
            self._messages.learn(message for messages in found.values() for message in messages)
            plan = [(place, messages[-1].offset() + 1) for place, messages in sorted(found.items())]
            yield from self._name_partitions(at, plan)
            if self.schema is not None:
                yield SourceBatch(batch_of([], self.schema), self._offset(at, plan))
            for number, (place, _) in enumerate(plan):
                yield self._batch(at, plan[number:], found[place])
            now = time.monotonic()
            if self._group is not None and now - committed >= _COMMIT_EVERY_S:
                topics.commit(at)
                committed = now
            if not self.bounded and now - refreshed >= self._refresh_s:
                topics.assign_more(at.add_new(topics))
                refreshed = now
        if self._group is not None:
            topics.commit(at, waits=True)

    def _offset(self, at: Positions, planned: list[tuple[Place, int]]) -> Offset:
        schema = self._messages.inferred
        return {
            **at.to_json(),
            "planned": [[*place, end] for place, end in planned],
            "schema": None if schema is None else schema_to_json(schema),
        }

    def _restore(self, offset: Offset) -> tuple[Positions, list[tuple[Place, int]]]:
        if offset is None:
            return Positions(), []
        try:
            at = Positions.from_json(offset)
            # The stream that goes on from here was told of them.
            at.named = set(at.next)
            planned = [((str(topic), int(number)), int(end)) for topic, number, end in offset["planned"]]
            if offset["schema"] is not None:
                self._messages.inferred = schema_from_json(offset["schema"])
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise SourceError(f"source {self.name!r}: {offset!r} is no offset of a KafkaSource") from error
        if missing := {topic for topic, _ in at.next} - set(self.topics):
            raise SourceError(
                f"source {self.name!r}: it has read topic {sorted(missing)[0]!r}, and is now to read {self.topics}; "
                "go on with the same topics"
            )
        return at, planned


def _name(place: Place) -> str:
    return f"{place[0]}-{place[1]}"
