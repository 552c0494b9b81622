"""Partitions of topics, how far each was read, and the consumer that reads them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable
from typing import Any

from ..errors import ClosedError, SourceError
from .kafka_messages import Place

__all__ = ["Positions", "Topics"]

# How long the broker has to answer a question about topics.
_ANSWER_S = 30.0


class Positions:
    """The offset of the next record of each partition, and where to end."""

    __slots__ = ("at_end", "end", "named", "next")

    def __init__(self) -> None:
        self.next: dict[Place, int] = {}
        self.end: dict[Place, int] | None = None
        # Partitions whose end the broker has told of, though no record stands right before it.
        self.at_end: set[Place] = set()
        # Those that this read has told the stream of, and not of their end.
        self.named: set[Place] = set()

    def begin(self, topics: Topics, start: str, *, is_bounded: bool) -> None:
        ranges = {place: topics.offsets(place) for place in topics.partitions()}
        self.next = {place: low if start == "earliest" else high for place, (low, high) in ranges.items()}
        self.end = {place: high for place, (_, high) in ranges.items()} if is_bounded else None

    def add_new(self, topics: Topics) -> list[tuple[Place, int]]:
        """Partitions that were not there before, from their beginning."""
        new = [(place, topics.offsets(place)[0]) for place in topics.partitions() if place not in self.next]
        self.next.update(new)
        return new

    def is_finished(self, place: Place) -> bool:
        return self.end is not None and (place in self.at_end or self.next[place] >= self.end[place])

    def name(self, place: Place, *, is_over: bool) -> None:
        """The stream was told of a partition, or that it has ended."""
        if is_over:
            self.named.discard(place)
        else:
            self.named.add(place)

    def is_at_end(self) -> bool:
        return self.end is not None and all(map(self.is_finished, self.next))

    def unfinished(self) -> list[tuple[Place, int]]:
        return [(place, offset) for place, offset in self.next.items() if not self.is_finished(place)]

    def to_json(self) -> dict[str, Any]:
        return {"next": _nested(self.next), "end": None if self.end is None else _nested(self.end)}

    @staticmethod
    def from_json(offset: Any) -> Positions:
        found = Positions()
        found.next = _flat(offset["next"])
        found.end = None if offset["end"] is None else _flat(offset["end"])
        return found


def _nested(offsets: dict[Place, int]) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for (topic, partition), offset in offsets.items():
        nested.setdefault(topic, {})[str(partition)] = offset
    return nested


def _flat(nested: Any) -> dict[Place, int]:
    return {
        (str(topic), int(partition)): int(offset)
        for topic, partitions in nested.items()
        for partition, offset in partitions.items()
    }


class Topics:
    """A consumer whose partitions are assigned by hand."""

    def __init__(self, kafka: Any, consumer: Any, name: str, topics: tuple[str, ...]) -> None:
        self._kafka = kafka
        self._consumer = consumer
        self._name = name
        self._topics = topics

    def close(self) -> None:
        self._consumer.close()

    # ---- questions

    def partitions(self) -> list[Place]:
        """Those of all topics now."""
        found: list[Place] = []
        for topic in self._topics:
            try:
                about = self._consumer.list_topics(topic, timeout=_ANSWER_S).topics[topic]
            except self._kafka.KafkaException as error:
                raise self._error(f"no broker answers: {error}") from error
            if about.error is not None or not about.partitions:
                raise self._error(f"topic {topic!r} cannot be read: {about.error or 'it has no partitions'}")
            found += [(topic, partition) for partition in about.partitions]
        return sorted(found)

    def offsets(self, place: Place) -> tuple[int, int]:
        """The first offset that is there, and the one after the last."""
        try:
            low, high = self._consumer.get_watermark_offsets(self._kafka.TopicPartition(*place), timeout=_ANSWER_S)
        except self._kafka.KafkaException as error:
            raise self._error(f"topic {place[0]!r}, partition {place[1]}: its offsets are not told: {error}") from error
        return low, high

    # ---- reading

    def assign(self, positions: Iterable[tuple[Place, int]]) -> None:
        self._consumer.assign([self._kafka.TopicPartition(*place, offset) for place, offset in positions])

    def assign_more(self, positions: Iterable[tuple[Place, int]]) -> None:
        if new := [self._kafka.TopicPartition(*place, offset) for place, offset in positions]:
            self._consumer.incremental_assign(new)

    def poll(self, most: int, wait_s: float, at: Positions) -> dict[Place, list[Any]]:
        """Records by partition, up to `most` in all, none beyond the end; after `wait_s` what there is."""
        found: dict[Place, list[Any]] = {}
        for message in self._some(most, wait_s):
            place = self._place(message)
            if place is None:
                continue
            if message.error() is not None:  # the end of the partition
                if at.end is not None and message.offset() >= at.end[place]:
                    at.at_end.add(place)
            elif at.end is None or message.offset() < at.end[place]:
                found.setdefault(place, []).append(message)
            else:
                at.at_end.add(place)
        return found

    def range(self, place: Place, start: int, end: int, is_closed: threading.Event) -> list[Any]:
        """The records of one partition from `start` up to `end`."""
        self.assign([(place, start)])
        found: list[Any] = []
        while True:
            for message in self._some(1024, 0.5):
                if self._place(message) != place:
                    continue
                is_there = message.error() is None
                if is_there and message.offset() < end:
                    found.append(message)
                if message.offset() >= end - is_there:
                    return found
            if is_closed.is_set():
                raise ClosedError(f"source {self._name!r} was closed while it waited for records")

    def _some(self, most: int, wait_s: float) -> list[Any]:
        """What the client has, as soon as it has anything: it would wait to fill the whole list."""
        found: list[Any] = self._consumer.consume(1, wait_s)
        if found and most > 1:
            found += self._consumer.consume(most - 1, 0)
        return found

    def commit(self, at: Positions, *, waits: bool = False) -> None:
        """For those who watch the group; it may fail without harm."""
        offsets = [self._kafka.TopicPartition(*place, offset) for place, offset in at.next.items()]
        with contextlib.suppress(self._kafka.KafkaException):
            self._consumer.commit(offsets=offsets, asynchronous=not waits)

    def _place(self, message: Any) -> Place | None:
        """Of a record, or of the end of a partition; other news of the client raise, or are nothing."""
        error = message.error()
        if error is not None and error.code() != self._kafka.KafkaError._PARTITION_EOF:
            where = f"topic {message.topic()!r}, partition {message.partition()}"
            if error.code() in (self._kafka.KafkaError._AUTO_OFFSET_RESET, self._kafka.KafkaError.OFFSET_OUT_OF_RANGE):
                raise self._error(
                    f"{where}: the broker has no longer, or not yet, the records to go on with ({error.str()}); the "
                    "job cannot go on without a gap"
                )
            if error.retriable() or error.code() in _passing(self._kafka.KafkaError):
                return None
            raise self._error(f"{where}: {error.str()}")
        return message.topic(), message.partition()

    def _error(self, words: str) -> SourceError:
        return SourceError(f"KafkaSource {self._name!r}: {words}")


def _passing(codes: Any) -> tuple[Any, ...]:
    """The client goes on by itself after these."""
    return codes._TRANSPORT, codes._ALL_BROKERS_DOWN, codes._TIMED_OUT, codes._RESOLVE
