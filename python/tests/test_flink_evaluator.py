"""A call on Flink without Flink: state comes from its states and goes back, and what a function sees is the engine's.

The same programs run on Flink itself in tests_flink/.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from flink_double import FlinkDouble
from flink_expiring import Expiring, Shown
from flink_programs import OUTPUT, States, records, steady

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


@pytest.mark.parametrize("seed", range(24))
def test_what_expires_by_event_time_is_what_expires_in_the_engine(seed: int) -> None:
    lag = (0, 20)[seed % 2]
    has_timers = seed % 3 != 0
    config = mt.Config(null_keys="drop", null_timestamps="process")
    function = Shown() if seed % 4 == 3 else Expiring(has_timers)
    rows = steady(seed, 300, 2 + seed % 12) if has_timers else records(seed, 300, lag + seed)

    def stream() -> mt.Stream:
        source = mt.stream(rows, timestamp="t", watermark=lag, schema=SCHEMA)
        return source.key_by("k").process(function, output=OUTPUT, config=config)

    found = [row for _, row in FlinkDouble(stream(), every=1 + 7 * seed, config=config).run()]
    expected = stream().to_pylist()
    assert as_set(found) - as_set(expected) == as_set(expected) - as_set(found)


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


# ---- TTLs in event time --------------------------------------------------------------------------------


def aged(state: mt.State, body: Any, rows: list[tuple[int, int]], timers: bool = False) -> FlinkDouble:
    """A run over (key, time) with `body(ctx)` for each record, a watermark after each, up to the last one."""

    class Body(mt.ProcessFunction):
        def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
            body(ctx)

    class Timed(Body):
        def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
            ctx.emit(k=key, at=fire_time_ms)

    source = mt.stream([{"k": key, "t": time_ms} for key, time_ms in rows], timestamp="t", watermark=0)
    flink = FlinkDouble(source.key_by("k").process(Timed() if timers else Body(), state), every=1)
    flink.run(ends=False)
    return flink


IN_TIME = mt.TTL(5000, time="event")
KINDS: dict[str, tuple[mt.State, Any]] = {
    "value": (value := mt.ValueState("kept", int, ttl=IN_TIME), lambda ctx: value.set(1)),
    "list": (items := mt.ListState("kept", ttl=IN_TIME), lambda ctx: items.add("x")),
    "map": (table := mt.MapState("kept", ttl=IN_TIME), lambda ctx: table.put(ctx.timestamp, "x")),
    "sum": (total := mt.ReducingState("kept", "sum", int, ttl=IN_TIME), lambda ctx: total.add(1)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_has_expired_leaves_flink_and_so_does_its_timer(kind: str) -> None:
    state, body = KINDS[kind]
    # Fifty keys with twenty records each, then one that comes much later.
    rows = [(key, key * 100 + n) for key in range(50) for n in range(20)]
    flink = aged(state, body, [*rows, (99, 100_000)])
    assert {key for key, held in flink.states["kept"].of.items() if held} == {(99,)}
    assert {key for _, _, key in flink.timers} == {(99,)}
    assert 50 <= flink.registered["event"] <= 101
    assert not flink.out


def test_what_has_not_expired_stays() -> None:
    state, body = KINDS["map"]
    flink = aged(state, body, [(1, 0), (1, 6000), (1, 11_000), (2, 12_001)])
    # At 10,000 the first has expired, 0 + 5000 <= 10,000, and the second has not: 6000 + 5000.
    kept = flink.states["kept"].of
    assert kept[(1,)] == {"6000": ("x", 6000), "11000": ("x", 11_000)} and list(kept[(2,)]) == ["12001"]
    assert sorted(flink.timers) == [("event", 15_000, (1,)), ("event", 20_000, (1,)), ("event", 20_000, (2,))]


def test_adding_to_a_list_whose_elements_expire_reads_nothing() -> None:
    state, body = KINDS["list"]
    flink = aged(state, body, [(1, n) for n in range(100)])
    assert flink.states["kept"].uses == {"add_all": 100}
    assert sorted(flink.timers) == [("event", 5000, (1,)), ("event", 10_000, (1,))]
    assert flink.registered["event"] == 2


def test_a_read_writes_only_what_it_makes_newer() -> None:
    for update, writes in (("write", 0), ("read_write", 9)):
        state = mt.MapState("kept", str, ttl=mt.TTL(5000, time="event", update=update))  # type: ignore[arg-type]

        def body(ctx: mt.Context, state: mt.MapState = state) -> None:
            if ctx.timestamp == 0:
                state.put("a", 1)
                state.put("b", 2)
            elif ctx.timestamp < 10:
                state.get("a")
            else:
                ctx.emit(found="a" in state, size=len(state), both=[item[0] for item in state.items()])

        flink = aged(state, body, [(1, n) for n in range(10)])
        assert flink.states["kept"].uses == {"put": 2 + writes, "get": 9}


def test_a_timer_of_the_function_at_the_time_of_a_clean_up() -> None:
    state, body = KINDS["value"]

    def both(ctx: mt.Context) -> None:
        body(ctx)
        ctx.register_event_time_timer(10_000)
        if ctx.key == 1:
            ctx.delete_event_time_timer(10_000)

    flink = aged(state, both, [(1, 4000), (2, 4000), (3, 90_000)], timers=True)
    assert [row for _, row in flink.out] == [{"k": 2, "at": 10_000}, {"k": 3, "at": 10_000}]
    assert flink.states["kept"].of.keys() == {(3,)}


def test_what_was_kept_without_a_ttl_counts_from_when_it_is_read() -> None:
    items = mt.ListState("kept", ttl=IN_TIME)

    class Reads(mt.ProcessFunction):
        kept = items

        def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
            ctx.emit(found=str(self.kept.get()))

    rows = [{"k": 1, "t": time_ms} for time_ms in (7000, 8000, 12_001, 12_002)]
    flink = FlinkDouble(mt.stream(rows, timestamp="t", watermark=0).key_by("k").process(Reads()), every=1)
    flink.states["kept"].of[(1,)] = [("old",)]
    found = [row["found"] for _, row in flink.run()]
    assert found == ["['old']", "['old']", "['old']", "[]"]
