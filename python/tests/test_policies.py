"""What becomes of records that are late, that lack a key or a timestamp, or that make their function raise."""

from __future__ import annotations

import gc
import logging
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import martlet as mt
from martlet import Config, ProcessFunction, ValueState, apply_process_function

BASE = 1_603_708_000_000


def ident(key: Any, batch: Any, row: int, ctx: Any) -> None:
    ctx.emit(batch)


# ---- late records

LATE = [{"k": 1, "ts": t} for t in (10, 20, 5, 19, 20, 30, 30, 29)]


def lateness(key: Any, batch: Any, row: int, ctx: Any) -> None:
    ctx.emit(ts=batch["ts"], late=ctx.is_late)


@pytest.mark.parametrize("policy", ["process", "drop", "side_output"])
def test_late_records(policy: str) -> None:
    events = mt.stream(LATE, timestamp="ts")
    out = apply_process_function(events, "k", lateness, config=Config(late=policy))
    late = out.side_output("late")
    rows = out.to_pylist()
    assert [r["ts"] for r in rows if not r["late"]] == [10, 20, 20, 30, 30]
    assert [r["ts"] for r in rows if r["late"]] == ([5, 19, 29] if policy == "process" else [])
    assert late.to_pylist() == ([{"k": 1, "ts": t} for t in (5, 19, 29)] if policy == "side_output" else [])
    report = out.run()
    assert report.late == 3
    assert report.late_dropped == (3 if policy == "drop" else 0)
    assert report.side_records == (3 if policy == "side_output" else 0)


def test_late_records_keep_their_timestamp() -> None:
    events = mt.stream(LATE, timestamp="ts")
    out = apply_process_function(events, "k", ident, config=Config(late="side_output"))
    late = apply_process_function(
        out.side_output("late"), "k", lambda key, batch, row, ctx: ctx.emit(t=ctx.timestamp), name="stamps"
    )
    # They are late for what follows them as well, whose own late records go their own way.
    assert late.to_pylist() == []
    lates = late.side_output("late").to_pylist()
    assert [r["ts"] for r in lates] == [5, 19, 29]


def test_k15_timestamps() -> None:
    rows = [{"k": i, "ts": BASE + t} for i, t in ((1, 211_000), (2, 224_000), (3, 226_000), (4, 289_000))]

    def stamp(key: Any, batch: Any, row: int, ctx: Any) -> None:
        ctx.emit(field=batch["ts"], ts=ctx.timestamp)

    out = apply_process_function(mt.stream(rows, timestamp="ts"), "k", stamp).to_pylist()
    assert [r["ts"] for r in out] == [r["field"] for r in out] == [r["ts"] for r in rows]


# ---- errors


class Fragile(ProcessFunction):
    """Does everything, then raises for negative values and for timers of odd times."""

    total = ValueState("total", int)
    text = ValueState("text")

    def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
        value = batch["v"]
        self.total.set((self.total.get() or 0) + abs(value))
        self.text.set([self.text.get(), value])
        ctx.emit(k=key, v=value, total=self.total.get())
        ctx.emit_to("side", v=value)
        ctx.register_event_time_timer(ctx.timestamp + abs(value))
        ctx.delete_event_time_timer(ctx.timestamp + 1)
        if value < 0:
            self.text.clear()
            raise ValueError(f"negative: {value}")

    def on_timer(self, key: Any, fire_time_ms: int, ctx: Any) -> None:
        ctx.emit(k=key, v=None, total=self.total.get())
        self.total.clear()
        if fire_time_ms % 2:
            raise KeyError("odd")


ROWS = st.lists(
    st.fixed_dictionaries(
        {"k": st.integers(0, 2), "v": st.integers(-5, 5), "ts": st.integers(0, 40)},
    ),
    max_size=40,
)


class Model:
    """The same by hand: a call that raises is as if it had not been made."""

    def __init__(self) -> None:
        self.total: dict[int, int] = {}
        self.timers: set[tuple[int, int]] = set()
        self.out: list[tuple[int, int | None, int | None]] = []
        self.side: list[int] = []
        self.errors = 0
        self.watermark = -(2**63)

    def advance(self, watermark: int) -> None:
        if watermark <= self.watermark:
            return
        self.watermark = watermark
        while due := sorted(timer for timer in self.timers if timer[0] <= watermark):
            time, key = due[0]
            self.timers.discard((time, key))
            if time % 2:
                self.errors += 1
                continue
            self.out.append((key, None, self.total.pop(key, None)))

    def record(self, key: int, value: int, ts: int) -> None:
        if value < 0:
            self.errors += 1
        else:
            self.total[key] = self.total.get(key, 0) + value
            self.out.append((key, value, self.total[key]))
            self.side.append(value)
            self.timers.add((ts + value, key))
            self.timers.discard((ts + 1, key))
        self.advance(ts - 1)


@given(ROWS, st.integers(1, 7), st.sampled_from(["skip", "dead_letter"]))
def test_a_failed_call_leaves_nothing_behind(rows: list[dict[str, int]], chunk: int, policy: str) -> None:
    model = Model()
    for r in rows:
        model.record(r["k"], r["v"], r["ts"])
    model.advance(2**63 - 1)
    schema = pa.schema([("k", pa.int64()), ("v", pa.int64()), ("ts", pa.int64())])
    batches = [pa.RecordBatch.from_pylist(rows[i : i + chunk], schema=schema) for i in range(0, len(rows), chunk)]
    out = apply_process_function(mt.stream(batches, timestamp="ts"), "k", Fragile(), config=Config(on_error=policy))
    side, errors = out.side_output("side"), out.side_output("errors")
    got = out.to_pylist()
    assert [(r["k"], r["v"], r["total"]) for r in got] == model.out
    assert [r["v"] for r in side.to_pylist()] == model.side
    letters = errors.to_pylist()
    assert len(letters) == (model.errors if policy == "dead_letter" else 0)
    assert out.run().errors == model.errors


def test_dead_letters() -> None:
    rows = [{"k": "a", "v": 3, "ts": 10}, {"k": "b", "v": -2, "ts": 11}, {"k": "a", "v": 3, "ts": 30}]
    config = Config(on_error="dead_letter")
    out = apply_process_function(mt.stream(rows, timestamp="ts"), "k", Fragile(), name="fragile", config=config)
    letters = out.side_output("errors")
    assert letters.schema.names == (
        "operator",
        "record_number",
        "key",
        "timestamp",
        "fire_time",
        "domain",
        "error_type",
        "message",
        "traceback",
        "record",
    )
    failed, timer, last = letters.to_pylist()
    trace = failed.pop("traceback")
    assert "Traceback" in trace and "raise ValueError" in trace and "in operator 'fragile', record 1" in trace
    assert failed == {
        "operator": "fragile",
        "record_number": 1,
        "key": "'b'",
        "timestamp": 11,
        "fire_time": None,
        "domain": None,
        "error_type": "ValueError",
        "message": "negative: -2",
        "record": {"k": "b", "v": -2, "ts": 11},
    }
    assert (timer["fire_time"], timer["domain"], timer["error_type"], timer["record"]) == (
        13,
        "event",
        "KeyError",
        None,
    )
    assert (timer["key"], timer["timestamp"], timer["record_number"]) == ("'a'", 13, None)
    assert last["fire_time"] == 33


def test_a_schema_inferred_in_a_failed_call_is_forgotten() -> None:
    def fn(key: Any, batch: Any, row: int, ctx: Any) -> None:
        if batch["v"] == 0:
            ctx.emit(wrong="text", other=1.5)
            ctx.emit_to("x", wrong="text")
            raise ValueError
        ctx.emit(n=batch["v"])
        ctx.emit_to("x", n=batch["v"])

    rows = [{"k": 1, "v": v} for v in (0, 0, 1, 0, 2)]
    out = apply_process_function(mt.stream(rows), "k", fn, config=Config(on_error="skip"))
    side = out.side_output("x")
    assert out.to_pylist() == side.to_pylist() == [{"n": 1}, {"n": 2}]


def test_a_failed_row_under_construction_is_taken_back() -> None:
    def fn(key: Any, batch: Any, row: int, ctx: Any) -> None:
        ctx.emit(a=batch["v"], b="x" if batch["v"] else 3)

    rows = [{"k": 1, "v": v} for v in (1, 0, 2)]
    out = apply_process_function(mt.stream(rows), "k", fn, config=Config(on_error="skip"))
    assert [r["a"] for r in out.to_pylist()] == [1, 2]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError, GeneratorExit])
@pytest.mark.parametrize("policy", ["skip", "dead_letter"])
def test_what_stops_a_program_is_never_swallowed(error: type[BaseException], policy: str) -> None:
    def fn(key: Any, batch: Any, row: int, ctx: Any) -> None:
        ctx.emit(batch)
        if batch["v"] == 1:
            raise error

    out = apply_process_function(mt.stream([{"k": 1, "v": v} for v in range(3)]), "k", fn)
    with pytest.raises(error):
        out.run(config=Config(on_error=policy))


def test_failures_are_logged_a_few_at_length_the_others_in_sum(caplog: pytest.LogCaptureFixture) -> None:
    def fn(key: Any, batch: Any, row: int, ctx: Any) -> None:
        raise ValueError("bad")

    with caplog.at_level(logging.WARNING, logger="martlet"):
        apply_process_function(mt.stream([{"k": 1}] * 1000), "k", fn, name="op", config=Config(on_error="skip")).run()
    assert len(caplog.records) == 6
    assert caplog.records[0].exc_info is not None
    assert "record 0" in caplog.records[0].getMessage()
    assert "995 more failures: 995 ValueError in 'op'" in caplog.records[5].getMessage()


def test_open_and_close_are_not_covered() -> None:
    class Bad(ProcessFunction):
        def open(self, ctx: Any) -> None:
            raise OSError("no connection")

        def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None: ...

    with pytest.raises(OSError, match="no connection"):
        apply_process_function(mt.stream([{"k": 1}]), "k", Bad(), config=Config(on_error="skip")).run()


def test_swallowed_failures_leak_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    # pytest keeps what is logged.
    monkeypatch.setattr(logging.getLogger("martlet"), "disabled", True)

    class Marker:
        pass

    def fn(key: Any, batch: Any, row: int, ctx: Any) -> None:
        marker = Marker()
        ctx.emit_to("s", batch)
        raise ValueError(marker)

    for policy in ("skip", "dead_letter"):
        out = apply_process_function(mt.stream([{"k": 1}] * 50), "k", fn, config=Config(on_error=policy))
        errors = out.side_output("errors")
        out.run()
        errors.to_pylist()
    del out, errors
    gc.collect()
    assert not [o for o in gc.get_objects() if type(o).__name__ == "Marker"]


# ---- nulls

NULLS = [{"k": k, "ts": t} for k, t in ((1, 10), (None, 20), (2, None), (None, None), (1, 30))]


def test_null_keys_and_timestamps_as_dead_letters() -> None:
    config = Config(null_keys="dead_letter", null_timestamps="dead_letter")
    events = mt.stream(NULLS, timestamp="ts", schema={"k": int, "ts": int})
    out = apply_process_function(events, "k", ident, name="op", config=config)
    errors = out.side_output("errors")
    assert out.to_pylist() == [NULLS[0], NULLS[4]]
    got = [(r["record_number"], r["key"], r["timestamp"], r["error_type"], r["record"]) for r in errors.to_pylist()]
    assert got == [
        (1, None, 20, "NullKeyError", NULLS[1]),
        (2, "2", None, "NullTimestampError", NULLS[2]),
        (3, None, None, "NullTimestampError", NULLS[3]),
    ]
    report = out.run()
    assert (report.null_keys, report.null_timestamps) == (1, 2)


def test_null_dead_letters_do_not_depend_on_batches() -> None:
    config = Config(null_keys="dead_letter", null_timestamps="dead_letter")
    schema = pa.schema([("k", pa.int64()), ("ts", pa.int64())])

    def letters(n: int) -> Any:
        batches = [pa.RecordBatch.from_pylist(NULLS[i : i + n], schema=schema) for i in range(0, len(NULLS), n)]
        return (
            apply_process_function(mt.stream(batches, timestamp="ts"), "k", ident, config=config)
            .side_output("errors")
            .to_pylist()
        )

    assert letters(1) == letters(2) == letters(5)


def test_m1_and_o2_with_policies_on() -> None:
    """The guarded loop gives what the plain one gives."""

    class Sum(ProcessFunction):
        n = ValueState("n", int)

        def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
            old = self.n.get() or 0
            ctx.emit(v=batch["v"], n=old)
            self.n.set(old + 1)

    rows = [{"k": "mykey", "v": v, "ts": t} for v, t in (("A", 10), ("B", 10), ("C", 10), ("D", 25))]
    for config in (Config(), Config(on_error="skip"), Config(late="drop"), Config(null_keys="dead_letter")):
        out = apply_process_function(mt.stream(rows, timestamp="ts"), "k", Sum(), config=config).to_pylist()
        assert [(r["v"], r["n"]) for r in out] == [("A", 0), ("B", 1), ("C", 2), ("D", 3)]


@pytest.mark.parametrize("discards", [True, False])
def test_o1_o2_state_is_discarded_or_retained(discards: bool) -> None:
    class Logic(ProcessFunction):
        state = ValueState("state", str)

        def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
            old = self.state.get() or "NEW"
            ctx.emit(old=old, new="ITEM")
            if discards:
                self.state.clear()
            else:
                self.state.set("ITEM")

    out = apply_process_function(mt.stream([{"k": "x", "v": 1}, {"k": "x", "v": 2}]), "k", Logic())
    second = "NEW" if discards else "ITEM"
    assert [(r["old"], r["new"]) for r in out.to_pylist()] == [("NEW", "ITEM"), (second, "ITEM")]
    assert out.run().state_entries == (0 if discards else 1)


def test_settings() -> None:
    for settings, message in (
        ({"late": "keep"}, "'process' or 'drop' or 'side_output'"),
        ({"on_error": "ignore"}, "'raise' or 'skip' or 'dead_letter'"),
        ({"progress": 1}, "True, False or None"),
        ({"metrics": 3}, "update"),
    ):
        with pytest.raises(mt.ConfigError, match=message):
            Config(**settings)  # type: ignore[arg-type]


def test_the_end_of_a_key_and_timers_of_processing_time_are_covered() -> None:
    class Ends(ProcessFunction):
        n = ValueState("n", int)

        def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
            self.n.set(key)
            ctx.register_processing_time_timer(50, name="soon")

        def on_timer(self, key: Any, fire_time_ms: int, ctx: Any) -> None:
            ctx.emit(k=key, what="timer")
            if key == 1:
                raise ValueError("timer")

        def on_end(self, key: Any, ctx: Any) -> None:
            ctx.emit(k=key, what="end")
            self.n.clear()
            if key == 2:
                raise ValueError("end")

    config = Config(on_error="dead_letter", clock=mt.ManualClock(0))
    out = apply_process_function(mt.stream([{"k": k} for k in (1, 2, 3)]), "k", Ends(), config=config)
    errors = out.side_output("errors")
    got = [(r["k"], r["what"]) for r in out.to_pylist()]
    assert got == [(2, "timer"), (3, "timer"), (1, "end"), (3, "end")]
    letters = [(r["key"], r["domain"], r["fire_time"], r["message"]) for r in errors.to_pylist()]
    assert letters == [("1", "processing", 50, "timer"), ("2", None, None, "end")]
    assert out.run().state_entries == 1
