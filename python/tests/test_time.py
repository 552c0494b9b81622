"""Event time: timestamps, watermarks, late records, and timers (DESIGN section 3, Flink's KeyedProcessOperatorTest)."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from helpers import run

import martlet as mt

MIN, MAX = -(2**63), 2**63 - 1


def at(*times: int | None, key: Any = "a") -> list[dict[str, Any]]:
    return [{"k": key, "t": time} for time in times]


def watch(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
    ctx.emit(t=ctx.timestamp, w=ctx.watermark, late=ctx.is_late)


class Alarm(mt.ProcessFunction):
    """Sets a timer `delay` after each record and tells when it fires."""

    def __init__(self, delay: int) -> None:
        self.delay = delay

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        assert ctx.timer_domain is None
        ctx.register_event_time_timer(ctx.timestamp + self.delay)  # type: ignore[operator]
        ctx.emit(key=key, event=ctx.timestamp, fired=None, w=ctx.watermark)

    def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
        assert ctx.timer_domain == "event"
        assert ctx.timestamp == fire_time_ms
        assert ctx.key == key
        ctx.emit(key=key, event=None, fired=fire_time_ms, w=ctx.watermark)


def test_the_watermark_is_that_of_the_records_before() -> None:
    got = run(at(10, 30, 5, 31), watch, timestamp="t", watermark=10)
    assert [row["w"] for row in got] == [MIN, -1, 19, 19]
    assert [row["late"] for row in got] == [False, False, True, False]


def test_without_event_time() -> None:
    assert run(
        at(10), lambda key, batch, row, ctx: ctx.emit(t=ctx.timestamp, w=ctx.watermark), output={"t": int, "w": int}
    ) == [{"t": None, "w": MIN}]


@pytest.mark.parametrize("lag", [5000, "5000ms", "5s", "5 s", dt.timedelta(seconds=5)])
def test_watermark_durations(lag: Any) -> None:
    assert run(at(0, 10_000, 10_000), watch, timestamp="t", watermark=lag)[2]["w"] == 4999


@pytest.mark.parametrize("lag", ["5", "fast", "-1s", -1, 1.5, True, "5w"])
def test_bad_durations(lag: Any) -> None:
    with pytest.raises(mt.ConfigError, match="watermark="):
        mt.stream(at(1), timestamp="t", watermark=lag)


def test_timers_fire_once_the_record_that_passes_them_was_processed_and_at_the_end() -> None:
    got = run(at(0, 50, 200, 201), Alarm(100), timestamp="t", output={"key": str, "event": int, "fired": int, "w": int})
    assert [(row["event"], row["fired"], row["w"]) for row in got] == [
        (0, None, MIN),
        (50, None, -1),
        (200, None, 49),
        (None, 100, 199),
        (None, 150, 199),
        (201, None, 199),
        (None, 300, MAX),
        (None, 301, MAX),
    ]


def test_a_timer_is_one_per_key_and_time_and_can_be_deleted() -> None:
    fired: list[Any] = []

    class Twice(mt.ProcessFunction):
        def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
            for time in (10, 10, 20, 30):
                ctx.register_event_time_timer(time)
            ctx.delete_event_time_timer(20)
            ctx.delete_event_time_timer(99)

        def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
            fired.append((key, fire_time_ms))

    run(at(1, key="a") + at(1, key="b"), Twice(), timestamp="t")
    assert fired == [("a", 10), ("b", 10), ("a", 30), ("b", 30)]


def test_a_timer_registered_by_a_timer_fires_in_the_same_pass() -> None:
    fired: list[int] = []

    class Chain(mt.ProcessFunction):
        def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
            ctx.register_event_time_timer(10)

        def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
            fired.append(fire_time_ms)
            if fire_time_ms < 50:
                ctx.register_event_time_timer(fire_time_ms + 10)

    run(at(1), Chain(), timestamp="t")
    assert fired == [10, 20, 30, 40, 50]


def test_state_is_there_in_on_timer() -> None:
    class Last(mt.ProcessFunction):
        last = mt.ValueState("last", int)

        def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
            self.last.set(batch["t"])
            ctx.register_event_time_timer(batch["t"] + 10)

        def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
            if self.last.get() + 10 == fire_time_ms:
                ctx.emit(key=key, quiet_since=self.last.get())
                self.last.clear()

    records = at(0, 5, 8, key="a") + at(100, key="b")
    assert run(records, Last(), timestamp="t") == [{"key": "a", "quiet_since": 8}, {"key": "b", "quiet_since": 100}]


def test_time_travels_to_the_next_function() -> None:
    def forward(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        ctx.emit(k=key)

    out = mt.stream(at(10, 30), timestamp="t").key_by("k").process(forward).key_by("k").process(watch)
    assert [(row["t"], row["w"]) for row in out.to_pylist()] == [(10, MIN), (30, 9)]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_timestamp_columns(unit: str) -> None:
    pa = pytest.importorskip("pyarrow")
    moment = dt.datetime(2024, 1, 1, 12)
    ms = int(moment.replace(tzinfo=dt.UTC).timestamp()) * 1000
    for zone in (None, "UTC", "Europe/Prague"):
        table = pa.table({"k": [1], "t": pa.array([moment], pa.timestamp(unit)).cast(pa.timestamp(unit, zone))})
        assert run(table, watch, timestamp="t")[0]["t"] == ms
    table = pa.table({"k": [1], "t": pa.array([moment.date()])})
    assert run(table, watch, timestamp="t")[0]["t"] == ms - 12 * 3_600_000


def test_null_timestamps() -> None:
    records = at(10, None, 30)
    with pytest.raises(mt.NullTimestampError) as caught:
        run(records, watch, timestamp="t")
    assert caught.value.record == 1
    output = {"t": int, "w": int, "late": bool}
    dropped = run(records, watch, timestamp="t", output=output, config=mt.Config(null_timestamps="drop"))
    assert [row["t"] for row in dropped] == [10, 30]
    delivered = run(records, watch, timestamp="t", output=output, config=mt.Config(null_timestamps="process"))
    assert [(row["t"], row["w"], row["late"]) for row in delivered] == [
        (10, MIN, False),
        (None, 9, False),
        (30, 9, False),
    ]


def test_bad_timestamp_columns() -> None:
    with pytest.raises(mt.MissingColumnError, match=r"'clicks': there is no timestamp column 'nope'; .*'k'") as caught:
        run(at(1), watch, timestamp="nope", name="clicks")
    assert isinstance(caught.value, (mt.SchemaError, KeyError))
    with pytest.raises(mt.MissingColumnError, match=r"'T' \(did you mean 't'\?\)"):
        run(at(1), watch, timestamp="T")
    with pytest.raises(mt.SchemaError, match="k"):
        run(at(1), watch, timestamp="k")
    with pytest.raises(mt.ConfigError, match="watermark= needs timestamp="):
        mt.stream(at(1), watermark=1)


def test_bad_timers() -> None:
    def register(time: Any) -> Any:
        class Registers(mt.ProcessFunction):
            def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
                ctx.register_event_time_timer(time)

            def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
                ctx.register_event_time_timer(fire_time_ms)

        return Registers()

    with pytest.raises(TypeError, match=r"milliseconds since the Unix epoch, got float 1.5"):
        run(at(1), register(1.5), timestamp="t")
    with pytest.raises(mt.ValueRangeError, match="outside the range of int64 milliseconds"):
        run(at(1), register(2**63), timestamp="t")
    with pytest.raises(mt.TimerError, match="has no on_timer method"):
        run(at(1), lambda key, batch, row, ctx: ctx.register_event_time_timer(1), timestamp="t")
    with pytest.raises(mt.TimerError) as caught:
        run(at(1), register(5), timestamp="t")
    assert "a" in str(caught.value)


def test_an_exception_in_on_timer_tells_the_timer() -> None:
    class Fails(mt.ProcessFunction):
        def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
            ctx.register_event_time_timer(123)

        def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
            raise ZeroDivisionError("oops")

    with pytest.raises(ZeroDivisionError) as caught:
        run(at(1, key="u1"), Fails(), timestamp="t")
    assert caught.value.__notes__ == ["in operator 'Fails', timer at 123, key 'u1'"]
