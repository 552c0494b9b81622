"""mt.read_state: what jobs leave behind as tables; and mt.write_state of these tables: the same again."""

from __future__ import annotations

import datetime
import decimal
import math
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from state_programs import DATA, Everything, Keeper, durable, everything, output_of, tables_of

import martlet as mt

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

    def __init__(self, content: dict[Any, Any], entries: mt.MapState | None = None) -> None:
        self.content = content
        self.entries = mt.MapState("entries") if entries is None else entries

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


MAP_KEYS: list[tuple[str, list[Any]]] = [
    ("bool", [False, True]),
    ("int8", [-128, 0, 127]),
    ("uint64", [0, 1, 2**63, 2**64 - 1]),
    ("utf8", ["", "a", "ä", "\U0001f426"]),
    ("binary", [b"", b"\0", b"\xff\0"]),
    ("date32", [datetime.date(1900, 1, 1), datetime.date(2026, 1, 1)]),
    ("timestamp[us]", [datetime.datetime(1969, 1, 1), datetime.datetime(2026, 1, 1, 0, 0, 0, 1)]),
    ("decimal128(9, 2)", [decimal.Decimal("-1.50"), decimal.Decimal("0.00"), decimal.Decimal("12.25")]),
]


@pytest.mark.parametrize(("dtype", "keys"), MAP_KEYS, ids=[dtype for dtype, _ in MAP_KEYS])
def test_map_keys_of_every_type_come_back(tmp_path, dtype, keys):
    def make(records: int) -> mt.Stream:
        fn = Anything({key: n for n, key in enumerate(keys)}, mt.MapState("entries", dtype, int))
        return mt.apply_process_function(mt.stream([{"k": b"\0key"}] * records), "k", fn)

    expected = make(2).to_pylist()[1]
    make(1).run(None, config=durable(tmp_path / "job"))
    read = mt.read_state(tmp_path / "job", "entries")
    assert [(row["map_key"], row["value"]) for row in read.to_pylist()] == [(key, n) for n, key in enumerate(keys)]
    table = [{"k": b"\0key", "map_key": key, "value": n} for n, key in reversed(list(enumerate(keys)))]
    for name, rows in (("as read", read), ("other order", mt.stream(table, schema=read.schema))):
        mt.write_state(tmp_path / name, make(1), {"entries": rows})
        config = durable(tmp_path / f"{name} next", restore_from=tmp_path / name)
        assert output_of(make(1), config) == [expected]
