"""mt.write_state: jobs that begin with state from tables, and tables that do not fit."""

from __future__ import annotations

from typing import Any

import pytest
from state_programs import DATA, Keeper, durable, everything, output_of

import martlet as mt

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


def passed_on(events: Any) -> mt.Stream:
    """Sessions behind another function, of whose output nothing is known before its first record."""
    first = mt.apply_process_function(mt.stream(events, timestamp="t"), "k", lambda k, b, r, c: c.emit(b), name="first")
    return mt.apply_process_function(first, "k", Sessions(), output=SESSIONS)


@pytest.mark.parametrize("source", ["list", "table", "generator", "function"])
@pytest.mark.parametrize("parallelism", [1, 2])
def test_timers_of_tables_fire_at_their_time(tmp_path, source, parallelism):
    make = passed_on if source == "function" else sessions
    mt.write_state(tmp_path / "begun", make(EVENTS), {"Sessions": BEGUN}, config=mt.Config(clock=mt.ManualClock(5)))
    if source == "table":
        events: Any = pytest.importorskip("pyarrow").Table.from_pylist(EVENTS)
    else:
        events = (row for row in EVENTS) if source == "generator" else EVENTS
    clock = mt.ManualClock(8)
    config = mt.Config(
        state_dir=tmp_path / "job", restore_from=tmp_path / "begun", clock=clock, parallelism=parallelism
    )
    assert output_of(make(events), config) == EXPECTED


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
@pytest.mark.parametrize(
    ("make", "error"), [(sessions, mt.SnapshotMismatchError), (passed_on, mt.KeyTypeError)], ids=["known", "unknown"]
)
def test_a_key_of_another_type_than_the_streams(tmp_path, make, error, parallelism):
    mt.write_state(tmp_path / "begun", make(EVENTS), {"Sessions": {"since": [{"k": 1, "value": 1}]}})
    config = mt.Config(state_dir=tmp_path / "job", restore_from=tmp_path / "begun", parallelism=parallelism)
    with pytest.raises(error, match=r"'k' is utf8, and .*int64.*cast the column"):
        output_of(make(EVENTS), config)
