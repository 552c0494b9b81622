"""Section K of the conformance list on Flink, with one instance and with two: the programs that the engine runs in
test_conformance_end_to_end.py, in one job."""

from __future__ import annotations

from typing import Any

import pytest
from flink_runs import on_flink
from test_conformance_end_to_end import (
    BASE,
    K1,
    K2,
    K2_APPLIED,
    K2_RULES,
    K3,
    K5,
    K6,
    RULES,
    incremented,
    k4,
    per_instance,
    plus_one,
    records,
)

import martlet as mt

TIMES = [1603708211000, 1603708224000, 1603708226000, 1603708289000]


def stamped(key: int, batch: mt.Record, row: int, ctx: mt.Context) -> None:
    assert ctx.timestamp == int(batch["ts"])
    ctx.emit(out=ctx.timestamp)


def programs() -> dict[str, mt.Stream]:
    left = mt.stream(records("f0 f1", ("a", 1), ("b", 2), ("c", 3)), timestamp="f1", watermark=0)
    right = mt.stream(records("f0 f1", ("b", 2), ("c", 3), ("d", 4)), timestamp="f1", watermark=0)
    k1 = mt.connect_streams(left, right, K1(), key="f0").key_by("name").process(plus_one)
    elements = mt.stream(records("v", (1,), (2,), (3,), (4,), (5,)))
    k2 = mt.broadcast_stream(elements, mt.stream(K2_RULES).broadcast(RULES), K2())
    timed = records("v ts", *((i, BASE + 211_000 + 1000 * (i - 1)) for i in range(1, 5)))
    rules = records("kind ts rule", (0, BASE + 215_000, "a"), (1, BASE + 215_000, "b"))
    k3 = mt.broadcast_stream(
        mt.stream(timed, timestamp="ts", watermark=0),
        mt.stream(rules, timestamp="ts", watermark=0).broadcast(RULES),
        K3(),
        key="v",
    )
    pairs = mt.stream(records("f0 f1", ("a", 0), ("b", 1), ("c", 2)))
    main = mt.apply_process_function(pairs, "f0", k4)
    right5 = mt.stream(records("f0 f1", (3, "c"), (1, "a"), (0, "d")))
    k5 = mt.connect_streams(pairs, right5, K5(), key=("f0", "f1"))
    broadcast = mt.stream(records("f0 f1", (3, "d"), (4, "f"))).broadcast(RULES)
    k6 = mt.broadcast_stream(pairs, broadcast, K6())
    keyed6 = mt.broadcast_stream(pairs, broadcast, K6(), key="f0")
    stamps = mt.stream(records("v ts", *enumerate(TIMES, start=1)), timestamp="ts", watermark=0)
    return {
        "k1": k1,
        "k2": k2,
        "k3": k3,
        "k4": main,
        "k4 side1": main.side_output("side1"),
        "k4 mapped": main.side_output("side1").key_by("out").process(incremented),
        "k4 side2": main.side_output("side2"),
        "k5": k5,
        "k5 side": k5.side_output("side"),
        "k6": k6,
        "k6 side": k6.side_output("side"),
        "k6 keyed": keyed6,
        "k6 keyed side": keyed6.side_output("side"),
        "k15": mt.apply_process_function(stamps, "v", stamped),
    }


@pytest.mark.parametrize("parallelism", [1, 2])
def test_section_k(parallelism: int) -> None:
    streams = programs()
    found: dict[str, Any] = dict(zip(streams, on_flink(streams.values(), parallelism), strict=True))
    k1 = found.pop("k1")
    counts = sorted((row["name"], row["n"]) for row in k1 if row["name"] != "on_timer")
    assert counts == [("a", 2), ("b", 2), ("b", 3), ("c", 2), ("c", 3), ("d", 2)]
    timers = [(row["instance"], row["n"]) for row in k1 if row["name"] == "on_timer"]
    assert sorted(timers) == [(i, 4) for i in sorted({row["instance"] for row in k1 if row["side"] == "left"})]

    def everywhere(rows: list[Any]) -> list[Any]:
        return per_instance(rows, parallelism)

    applied = ["b1@211000", "a2@212000", "b3@213000", "a4@214000"]
    fired = ["1@221000", "2@222000", "3@223000", "4@224000"]
    expected = {
        "k2": everywhere(["0a", "1b"]) + K2_APPLIED,
        "k3": everywhere(["0a@215000", "1b@215000"]) + applied + fired,
        "k4": ["a", "b", "c"],
        "k4 side1": [0, 1, 2],
        "k4 mapped": [1, 2, 3],
        "k4 side2": ["a0", "b1", "c2"],
        "k5": ["a", "a", "b", "c", "c", "d"],
        "k5 side": [0, 0, 1, 1, 2, 3],
        "k6": ["a", "b", "c", *everywhere(["d", "f"])],
        "k6 side": [0, 1, 2, *everywhere([3, 4])],
        "k6 keyed": ["a", "b", "c", *everywhere(["d", "f"])],
        "k6 keyed side": [0, 1, 2, *everywhere([3, 4])],
        "k15": TIMES,
    }
    for name, rows in expected.items():
        assert sorted(row["out"] for row in found[name]) == sorted(rows), name
