"""A call on Flink without Flink: state comes from its states and goes back, and what a function sees is the engine's.

The same programs run on Flink itself in tests_flink/.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from flink_double import FlinkDouble
from flink_programs import OUTPUT, States, records

import martlet as mt

SCHEMA = {"k": int, "t": int, "op": str, "n": int}


def as_set(rows: list[dict[str, Any]]) -> Counter[str]:
    return Counter(repr(sorted(row.items())) for row in rows)


@pytest.mark.parametrize("seed", range(12))
def test_random_programs_give_what_the_engine_gives(seed: int) -> None:
    lag = (0, 5, 30)[seed % 3]
    rows = records(seed, 150, lag + seed % 5)
    config = mt.Config(null_keys="drop", null_timestamps="process")

    def stream() -> mt.Stream:
        source = mt.stream(rows, timestamp="t", watermark=lag, schema=SCHEMA)
        return source.key_by("k").process(States(), output=OUTPUT if seed % 2 else None, config=config)

    found = [row for _, row in FlinkDouble(stream(), every=1 + seed, config=config).run()]
    assert as_set(found) == as_set(stream().to_pylist())


def uses(body: Any, *states: mt.State) -> dict[str, Counter[str]]:
    """What is asked of Flink's states for 10 records of one key, a call of `body(n)` for each."""

    def on_event(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        body(batch["n"])

    out = mt.stream([{"k": 1, "n": n} for n in range(10)]).key_by("k").process(on_event, *states)
    flink = FlinkDouble(out, every=100)
    flink.run()
    return {name: state.uses for name, state in flink.states.items()}


def test_what_is_not_used_is_not_read() -> None:
    value, other = mt.ValueState("value", int), mt.ValueState("other", int)
    found = uses(lambda n: value.set(n), value, other)
    assert found == {"value": {"update": 10}, "other": {}}


def test_a_read_is_one_read_and_no_write() -> None:
    value = mt.ValueState("value")
    assert uses(lambda n: (value.get(), value.get(), value.exists()), value) == {"value": {"value": 10}}


def test_adding_to_a_list_reads_nothing() -> None:
    items = mt.ListState("items", int)
    assert uses(lambda n: items.extend([n, n]), items) == {"items": {"add_all": 10}}


def test_an_entry_of_a_map_costs_an_entry() -> None:
    table = mt.MapState("table", int)
    assert uses(lambda n: table.put(n, "x"), table) == {"table": {"put": 10}}
    assert uses(lambda n: table.get(n), table) == {"table": {"get": 10}}
    assert uses(lambda n: (table.put(n, 1), table.clear(), table.put(n, 2)), table) == {
        "table": {"clear": 10, "put": 10}
    }
    assert uses(lambda n: table.items(), table) == {"table": {"items": 10}}


KEYS = [None, True, 1, "1", b"1", "", (1, "a"), ((None, b""), False), 2**60, -5, "é\0'\""]


def test_keys_of_maps_stay_apart_and_come_back() -> None:
    table = mt.MapState("table")
    seen: list[Any] = []

    def on_event(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        table.put(KEYS[batch["n"]], batch["n"])
        seen[:] = table.items()

    out = mt.stream([{"k": 1, "n": n} for n in range(len(KEYS))]).key_by("k").process(on_event, table)
    FlinkDouble(out, every=100).run()
    assert sorted(seen, key=lambda item: item[1]) == list(zip(KEYS, range(len(KEYS)), strict=True))
    assert [type(key) for key, _ in sorted(seen, key=lambda item: item[1])] == [type(key) for key in KEYS]


def test_a_value_that_does_not_fit_is_the_error_of_the_engine() -> None:
    small = mt.ValueState("small", "int8")
    with pytest.raises(mt.ValueRangeError, match=r"'small': int 300 is outside the range of int8 .operator 'on_event'"):
        uses(lambda n: small.set(300), small)


def test_what_a_failed_call_did_does_not_reach_flink() -> None:
    total, table = mt.ValueState("total", int), mt.MapState("table", int, int)

    def on_event(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        n = batch["n"]
        total.set((total.get() or 0) + n)
        table.put(n, n)
        ctx.emit(total=total.get(), size=table.len())
        if n % 2:
            table.clear()
            raise ValueError(n)

    config = mt.Config(on_error="skip")
    out = mt.stream([{"k": 1, "n": n} for n in range(6)]).key_by("k").process(on_event, total, table, config=config)
    flink = FlinkDouble(out, every=100, config=config)
    assert [row for _, row in flink.run()] == [
        {"total": 0, "size": 1},
        {"total": 2, "size": 2},
        {"total": 6, "size": 3},
    ]
    assert list(flink.states["total"].of.values()) == [6]
    assert list(flink.states["table"].of.values()) == [{0: (0,), 2: (2,), 4: (4,)}]


def test_the_instance_is_told() -> None:
    def on_event(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        ctx.emit(instance=ctx.instance, parallelism=ctx.parallelism)

    flink = FlinkDouble(mt.stream([{"k": 1}]).key_by("k").process(on_event), every=1)
    flink.evaluator._engine.place(2, 5)
    assert flink.run() == [(None, {"instance": 2, "parallelism": 5})]
