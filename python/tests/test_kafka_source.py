"""Kafka as a source, against a real broker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import kafka_broker
import pytest
from kafka_broker import Broker
from sinks_and_sources import all_rows, rows_of

import martlet as mt
from martlet.sources.kafka_topics import Positions, Topics

REASON = kafka_broker.missing()
pytestmark = pytest.mark.skipif(REASON is not None, reason=REASON or "")


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with kafka_broker.broker() as running:
        yield running


def values(start: int, stop: int) -> list[bytes]:
    return [json.dumps({"id": i, "x": i / 2}).encode() for i in range(start, stop)]


def source(broker: Broker, topics: Any, **options: Any) -> Any:
    options = {"schema": {"id": int}, "end": "latest", "poll": "100ms"} | options
    return mt.KafkaSource(
        topics, bootstrap=broker.bootstrap, config={"log_level": 0, "fetch.wait.max.ms": 20}, **options
    )


def ids(rows: list[dict[str, Any]]) -> list[int]:
    return [row["id"] for row in rows]


def assert_replays(make: Any) -> list[list[dict[str, Any]]]:
    """From each offset the records that it names come as they came; in polls of their own after these."""
    items = list(make().read(None))
    batches = [rows_of(item) for item in items]
    for number, item in enumerate(items):
        offset = json.loads(json.dumps(item.next_offset))
        planned = len(offset["planned"])
        again = list(make().read(offset))
        # Behind those that name partitions, and pin what comes next.
        first = next((n for n in range(number + 1, len(items)) if items[n].next_offset != item.next_offset), len(items))
        assert [rows_of(one) for one in again[:planned]] == batches[first : first + planned]
        assert [one.next_offset for one in again[:planned]] == [
            one.next_offset for one in items[first : first + planned]
        ]
        rest = sorted(ids([row for one in again for row in rows_of(one)]))
        assert rest == sorted(ids([row for rows in batches[number + 1 :] for row in rows]))
    return batches


def test_two_partitions(broker: Broker) -> None:
    topic = broker.topic(2)
    broker.produce(topic, values(0, 30))
    broker.produce(topic, values(100, 120), 1)
    batches = assert_replays(lambda: source(broker, topic, batch_rows=7))
    rows = ids([row for found in batches for row in found])
    assert [i for i in rows if i < 100] == list(range(30)) and [i for i in rows if i >= 100] == list(range(100, 120))
    found = [item.partition for item in source(broker, topic).read(None) if rows_of(item)]
    assert set(found) == {f"{topic}-0", f"{topic}-1"}
    assert sorted(ids(mt.stream(source(broker, topic)).to_pylist())) == sorted(rows)


def test_a_checkpoint_inside_a_batch(broker: Broker) -> None:
    """The offset before a batch, and rows of it that were processed: whatever comes meanwhile, the same rows follow."""
    topic = broker.topic(2)
    broker.produce(topic, values(0, 20))
    broker.produce(topic, values(100, 120), 1)
    reading = source(broker, topic, end=None, batch_rows=10).read(None)
    done: list[int] = []
    offset: Any = None
    for item in reading:
        rows = ids(rows_of(item))
        if len(done) + len(rows) > 13:
            cut = 13 - len(done)
            break
        done += rows
        offset = json.loads(json.dumps(item.next_offset))
    reading.close()
    broker.produce(topic, values(20, 30))
    broker.produce(topic, values(120, 130), 1)
    again = ids(take(source(broker, topic, end=None), offset, 60 - len(done)))
    assert again[:cut] == rows[:cut]
    assert sorted(done + again) == [*range(30), *range(100, 130)]


def take(reader: Any, offset: Any, n: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    reading = reader.read(offset)
    while len(found) < n:
        found += rows_of(next(reading))
    reading.close()
    return found


def test_start_and_end(broker: Broker) -> None:
    topic = broker.topic(2)
    assert all_rows(source(broker, topic)) == []
    broker.produce(topic, values(0, 5))
    assert ids(all_rows(source(broker, topic))) == list(range(5))
    reading = source(broker, topic, start="latest", end=None).read(None)
    assert rows_of(next(reading)) == []
    broker.produce(topic, values(5, 8))
    assert ids(take_from(reading, 3)) == [5, 6, 7]
    # The end is where it was when the reading began, also after a restart.
    begun = source(broker, topic, batch_rows=2)
    reading = begun.read(None)
    first = next(reading)
    broker.produce(topic, values(8, 20))
    assert ids([row for item in reading for row in rows_of(item)]) == list(range(8))
    assert ids(all_rows(source(broker, topic), first.next_offset)) == list(range(8))


def take_from(reading: Any, n: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while len(found) < n:
        found += rows_of(next(reading))
    return found


def test_two_topics_and_new_partitions(broker: Broker) -> None:
    one, two = broker.topic(1), broker.topic(1)
    broker.produce(one, values(0, 3))
    broker.produce(two, values(3, 6))
    assert sorted(ids(all_rows(source(broker, [one, two])))) == list(range(6))
    last = list(source(broker, [one, two]).read(None))[-1].next_offset
    assert last["next"] == {one: {"0": 3}, two: {"0": 3}}
    with pytest.raises(mt.SourceError, match="go on with the same topics"):
        all_rows(source(broker, one), last)


@pytest.mark.parametrize("is_restart", [False, True], ids=["while it runs", "meanwhile"])
def test_partitions_that_are_added(broker: Broker, is_restart: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """This broker adds none to a topic, so the second one is kept from the source at first."""
    topic = broker.topic(2)
    broker.produce(topic, values(0, 3))
    broker.produce(topic, values(3, 6), 1)
    real, asked = Topics.partitions, 0

    def partitions(topics: Topics) -> Any:
        nonlocal asked
        asked += 1
        return real(topics)[: 1 if asked == 1 else 2]

    monkeypatch.setattr(Topics, "partitions", partitions)
    reading = source(broker, topic, end=None, refresh="1h" if is_restart else 0).read(None)
    assert ids(take_from(reading, 3)) == [0, 1, 2]
    if is_restart:
        offset = next(reading).next_offset
        assert offset["next"] == {topic: {"0": 3}}
        reading = source(broker, topic, end=None, refresh="1h").read(json.loads(json.dumps(offset)))
    assert ids(take_from(reading, 3)) == [3, 4, 5]


def test_all_columns(broker: Broker) -> None:
    topic = broker.topic(1)
    broker.produce(topic, [b'{"a": "x"}', None], key=b"k", headers=[("h", b"1")], timestamp=1_000)
    rows = all_rows(
        source(
            broker,
            topic,
            schema=None,
            key="key",
            timestamp="ts",
            partition="p",
            offset="o",
            headers="hs",
            topic="topic",
        )
    )
    first, second = rows
    assert first["ts"].timestamp() == 1
    assert {name: first[name] for name in first if name != "ts"} == {
        "a": "x", "key": b"k", "p": 0, "o": 0, "hs": [{"name": "h", "value": b"1"}], "topic": topic
    }  # fmt: skip
    assert (second["a"], second["o"]) == (None, 1)
    stream = mt.stream(source(broker, topic, schema={"a": str}, timestamp="ts"), timestamp="ts")
    assert stream.schema.types == ("utf8", "timestamp[ms, UTC]")
    with pytest.raises(mt.ConfigError, match="column 'a' is in the records already"):
        source(broker, topic, schema={"a": str}, key="a")


def test_values(broker: Broker) -> None:
    topic = broker.topic(1)
    broker.produce(topic, [b"1", b"\xff", None])
    assert all_rows(source(broker, topic, value="raw", schema=None)) == [
        {"value": b"1"},
        {"value": b"\xff"},
        {"value": None},
    ]
    with pytest.raises(mt.SourceError, match=rf"topic '{topic}', partition 0, offset 1: its value is not UTF-8"):
        all_rows(source(broker, topic, value="raw", schema={"value": str}))
    made = source(broker, topic, value=lambda value: {"id": len(value)} if value else None)
    assert all_rows(made) == [{"id": 1}, {"id": 1}]
    skipping = source(broker, topic, on_bad_value="skip")
    assert all_rows(skipping) == [{"id": None}] and skipping.bad_values == 2
    with pytest.raises(mt.SourceError, match=r"offset 0: is a JSON int, and not an object; on_bad_value='skip'"):
        all_rows(source(broker, topic))
    with pytest.raises(mt.ConfigError, match="value='raw' has one column"):
        source(broker, topic, value="raw")


def test_an_inferred_schema_goes_on_after_a_restart(broker: Broker) -> None:
    topic = broker.topic(1)
    broker.produce(topic, values(0, 3))
    item = next(iter(source(broker, topic, schema=None).read(None)))
    broker.produce(topic, [b'{"id": 9}'])
    reading = source(broker, topic, schema=None, end=None).read(
        json.loads(json.dumps({**item.next_offset, "end": None}))
    )
    assert take_from(reading, 4) == [*({"id": i, "x": i / 2} for i in range(3)), {"id": 9, "x": None}]
    broker.produce(topic, [b'{"id": "text"}'])
    with pytest.raises(mt.SourceError, match="column 'id': expected int64, got str 'text'; types were inferred"):
        take_from(reading, 1)


def test_records_without_a_value_tell_no_types(broker: Broker) -> None:
    topic = broker.topic(1)
    broker.produce(topic, [None])
    with pytest.raises(mt.SourceError, match="has a value to infer types from; pass schema="):
        all_rows(source(broker, topic, schema=None))
    broker.produce(topic, [b'{"id": 1}'])
    assert all_rows(source(broker, topic, schema=None)) == [{"id": None}, {"id": 1}]


def test_a_group_to_watch(broker: Broker) -> None:
    from confluent_kafka import Consumer, TopicPartition

    topic = broker.topic(1)
    broker.produce(topic, values(0, 5))
    assert len(all_rows(source(broker, topic, group="watched"))) == 5
    watcher = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "watched", "log_level": 0})
    assert watcher.committed([TopicPartition(topic, 0)], timeout=20)[0].offset == 5
    watcher.close()
    # Nobody reads them.
    assert len(all_rows(source(broker, topic, group="watched"))) == 5


def test_what_is_not_there(broker: Broker) -> None:
    with pytest.raises(mt.SourceError, match="topic 'no-such-topic' cannot be read"):
        all_rows(source(broker, "no-such-topic"))
    topic = broker.topic(1)
    for wrong in (5, {}, {"next": 1}):
        with pytest.raises(mt.SourceError, match="is no offset of a KafkaSource"):
            all_rows(source(broker, topic), wrong)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "OFFSET_OUT_OF_RANGE",
            "topic 't', partition 0: the broker has no longer, or not yet, the records to go on with",
        ),
        ("_AUTO_OFFSET_RESET", "the job cannot go on without a gap"),
        ("TOPIC_AUTHORIZATION_FAILED", "topic 't', partition 0: "),
    ],
)
def test_errors_of_a_partition(code: str, message: str) -> None:
    """As the client reports them; this broker knows no offset that is out of range."""
    import confluent_kafka

    class Client:
        def assign(self, positions: Any) -> None: ...

        def consume(self, most: int, wait_s: float) -> list[Any]:
            return [self]

        def error(self) -> Any:
            return confluent_kafka.KafkaError(getattr(confluent_kafka.KafkaError, code))

        def topic(self) -> str:
            return "t"

        def partition(self) -> int:
            return 0

    topics = Topics(confluent_kafka, Client(), "t", ("t",))
    with pytest.raises(mt.SourceError, match=message):
        topics.poll(10, 0.0, Positions())


def test_a_closed_source(broker: Broker) -> None:
    topic = broker.topic(1)
    waiting = source(broker, topic, end=None)
    reading = waiting.read(None)
    next(reading)
    waiting.close()
    with pytest.raises(mt.ClosedError, match="was closed while it waited for records"):
        # What it has found by then still comes.
        list(reading)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": "now"}, "start='now'"),
        ({"end": "never"}, "end='never'"),
        ({"value": "avro"}, "value='avro'"),
        ({"batch_rows": 0}, "batch_rows=0"),
        ({"on_bad_value": "drop"}, "on_bad_value='drop'"),
        ({"topics": []}, r"topics=\[\]"),
    ],
)
def test_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(mt.ConfigError, match=message):
        mt.KafkaSource(options.pop("topics", "t"), bootstrap="localhost:1", **options)


def test_a_watermark_for_each_partition(broker: Broker) -> None:
    topic = broker.topic(3)
    for partition, times in enumerate([range(0, 200, 10), range(1000, 1200, 10)]):
        broker.produce(topic, [json.dumps({"id": partition, "t": t}) for t in times], partition=partition)

    def late(**options: Any) -> list[int]:
        found = source(broker, topic, schema={"id": int, "t": int}, **options)
        stream = (
            mt.stream(found, timestamp="t")
            .key_by("id")
            .process(lambda key, batch, row, ctx: ctx.emit(id=key, late=ctx.is_late, watermark=ctx.watermark))
        )
        rows = stream.to_pylist()
        assert len(rows) == 40
        ends = [row["watermark"] for row in rows if row["id"] == 0]
        # Once the other one has ended, or while it is behind, each counts for itself.
        assert ends == sorted(ends)
        return [row["id"] for row in rows if row["late"]]

    assert late() == []
    assert late(batch_rows=3) == []
    assert rows_of(next(iter(source(broker, topic).read(None)))) == []
    items = list(source(broker, topic).read(None))
    # The third has no records, and has ended before the first.
    assert [item.partition for item in items if not rows_of(item)][:3] == [f"{topic}-0", f"{topic}-1", None]
    last = {item.partition: item.is_last for item in items if item.partition is not None}
    assert last == {f"{topic}-0": True, f"{topic}-1": True}
