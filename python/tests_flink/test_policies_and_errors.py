"""What becomes of late records and failing calls on Flink, and how a function's exception comes back."""

from __future__ import annotations

from typing import Any

import pytest
from flink_runs import config, difference, embedded, on_flink

import martlet as mt


class Failing(mt.ProcessFunction):
    """Fails after it has written, emitted and registered, for some records and timers."""

    total = mt.ValueState("total", int, default=0)
    seen = mt.ListState("seen", int)
    table = mt.MapState("table", str, int)

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        n = batch["n"]
        self.total.set(self.total.get() + n)
        self.seen.add(n)
        self.table.put(f"k{n % 3}", n)
        ctx.emit(key=str(key), total=self.total.get(), seen=str(self.seen.get()), late=ctx.is_late)
        ctx.register_event_time_timer(ctx.timestamp + n, name="timer" if n % 2 else None)
        ctx.emit_to("side", batch)
        if n % 5 == 0:
            self.table.clear()
            raise ValueError(f"no {n}")

    def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
        self.seen.add(fire_time_ms)
        ctx.emit(key=str(key), total=-fire_time_ms, seen=str(self.seen.get()), late=False)
        if fire_time_ms % 3 == 0:
            raise KeyError(fire_time_ms)


def inputs(count: int = 80) -> list[dict[str, Any]]:
    return [{"k": i % 4, "t": i * 2 - (i * 7 % 13), "n": i * 11 % 23} for i in range(count)]


def streams(*tags: str) -> list[mt.Stream]:
    out = mt.stream(inputs(), timestamp="t", watermark=3).key_by("k").process(Failing())
    return [out, *(out.side_output(tag) for tag in tags)]


@pytest.mark.parametrize(("parallelism", "on_error", "late"), [(1, "skip", "drop"), (2, "dead_letter", "side_output")])
def test_policies(parallelism: int, on_error: str, late: str) -> None:
    tags = ["side", *(["errors"] if on_error == "dead_letter" else []), *(["late"] if late == "side_output" else [])]
    found = on_flink(streams(*tags), parallelism, on_error=on_error, late=late)
    expected = embedded(streams(*tags), on_error=on_error, late=late)
    for tag, flink, engine in zip(["main", *tags], found, expected, strict=True):
        for row in (*flink, *engine) if tag == "errors" else ():
            row.pop("traceback")
            row.pop("record_number")  # counted by each instance
        assert not difference(flink, engine), tag
        assert flink, tag


class SpecificError(ValueError):
    """An exception with data."""

    def __init__(self, message: str, key: str) -> None:
        super().__init__(message, key)
        self.key = key


def specific(key: str, batch: mt.Record, row: int, ctx: mt.Context) -> None:
    if key == "b":
        raise SpecificError("not this one", key)


def test_the_error_of_the_function_comes_first() -> None:
    out = mt.stream([{"k": "a"}, {"k": "b"}]).key_by("k").process(specific, config=config(1))
    with pytest.raises(SpecificError, match="not this one") as raised:
        out.to_pylist()
    assert raised.value.key == "b"
    place, worker, flink = raised.value.__notes__
    assert "operator 'specific'" in place and "key 'b'" in place
    assert 'raise SpecificError("not this one", key)' in worker
    assert flink.startswith("Apache Flink:\n") and "org.apache.flink" in flink


def wrong(key: str, batch: mt.Record, row: int, ctx: mt.Context) -> None:
    ctx.emit(n="text")


def test_emissions_are_checked_as_everywhere() -> None:
    out = mt.stream([{"k": "a"}]).key_by("k").process(wrong, output={"n": int}, config=config(1))
    with pytest.raises(mt.SchemaError, match=r"'n'.*int64") as raised:
        out.to_pylist()
    assert raised.value.operator == "wrong"


def every_form(key: str, batch: mt.Record, row: int, ctx: mt.Context) -> None:
    import pyarrow as pa

    ctx.emit(batch)
    ctx.emit({"k": key, "n": -batch["n"]})
    ctx.emit(k=key, n=None)
    ctx.emit(pa.RecordBatch.from_pydict({"k": [key, f"{key}!"], "n": [100 + batch["n"], None]}))


def test_records_dicts_fields_and_batches_are_emitted() -> None:
    rows = [{"k": "a", "n": 1}, {"k": "b", "n": 2}, {"k": "a", "n": 3}]

    def stream() -> mt.Stream:
        return mt.stream(rows).key_by("k").process(every_form, output={"k": str, "n": int})

    (found,), (expected,) = on_flink([stream()], 2), embedded([stream()])
    assert len(expected) == 15 and not difference(found, expected)
