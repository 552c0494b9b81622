"""mt.read_state and mt.write_state: what jobs leave behind as tables, and tables as what jobs begin with."""

from __future__ import annotations

import datetime
import decimal
import math
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import martlet as mt


class Keeper(mt.ProcessFunction):
    """Sets a state to a record's column `v`, and emits what was there."""

    def __init__(self, dtype: Any = None, **options: Any) -> None:
        self.value = mt.ValueState("value", dtype, **options)

    def on_event(self, key, batch, row, ctx):
        before = self.value.get()
        ctx.emit(n=batch["n"], before=repr(before))
        self.value.set(DATA[batch["n"]] if batch["n"] in DATA else batch["v"])


#: What Keeper stores for a record's number.
DATA: dict[int, Any] = {}


class Everything(mt.ProcessFunction):
    """Every kind of state."""

    one = mt.ValueState("one", int)
    many = mt.ListState("many", "utf8")
    by_name = mt.MapState("by name", "utf8", "float64")
    anything = mt.MapState("anything")
    total = mt.ReducingState("total", "sum", int)
    seen = mt.AggregatingState("seen", list, lambda seen, v: [*seen, v], lambda seen: len(seen))
    brief = mt.ListState("brief", int, ttl="1h")

    def on_event(self, key, batch, row, ctx):
        v = batch["v"]
        self.one.set(v)
        self.many.add(f"größer {v}")
        self.by_name.put(f"n{v % 3}", v / 2)
        self.anything.put((v % 2, "x"), {"v": v, "bytes": b"\0\xff", 1: None})
        self.total.add(v)
        self.seen.add((v,))
        self.brief.add(v)
        ctx.register_processing_time_timer(2**50 + v)
        ctx.register_processing_time_timer(2**50, name="soon")
        ctx.emit(v=v)

    def on_timer(self, key, fire_time_ms, ctx):
        ctx.emit(v=-1)


STATES = ["one", "many", "by name", "anything", "total", "seen", "brief"]


def durable(path: Path, **settings: Any) -> mt.Config:
    return mt.Config(state_dir=path, checkpoint_interval=None, at_end="keep", **settings)


def everything(rows: list[dict[str, Any]], key: Any = "k") -> mt.Stream:
    return mt.apply_process_function(mt.stream(rows), key, Everything(), output={"v": "int64"})


def tables_of(path: Path) -> dict[str, mt.Stream]:
    return {**{name: mt.read_state(path, name) for name in STATES}, "timers": mt.read_state(path, timers=True)}


# ---- reading


def test_states_of_every_kind_have_their_rows(tmp_path):
    rows = [{"k": "b", "v": 1}, {"k": "a", "v": 2}, {"k": "b", "v": 5}]
    everything(rows).run(None, config=durable(tmp_path / "job", clock=mt.ManualClock()))
    read = {name: table.to_pylist() for name, table in tables_of(tmp_path / "job").items()}
    assert read == {
        "one": [{"k": "a", "value": 2}, {"k": "b", "value": 5}],
        "many": [
            {"k": "a", "index": 0, "value": "größer 2"},
            {"k": "b", "index": 0, "value": "größer 1"},
            {"k": "b", "index": 1, "value": "größer 5"},
        ],
        "by name": [
            {"k": "a", "map_key": "n2", "value": 1.0},
            {"k": "b", "map_key": "n1", "value": 0.5},
            {"k": "b", "map_key": "n2", "value": 2.5},
        ],
        "anything": [
            {
                "k": key,
                "map_key": f'[{v % 2},"x"]',
                "value": f'{{"$dict":[["v",{v}],["bytes",{{"$bytes":"AP8="}}],[1,null]]}}',
            }
            for key, v in (("a", 2), ("b", 5))
        ],
        "total": [{"k": "a", "value": 2}, {"k": "b", "value": 6}],
        "seen": [
            {"k": "a", "accumulator": '[{"$tuple":[2]}]'},
            {"k": "b", "accumulator": '[{"$tuple":[1]},{"$tuple":[5]}]'},
        ],
        "brief": [
            {"k": "a", "index": 0, "value": 2, "expires_at": 3_600_000},
            {"k": "b", "index": 0, "value": 1, "expires_at": 3_600_000},
            {"k": "b", "index": 1, "value": 5, "expires_at": 3_600_000},
        ],
        "timers": [
            {"k": "a", "domain": "processing", "time": 2**50, "name": "soon"},
            {"k": "a", "domain": "processing", "time": 2**50 + 2, "name": None},
            {"k": "b", "domain": "processing", "time": 2**50, "name": "soon"},
            {"k": "b", "domain": "processing", "time": 2**50 + 1, "name": None},
            {"k": "b", "domain": "processing", "time": 2**50 + 5, "name": None},
        ],
    }
    overview = mt.read_state(tmp_path / "job").to_pylist()
    assert overview[2] == {
        "operator": "Everything",
        "state": "by name",
        "kind": "map",
        "map_key": "utf8",
        "dtype": "float64",
        "ttl_ms": None,
        "keys": 2,
        "entries": 3,
    }
    assert [row["kind"] for row in overview] == [
        "value", "list", "map", "map", "reducing", "aggregating", "list", "timers"
    ]  # fmt: skip
    assert overview[6]["ttl_ms"] == 3_600_000 and overview[7]["entries"] == 5


def test_a_table_is_a_stream_like_any_other(tmp_path):
    duckdb, polars, pyarrow = (pytest.importorskip(name) for name in ("duckdb", "polars", "pyarrow"))
    everything([{"k": n % 5, "v": n} for n in range(50)]).run(None, config=durable(tmp_path / "job"))
    totals = mt.read_state(tmp_path / "job", "one")
    assert duckdb.sql("select sum(value) from totals").fetchall() == [(235,)]
    assert totals.to_polars().equals(polars.DataFrame(totals)) and pyarrow.table(totals).num_rows == 5

    def twice(key, batch, row, ctx):
        ctx.emit(k=key, twice=2 * batch["value"])

    assert mt.apply_process_function(totals, "k", twice).to_pylist()[0] == {"k": 0, "twice": 90}


def test_one_key(tmp_path):
    rows = [{"a": n % 3, "b": f"{n % 2}", "v": n} for n in range(12)]
    everything(rows, ["b", "a"]).run(None, config=durable(tmp_path / "job"))
    found = mt.read_state(tmp_path / "job", "one", key=("1", 2)).to_pylist()
    assert found == [{"b": "1", "a": 2, "value": 11}]
    assert mt.read_state(tmp_path / "job", "one", key=("1", 3)).to_pylist() == []
    assert len(mt.read_state(tmp_path / "job", timers=True, key=("1", 2)).to_pylist()) == 3
    with pytest.raises(mt.ConfigError, match=r"the key of operator 'Everything' is b \(utf8\), a \(int64\)"):
        mt.read_state(tmp_path / "job", "one", key="1")
    with pytest.raises(mt.ConfigError, match="pass state= or timers=True"):
        mt.read_state(tmp_path / "job", key=("1", 2))


def test_what_is_not_there_is_said(tmp_path):
    everything([{"k": 1, "v": 1}]).run(None, config=durable(tmp_path / "job"))
    with pytest.raises(mt.ConfigError, match=r"no state 'onne' \(did you mean 'one'\?\); operator 'Everything' has"):
        mt.read_state(tmp_path / "job", "onne")
    with pytest.raises(mt.ConfigError, match=r"no operator 'Everythin' \(did you mean 'Everything'\?\)"):
        mt.read_state(tmp_path / "job", "one", "Everythin")
    with pytest.raises(mt.StorageError, match="no such directory"):
        mt.read_state(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(mt.StorageError, match="neither a manifest"):
        mt.read_state(tmp_path / "empty")
    broken = next((tmp_path / "job").rglob("operator-1.snapshot"))
    broken.write_bytes(broken.read_bytes()[:-1])
    with pytest.raises(mt.StorageCorruptError, match=r"operator-1\.snapshot' is damaged"):
        mt.read_state(tmp_path / "job", "one")


# ---- there and back


@pytest.mark.parametrize("parallelism", [1, 2])
def test_what_is_written_is_what_was_read(tmp_path, parallelism):
    rows = [{"k": f"k{n % 17}", "v": n} for n in range(200)]
    everything(rows).run(None, config=durable(tmp_path / "job"))
    written = mt.write_state(tmp_path / "copy", everything(rows), tables_of(tmp_path / "job"))
    for name, table in tables_of(tmp_path / "job").items():
        again = mt.read_state(written, None if name == "timers" else name, timers=name == "timers")
        assert again.to_pylist() == table.to_pylist(), name
    config = durable(tmp_path / "next", restore_from=written, parallelism=parallelism)
    everything(rows).run(None, config=config)
    assert mt.read_state(tmp_path / "next", "total").to_pylist() == [
        {"k": row["k"], "value": 2 * row["value"]} for row in mt.read_state(tmp_path / "job", "total").to_pylist()
    ]
    assert (
        mt.read_state(tmp_path / "next", timers=True).to_pylist() == tables_of(tmp_path / "job")["timers"].to_pylist()
    )


@pytest.mark.parametrize("parallelism", [1, 2])
def test_state_on_disk_is_read_alike(tmp_path, parallelism):
    # Lists and maps of one key that have rows of their own in the store, and others.
    rows = [{"k": "large" if n % 3 else f"k{n % 7}", "v": n} for n in range(1500)]
    for name, backend in (("memory", mt.InMemoryStateBackend()), ("disk", mt.RocksDbStateBackend())):
        config = durable(
            tmp_path / name,
            state_backend=backend,
            clock=mt.ManualClock(5),
            parallelism=parallelism if name == "disk" else 1,
        )
        everything(rows).run(None, config=config)
    in_memory, on_disk = tables_of(tmp_path / "memory"), tables_of(tmp_path / "disk")
    for name, table in in_memory.items():
        assert on_disk[name].to_pylist() == table.to_pylist(), name
    assert mt.read_state(tmp_path / "disk").to_pylist() == mt.read_state(tmp_path / "memory").to_pylist()
    found = mt.read_state(tmp_path / "disk", "total", key="large").to_pylist()
    assert found == [{"k": "large", "value": sum(row["v"] for row in rows if row["k"] == "large")}]
    mt.write_state(tmp_path / "copy", everything(rows), on_disk)
    next_config = durable(
        tmp_path / "next",
        state_backend=mt.RocksDbStateBackend(),
        restore_from=tmp_path / "copy",
        clock=mt.ManualClock(5),
    )
    everything(rows).run(None, config=next_config)
    assert mt.read_state(tmp_path / "next", "total", key="large").to_pylist()[0]["value"] == 2 * found[0]["value"]


def test_the_state_of_a_running_job(tmp_path):
    arrived = threading.Event()

    def rows() -> Iterator[dict[str, Any]]:
        yield from ({"k": f"k{n % 5}", "v": n} for n in range(100))
        arrived.wait(60)

    config = durable(tmp_path / "job", state_backend=mt.RocksDbStateBackend())
    out = mt.apply_process_function(mt.stream(rows()), "k", Everything(), output={"v": "int64"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mt.MartletWarning)
        with out.start(None, config=config) as job:
            while not (report := job.checkpoint()) or mt.read_state(tmp_path / "job", "one").to_pylist() == []:
                pass
            assert sum(row["entries"] for row in mt.read_state(tmp_path / "job").to_pylist()) > 0, report
            arrived.set()


VALUES = [
    ("bool", True),
    ("int8", -128),
    ("int16", -(2**15)),
    ("int32", 2**31 - 1),
    ("int64", -(2**63)),
    ("uint8", 255),
    ("uint16", 65535),
    ("uint32", 2**32 - 1),
    ("uint64", 2**64 - 1),
    ("float32", 1.5),
    ("float64", 1e300),
    ("float64", math.nan),
    ("utf8", "ä\0ö 🐦" * 1000),
    ("large_utf8", ""),
    ("binary", bytes(range(256))),
    ("date32", datetime.date(1905, 4, 1)),
    ("time64[us]", datetime.time(23, 59, 59, 999_999)),
    ("timestamp[us]", datetime.datetime(1969, 12, 31, 23, 59, 59, 1)),
    ("timestamp[ms, UTC]", datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)),
    ("duration[us]", datetime.timedelta(days=-1, microseconds=1)),
    ("decimal128(20, 3)", decimal.Decimal("-12345678901234567.890")),
    (None, {"nested": [1, (2.0, None), {b"k": -(2**80)}, math.inf, -0.0, ""]}),
    (None, "x" * 1_000_000),
]


@pytest.mark.parametrize(("dtype", "value"), VALUES, ids=[f"{dtype}-{n}" for n, (dtype, _) in enumerate(VALUES)])
def test_values_of_every_type_come_back(tmp_path, dtype, value):
    DATA[0] = value

    def make() -> mt.Stream:
        return mt.apply_process_function(mt.stream([{"k": 1, "n": 0}]), "k", Keeper(dtype))

    make().run(None, config=durable(tmp_path / "job"))
    mt.write_state(tmp_path / "copy", make(), {"value": mt.read_state(tmp_path / "job", "value")})
    [row] = mt.read_state(tmp_path / "copy", "value").to_pylist()
    if dtype is not None:
        assert row["value"] == value or math.isnan(value)
    config = durable(tmp_path / "next", restore_from=tmp_path / "copy")
    assert output_of(make(), config) == [{"n": 0, "before": repr(value)}]


def output_of(out: mt.Stream, config: mt.Config) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mt.MartletWarning)
        out.run(lambda batch: rows.extend(batch.to_pylist()), config=config)
    return rows


scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text() | st.binary()
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.none() | st.booleans() | st.integers() | st.text("$ab"), inner, max_size=3)
    ),
    max_leaves=8,
)
map_keys = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=4,
)


class Anything(mt.ProcessFunction):
    """Emits the entries that it finds, then puts its own."""

    entries = mt.MapState("entries")

    def __init__(self, content: dict[Any, Any]) -> None:
        self.content = content

    def on_event(self, key, batch, row, ctx):
        ctx.emit(found=repr(list(self.entries.items())))
        for name, value in self.content.items():
            self.entries.put(name, value)


@settings(max_examples=60, deadline=None)
@given(content=st.dictionaries(map_keys, values, max_size=6))
def test_any_value_comes_back_as_it_was(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any")

    def make(records: int) -> mt.Stream:
        return mt.apply_process_function(mt.stream([{"k": 1}] * records), "k", Anything(content))

    expected = make(2).to_pylist()[1]
    make(1).run(None, config=durable(path / "job"))
    mt.write_state(path / "copy", make(1), {"entries": mt.read_state(path / "job", "entries")})
    assert output_of(make(1), durable(path / "next", restore_from=path / "copy")) == [expected]


# ---- beginning with state


class Sessions(mt.ProcessFunction):
    """A session ends when its timer fires."""

    since = mt.ValueState("since", "int64")

    def on_event(self, key, batch, row, ctx):
        ctx.emit(k=key, what="event", since=self.since.get())

    def on_timer(self, key, fire_time_ms, ctx):
        ctx.emit(k=key, what=f"{ctx.timer_domain} {fire_time_ms} {ctx.timer_name}", since=self.since.get())


SESSIONS = {"k": "utf8", "what": "utf8", "since": "int64"}


def sessions(source: Any) -> mt.Stream:
    return mt.apply_process_function(mt.stream(source, timestamp="t"), "k", Sessions(), output=SESSIONS)


BEGUN = {
    "since": [{"k": "a", "value": 1}, {"k": "b", "value": 2}],
    "timers": [
        {"k": "b", "domain": "event", "time": 50, "name": None},
        {"k": "a", "domain": "event", "time": 20, "name": "end"},
        {"k": "c", "domain": "processing", "time": 7, "name": ""},
    ],
}
EVENTS = [{"k": "a", "t": 10}, {"k": "b", "t": 30}, {"k": "b", "t": 60}]
EXPECTED = [
    {"k": "c", "what": "processing 7 None", "since": None},
    {"k": "a", "what": "event", "since": 1},
    {"k": "b", "what": "event", "since": 2},
    {"k": "a", "what": "event 20 end", "since": 1},
    {"k": "b", "what": "event", "since": 2},
    {"k": "b", "what": "event 50 None", "since": 2},
]


@pytest.mark.parametrize("source", ["list", "table", "generator"])
@pytest.mark.parametrize("parallelism", [1, 2])
def test_timers_of_tables_fire_at_their_time(tmp_path, source, parallelism):
    mt.write_state(tmp_path / "begun", sessions(EVENTS), BEGUN, config=mt.Config(clock=mt.ManualClock(5)))
    if source == "table":
        events: Any = pytest.importorskip("pyarrow").Table.from_pylist(EVENTS)
    else:
        events = EVENTS if source == "list" else (row for row in EVENTS)
    clock = mt.ManualClock(8)
    config = mt.Config(
        state_dir=tmp_path / "job", restore_from=tmp_path / "begun", clock=clock, parallelism=parallelism
    )
    assert output_of(sessions(events), config) == EXPECTED


def test_timers_fire_though_no_record_comes(tmp_path):
    mt.write_state(tmp_path / "begun", sessions(EVENTS), BEGUN)
    config = mt.Config(state_dir=tmp_path / "job", restore_from=tmp_path / "begun", clock=mt.ManualClock(8))
    assert [row["what"] for row in output_of(sessions([]), config)] == [
        "processing 7 None", "event 20 end", "event 50 None"
    ]  # fmt: skip


def test_a_checkpoint_before_the_first_record_keeps_what_was_written(tmp_path):
    mt.write_state(tmp_path / "begun", sessions(EVENTS), {"since": BEGUN["since"]})
    config = mt.Config(state_dir=tmp_path / "job", restore_from=tmp_path / "begun")
    output_of(sessions([]), config)
    assert mt.read_state(tmp_path / "job", "since").to_pylist() == BEGUN["since"]
    # Of another one, which is asked for by the way: before anything was read.
    with sessions(iter([])).start(None, config=durable(tmp_path / "other", restore_from=tmp_path / "begun")) as job:
        job.savepoint(tmp_path / "early")
    assert mt.read_state(tmp_path / "early", "since").to_pylist() == BEGUN["since"]


class Both(mt.CoProcessFunction):
    count = mt.ValueState("count", int)

    def on_left(self, key, batch, row, ctx):
        self.count.set((self.count.get() or 0) + 1)
        ctx.emit(key=key, side="left", n=self.count.get())

    def on_right(self, key, batch, row, ctx):
        self.count.set((self.count.get() or 0) + 10)
        ctx.emit(key=key, side="right", n=self.count.get())


@pytest.mark.parametrize("parallelism", [1, 2])
def test_two_connected_streams_begin_with_state(tmp_path, parallelism):
    def make() -> mt.Stream:
        left = mt.stream([{"id": n, "t": n, "x": "left"} for n in range(4)], timestamp="t")
        right = mt.stream([{"ref": n, "t": n, "y": 1.5} for n in range(2, 6)], timestamp="t")
        return mt.connect_streams(left, right, Both(), key=("id", "ref"))

    mt.write_state(tmp_path / "begun", make(), {"count": [{"id": n, "value": 100 * n} for n in range(6)]})
    config = mt.Config(state_dir=tmp_path / "job", restore_from=tmp_path / "begun", parallelism=parallelism)
    found = output_of(make(), config)
    assert [(row["key"], row["n"]) for row in found] == [
        (0, 1), (1, 101), (2, 201), (2, 211), (3, 301), (3, 311), (4, 410), (5, 510)
    ]  # fmt: skip


class Rules(mt.BroadcastProcessFunction):
    hits = mt.ListState("hits", "utf8")

    def on_event(self, key, batch, row, ctx):
        ctx.emit(key=key, rule=ctx.state("rules").get(batch["rule"]), hits=len(self.hits.get()))

    def on_broadcast(self, key, batch, row, ctx):
        ctx.state("rules").put(batch["rule"], batch["text"])


@pytest.mark.parametrize("key", ["k", None])
def test_broadcast_states_begin_with_rows(tmp_path, key):
    def make() -> mt.Stream:
        rules = mt.stream([{"rule": 2, "text": "two"}]).broadcast(mt.BroadcastState("rules", int, "utf8"))
        main = mt.stream([{"k": n, "rule": n} for n in range(4)])
        fn = Rules() if key else RulesWithoutKey()
        return mt.broadcast_stream(
            main, rules, fn, key=key, name="apply", output={"key": "int64", "rule": "utf8", "hits": "int64"}
        )

    tables: dict[str, Any] = {"rules": [{"map_key": 1, "value": "one"}, {"map_key": 2, "value": "old"}]}
    if key:
        tables["hits"] = [{"k": 3, "index": n, "value": "hit"} for n in (2, 5, 9)]
    mt.write_state(tmp_path / "begun", make(), {"apply": tables})
    assert mt.read_state(tmp_path / "begun", "rules").to_pylist() == tables["rules"]
    config = mt.Config(state_dir=tmp_path / "job", restore_from=tmp_path / "begun")
    found = [(row["rule"], row["hits"]) for row in output_of(make(), config)]
    assert found == [(None, 0), ("one", 0), ("two", 0), (None, 3 if key else 0)]


class RulesWithoutKey(mt.BroadcastProcessFunction):
    def on_event(self, key, batch, row, ctx):
        ctx.emit(key=key, rule=ctx.state("rules").get(batch["rule"]), hits=0)

    def on_broadcast(self, key, batch, row, ctx):
        ctx.state("rules").put(batch["rule"], batch["text"])


def test_late_and_failed_records_of_state_that_was_written(tmp_path):
    """The outputs that the engine fills get their columns with the first record."""

    class Failing(mt.ProcessFunction):
        n = mt.ValueState("n", int)

        def on_event(self, key, batch, row, ctx):
            raise ValueError("no")

        def on_timer(self, key, fire_time_ms, ctx):
            raise ValueError("timer")

    def make(rows: list[dict[str, Any]]) -> mt.Stream:
        return mt.apply_process_function(mt.stream(rows, timestamp="t"), "k", Failing())

    timers = [{"k": 1, "domain": "processing", "time": 1}, {"k": 1, "domain": "event", "time": 3}]
    mt.write_state(tmp_path / "begun", make([]), {"timers": timers})
    out = make([{"k": 1, "t": 2}, {"k": 2, "t": 9}])
    failed: list[dict[str, Any]] = []
    config = mt.Config(state_dir=tmp_path / "job", restore_from=tmp_path / "begun", on_error="dead_letter")
    with pytest.warns(mt.MartletWarning):
        out.run(None, config=config, side_outputs={"errors": lambda batch: failed.extend(batch.to_pylist())})
    assert [(row["fire_time"], row["record_number"]) for row in failed] == [(1, None), (None, 0), (None, 1), (3, None)]


def test_two_hundred_thousand_keys_in_any_order(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    keys = [(n * 7919) % 200_000 for n in range(200_000)]
    table = pyarrow.table({"k": [f"user-{key}" for key in keys], "value": keys})

    def make() -> mt.Stream:
        return mt.apply_process_function(mt.stream([{"k": "user-5", "n": 0}]), "k", Keeper("int64"))

    mt.write_state(tmp_path / "begun", make(), {"value": table})
    read = mt.read_state(tmp_path / "begun", "value").to_arrow()
    assert read.column("k").to_pylist() == sorted(table.column("k").to_pylist())
    assert read.sort_by("value").column("value").to_pylist() == list(range(200_000))
    config = durable(tmp_path / "job", restore_from=tmp_path / "begun")
    DATA[0] = 1
    assert output_of(make(), config) == [{"n": 0, "before": "5"}]


def test_a_key_column_has_its_name_first(tmp_path):
    class Named(mt.ProcessFunction):
        timers = mt.ListState("timers", int)

        def on_event(self, key, batch, row, ctx):
            ctx.emit(n=len(self.timers.get()))

        def on_timer(self, key, fire_time_ms, ctx): ...

    def make() -> mt.Stream:
        return mt.apply_process_function(mt.stream([{"name": "x", "value": 1}]), ["name", "value"], Named())

    tables = {
        "timers": [{"name": "x", "value": 1, "index": 0, "value_": 5}],
        "timers_": [{"name": "x", "value": 1, "domain": "event", "time": 9, "name_": "n"}],
    }
    mt.write_state(tmp_path / "begun", make(), tables)
    assert mt.read_state(tmp_path / "begun", "timers").to_pylist() == tables["timers"]
    assert mt.read_state(tmp_path / "begun", timers=True).to_pylist() == tables["timers_"]
    assert [row["dtype"] for row in mt.read_state(tmp_path / "begun").to_pylist()] == ["int64", "int64"]


# ---- what does not fit

K = {"k": "a"}
MISFITS: list[tuple[str, Any, type[Exception], str]] = [
    ("one", [{"k": None, "value": 1}, {**K, "value": 1}],
     mt.NullKeyError, r"state 'one', row 0: the key \('k'\) is null"),
    ("one", [{**K, "value": 1}, {**K, "value": 2}], mt.ConfigError, "state 'one', row 1: the key comes twice"),
    ("one", [{**K, "value": "x"}], mt.SchemaError, "column 'value' is utf8, and the state's type is int64"),
    ("one", [{**K, "value": 1.0}],
     mt.SchemaError, "column 'value' is float64, and the state's type is int64; cast it"),
    ("one", [{**K, "value": 1}, {**K, "value": None}], mt.SchemaError, "row 1: column 'value' is null"),
    ("one", [{**K, "valeu": 1}], mt.MissingColumnError, r"no column 'value' \(did you mean 'valeu'"),
    ("one", [{**K, "value": 1, "x": 1}], mt.SchemaError, "no place for the column 'x'; the columns are 'k', 'value'"),
    ("one", [{"key": "a", "value": 1}], mt.MissingColumnError, "there is no key column 'k'"),
    ("one", [{"k": 1.5, "value": 1}], mt.KeyTypeError, "a float cannot be a key"),
    ("onne", [{**K, "value": 1}],
     mt.ConfigError, r"no state 'onne' \(did you mean 'one'\?\); the function has the states"),
    ("many", [{**K, "index": 1, "value": "a"}, {**K, "index": 0, "value": "b"}],
     mt.ConfigError, "row 1: index 0 comes after"),
    ("by name", [{**K, "map_key": "a", "value": 1.0}] * 2, mt.ConfigError, "row 1: the entry's key comes twice"),
    ("anything", [{**K, "map_key": "1.5", "value": "1"}],
     mt.ValueRangeError, "'map_key' holds the JSON text .* key of a map"),
    ("anything", [{**K, "map_key": "1", "value": "{1}"}],
     mt.ValueRangeError, "it is not JSON: a key in quotes is expected"),
    ("seen", [{**K, "accumulator": "null"}], mt.ValueRangeError, "row 0: the value is null"),
    ("brief", [{**K, "value": 1, "expires_at": 5}, {**K, "value": 1, "expires_at": None}],
     mt.SchemaError, "for all of them"),
    ("brief", [{**K, "value": 1, "expires_at": "x"}], mt.SchemaError, "a time is an integer"),
    ("timers", [{**K, "domain": "evnt", "time": 1}], mt.ValueRangeError, "row 0: column 'domain' is 'evnt'"),
    ("timers", [{**K, "domain": "event", "time": 1}] * 2, mt.ConfigError, "row 1: the timer at 1 comes twice"),
    ("timers", [{**K, "domain": "event", "time": n, "name": "x"} for n in (1, 2)],
     mt.ConfigError, "timer 'x' comes twice"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "rows", "error", "message"), MISFITS, ids=[f"{n}-{m[0]}" for n, m in enumerate(MISFITS)]
)
def test_what_does_not_fit_is_said(tmp_path, name, rows, error, message):
    with pytest.raises(error, match=message) as raised:
        mt.write_state(tmp_path / "begun", everything([]), {name: rows})
    assert raised.value.operator == "Everything"
    assert list(tmp_path.iterdir()) == []


def test_numbers_that_do_not_fit_are_said(tmp_path):
    def make(dtype: str) -> mt.Stream:
        return mt.apply_process_function(mt.stream([{"k": 1, "n": 0}]), "k", Keeper(dtype))

    for dtype, value in [("int8", 128), ("uint64", -1), ("uint8", -1), ("uint32", 2**32)]:
        with pytest.raises(mt.ValueRangeError, match=f"row 0: column 'value': {value} does not fit {dtype}"):
            mt.write_state(tmp_path / "begun", make(dtype), {"value": [{"k": 1, "value": value}]})


def test_how_it_is_called_wrongly(tmp_path):
    out = everything([])
    chain = mt.apply_process_function(out, "v", Keeper("int64"))
    with pytest.raises(mt.ConfigError, match="the job has 2 operators"):
        mt.write_state(tmp_path / "begun", chain, {"one": []})
    with pytest.raises(mt.ConfigError, match=r"no operator 'Keper'.*did you mean 'Keeper'"):
        mt.write_state(tmp_path / "begun", chain, {"Keper": {"value": [{"v": 1, "value": 1}]}})
    with pytest.raises(mt.ConfigError, match="the template is the stream that will be run"):
        mt.write_state(tmp_path / "begun", "out", {})  # type: ignore[arg-type]
    with pytest.raises(mt.ConfigError, match="has no function"):
        mt.write_state(tmp_path / "begun", mt.stream([]), {})
    with pytest.raises(mt.ConfigError, match="a int is no source of records"):
        mt.write_state(tmp_path / "begun", out, {"one": 5})
    (tmp_path / "begun").mkdir()
    with pytest.raises(mt.ConfigError, match="something of that name is there"):
        mt.write_state(tmp_path / "begun", out, {})


@pytest.mark.parametrize("parallelism", [1, 2])
@pytest.mark.parametrize("is_known", [True, False])
def test_a_key_of_another_type_than_the_streams(tmp_path, is_known, parallelism):
    mt.write_state(tmp_path / "begun", sessions(EVENTS), {"since": [{"k": 1, "value": 1}]})
    config = mt.Config(state_dir=tmp_path / "job", restore_from=tmp_path / "begun", parallelism=parallelism)
    with pytest.raises(
        mt.SnapshotMismatchError if is_known else mt.KeyTypeError, match=r"'k' is utf8, and .*int64.*cast the column"
    ):
        output_of(sessions(EVENTS if is_known else (row for row in EVENTS)), config)
