"""Durable jobs from and to a real Kafka broker: what a reader of committed transactions sees holds each record once."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kafka_broker
import pytest
from durable_program import OUTPUT, Lives, read_output, rows, source_of, stream_over
from kafka_broker import Broker

import martlet as mt

REASON = kafka_broker.missing()
pytestmark = pytest.mark.skipif(REASON is not None, reason=REASON or "")
N = 600


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with kafka_broker.broker() as running:
        yield running


@pytest.fixture(scope="module")
def topic(broker: Broker) -> str:
    """The rows, each key in one of two partitions."""
    name = broker.topic(2)
    for partition in (0, 1):
        values = [json.dumps(row) for row in rows(N) if row["k"] % 2 == partition]
        broker.produce(name, values, partition)
    return name


def values_by_key(found: list[dict[str, Any]]) -> dict[int, list[int]]:
    """Of the records that come from records, and not from timers, whose order among partitions may vary."""
    by_key: dict[int, list[int]] = {}
    for row in found:
        if row["kind"] == "event":
            by_key.setdefault(row["k"], []).append(row["v"])
    return by_key


WANTED = values_by_key([{**row, "kind": "event"} for row in rows(N)])


def test_a_job_over_a_topic_is_killed(broker: Broker, topic: str, tmp_path: Path) -> None:
    rng = random.Random(2)
    life = {
        "job": "sums",
        "source": "kafka",
        "bootstrap": broker.bootstrap,
        "topic": topic,
        "rows": N,
        "sink": "jsonl",
        "output": tmp_path / "out",
        "state": tmp_path / "state",
    }
    with Lives() as lives:
        for _ in range(4):
            lives.live(**life, slow_s=0.01, kill_after_s=rng.uniform(0.1, 0.35))
        assert lives.live(**life)
    found = read_output("jsonl", tmp_path / "out")
    assert values_by_key(found) == WANTED
    totals = {row["k"]: row["total"] for row in found if row["kind"] == "event"}
    assert totals == {key: sum(values) for key, values in WANTED.items()}


class StopError(Exception):
    pass


class Passed(mt.ProcessFunction):
    total = mt.ValueState("total", int)

    def __init__(self, left: int) -> None:
        self.left = left

    def on_event(self, key, batch, row, ctx):
        self.left -= 1
        if self.left == 0:
            raise StopError
        self.total.set((self.total.get() or 0) + batch["v"])
        ctx.emit(k=key, v=batch["v"], total=self.total.get(), kind="event")


def test_from_topic_to_topic(broker: Broker, topic: str, tmp_path: Path) -> None:
    target = broker.topic(1)
    life = {"source": "kafka", "topic": topic, "bootstrap": broker.bootstrap, "rows": N}
    config = mt.Config(state_dir=tmp_path / "state", checkpoint_interval=1, name="copy")
    ended = 0
    for left in (150, 200, 250, 10**9):
        out = stream_over(source_of(life)).key_by("k").process(Passed(left), output=OUTPUT, config=config)
        sink = mt.KafkaSink(target, bootstrap=broker.bootstrap, config={"log_level": 0}, timeout="20s")
        try:
            report = out.run(sink)
            ended += 1
        except StopError:
            continue
    assert ended >= 1
    assert report.restored_from is not None
    found = [json.loads(message.value()) for message in broker.records(target)]
    assert values_by_key(found) == WANTED
