"""Kafka on Flink: read and written by Flink's connector, against the broker that the other tests use.

The connector is flink-connector-kafka and its kafka-clients, from a package (see the Makefile).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kafka_broker
import pytest
from flink_runs import config, difference

import martlet as mt

LIB = Path(sys.prefix, "jars", "pyflink", "lib")
JARS = ";".join(str(LIB / f"{name}.jar") for name in ("flink-connector-kafka", "kafka-clients"))
FLINK = {"pipeline.jars": JARS}
SCHEMA = {"k": str, "n": int, "t": int}


@pytest.fixture(scope="module")
def broker() -> Iterator[kafka_broker.Broker]:
    if why := kafka_broker.missing():
        pytest.skip(why)
    with kafka_broker.broker() as one:
        yield one


class Counting(mt.ProcessFunction):
    """Numbers the records of a key, and says what it has when its time has come."""

    count = mt.ValueState("count", int, default=0)

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        n = self.count.get() + 1
        self.count.set(n)
        ctx.register_event_time_timer(ctx.timestamp + 50, name="idle")
        ctx.emit(k=key, n=n, what="record", sum=batch["n"])

    def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
        ctx.emit(k=key, n=self.count.get(), what="idle", sum=fire_time_ms)


OUTPUT = {"k": str, "n": int, "what": str, "sum": int}


def fill(broker: kafka_broker.Broker, partitions: int, count: int) -> str:
    """A topic whose partitions are at very different times."""
    topic = broker.topic(partitions)
    for partition in range(partitions):
        values = [
            json.dumps({"k": f"{partition}-{n % 3}", "n": n, "t": (partitions - partition) * 10_000 + n})
            for n in range(count)
        ]
        broker.produce(topic, values, partition, key=f"key {partition}".encode(), headers=[("h", b"x"), ("none", None)])
    return topic


def source(broker: kafka_broker.Broker, topic: str, **more: Any) -> mt.KafkaSource:
    return mt.KafkaSource(topic, bootstrap=broker.bootstrap, schema=SCHEMA, poll="50ms", **more)


def counted(source: mt.KafkaSource, chosen: mt.Config) -> mt.Stream:
    stream = mt.stream(source, timestamp="t", watermark=0)
    return stream.key_by("k").process(Counting(), output=OUTPUT, config=chosen)


@pytest.mark.parametrize("parallelism", [1, 2])
def test_a_topic_to_its_end(broker: kafka_broker.Broker, parallelism: int) -> None:
    topic = fill(broker, 3, 30)

    def job(chosen: mt.Config) -> mt.Stream:
        return counted(source(broker, topic, end="latest", key="key", offset="o", headers="h"), chosen)

    found = job(config(parallelism, flink=FLINK)).to_pylist()
    assert len(found) == 90 + 9
    assert not difference(found, job(mt.Config(progress=False)).to_pylist())


def test_as_the_first_job_of_its_process(broker: kafka_broker.Broker) -> None:
    """Java begins with what this job needs, not with what another one had."""
    topic = fill(broker, 1, 30)
    # PyFlink leaves notes of what it has started in the environment.
    environment = {name: value for name, value in os.environ.items() if "PYFLINK" not in name}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(kafka_broker.__file__).parent), *sys.path])
    ended = subprocess.run(
        [sys.executable, __file__, broker.bootstrap, topic],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    assert len(json.loads(ended.stdout.splitlines()[-1])) == 30 + 3


def values(broker: kafka_broker.Broker, topic: str, *, committed: bool = True) -> list[dict[str, Any]]:
    return [json.loads(one.value()) for one in broker.records(topic, committed=committed)]


def test_records_that_do_not_end_are_taken_as_they_come(broker: kafka_broker.Broker) -> None:
    """An empty partition no longer holds back the watermark once it is idle."""
    topic = broker.topic(2)
    broker.produce(topic, [json.dumps({"k": "a", "n": n, "t": n * 10}) for n in range(20)])
    stream = mt.stream(source(broker, topic), timestamp="t", watermark=0, idle_timeout="1s")
    out = stream.key_by("k").process(Counting(), output=OUTPUT, config=config(2, flink=FLINK))
    found: list[dict[str, Any]] = []
    batches = iter(out)
    for batch in batches:
        found += batch.to_pylist()
        if len(found) == 20:
            broker.produce(topic, [json.dumps({"k": "b", "n": 20, "t": 1000})])
        if len(found) == 22:
            break
    batches.close()
    assert sorted((row["k"], row["what"]) for row in found[20:]) == [("a", "idle"), ("b", "record")]
    assert [row["sum"] for row in found if row["what"] == "idle"] == [190 + 50]


def test_values_that_cannot_be_read(broker: kafka_broker.Broker) -> None:
    topic = broker.topic(1)
    broker.produce(topic, [b'{"k": "a", "n": 1, "t": 1}', b"no JSON", b'{"k": "b", "n": 2, "t": 2}'])

    def job(**more: Any) -> mt.Stream:
        return counted(source(broker, topic, end="latest", **more), config(1, flink=FLINK))

    with pytest.raises(mt.SourceError, match=r"partition 0, offset 1: its value is not JSON"):
        job().to_pylist()
    assert {row["k"] for row in job(on_bad_value="skip").to_pylist()} == {"a", "b"}


def test_from_topic_to_topic_until_it_is_stopped(broker: kafka_broker.Broker, tmp_path: Path) -> None:
    topic, target = fill(broker, 2, 30), broker.topic(1)
    # Two tasks end their transactions at the same moment, after which readers of the tests' own broker may miss what is
    # committed. As nothing fails here, all that is written is.
    committed = kafka_broker.is_real()

    def job(parallelism: int, **more: Any) -> mt.Stream:
        chosen = config(
            parallelism, flink=FLINK, state_dir=tmp_path / "state", checkpoint_interval="200ms", name="copy", **more
        )
        return counted(source(broker, topic), chosen)

    def sink() -> mt.KafkaSink:
        return mt.KafkaSink(
            target, bootstrap=broker.bootstrap, key="k", headers=lambda row: {"n": str(row["n"]).encode(), "x": None}
        )

    with job(2).start(sink()) as running:
        end = time.monotonic() + 60
        while len(values(broker, target, committed=committed)) < 60:
            assert running.is_running and time.monotonic() < end
            time.sleep(0.1)
        saved = running.savepoint()
        assert Path(saved.removeprefix("file:")).is_dir()
    assert running.saved is not None and not running.is_running
    before = len(values(broker, target, committed=committed))
    # More for both partitions, read by another number of instances, from where the first job stopped.
    for partition in range(2):
        late = [json.dumps({"k": f"{partition}-{n % 3}", "n": n, "t": 50_000 + n}) for n in range(30, 60)]
        broker.produce(topic, late, partition)
    with job(1, restore_from=running.saved).start(sink()) as again:
        while len(values(broker, target, committed=committed)) < before + 60:
            assert again.is_running and time.monotonic() < end
            time.sleep(0.1)
        again.cancel()
        assert not again.is_running
        with pytest.raises(mt.ClosedError, match="has ended"):
            again.savepoint()
    found = broker.records(target, committed=committed)
    assert {one.key().decode() for one in found} == {f"{p}-{n}" for p in range(2) for n in range(3)}
    assert all(dict(one.headers())["n"].isdigit() and dict(one.headers())["x"] is None for one in found)
    rows = [json.loads(one.value()) for one in found]
    counts = [(row["k"], row["n"]) for row in rows if row["what"] == "record"]
    assert sorted(counts) == sorted((f"{p}-{k}", n) for p in range(2) for k in range(3) for n in range(1, 21))


FAILED: list[str] = []
ONCE = threading.Lock()


class FailingOnce(Counting):
    """Fails in the middle of the second half of the input; in a mini-cluster, functions run in this process."""

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        if batch["n"] == 45:
            # Two tasks may come here at the same time.
            with ONCE:
                is_first = not FAILED
                FAILED.append(key)
            if is_first:
                raise ValueError("once")
        super().on_event(key, batch, row, ctx)
        ctx.emit_to("copies", k=key, n=batch["n"], t=batch["t"])


@pytest.mark.parametrize("parallelism", [1, 2])
def test_a_failure_takes_back_what_was_not_committed(
    broker: kafka_broker.Broker, tmp_path: Path, parallelism: int
) -> None:
    topic, target = fill(broker, 2, 30), broker.topic(1)
    FAILED.clear()
    chosen = config(parallelism, flink=FLINK, state_dir=tmp_path / "state", checkpoint_interval="200ms", name="once")
    stream = mt.stream(source(broker, topic), timestamp="t", watermark=0)
    out = stream.key_by("k").process(FailingOnce(), output=OUTPUT, side_outputs={"copies": SCHEMA}, config=chosen)
    folder = tmp_path / "copies"

    def copies() -> list[dict[str, Any]]:
        lines = [line for one in folder.glob("*.jsonl") for line in one.read_text().splitlines()]
        return [json.loads(line) for line in lines]

    def wait_for(count: int) -> None:
        end = time.monotonic() + 60
        while len(copies()) < count:
            assert running.is_running and time.monotonic() < end, f"{len(copies())} of {count}"
            time.sleep(0.05)

    sink = mt.KafkaSink(target, bootstrap=broker.bootstrap)
    with out.start(sink, side_outputs={"copies": mt.JsonlSink(folder)}) as running:
        wait_for(60)
        for partition in range(2):
            late = [json.dumps({"k": f"{partition}-{n % 3}", "n": n, "t": 50_000 + n}) for n in range(30, 60)]
            broker.produce(topic, late, partition)
        wait_for(120)
    assert FAILED
    copied = sorted((row["k"], row["n"]) for row in copies())
    assert copied == sorted((f"{p}-{n % 3}", n) for p in range(2) for n in range(60))
    expected = sorted((f"{p}-{k}", n) for p in range(2) for k in range(3) for n in range(1, 21))
    # See above: of two tasks the tests' own broker may keep what is committed from its readers.
    found = values(broker, target, committed=parallelism == 1 or kafka_broker.is_real())
    counts = [(row["k"], row["n"]) for row in found if row["what"] == "record"]
    assert sorted(set(counts)) == expected
    # The tests' own broker shows records of aborted transactions too.
    assert not kafka_broker.is_real() or sorted(counts) == expected


if __name__ == "__main__":
    bootstrap, topic = sys.argv[1:]
    first = mt.KafkaSource(topic, bootstrap=bootstrap, schema=SCHEMA, poll="50ms", end="latest")
    print(json.dumps(counted(first, config(1, flink=FLINK)).to_pylist()))
