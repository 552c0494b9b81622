"""The harness as a user's tests see it."""

from __future__ import annotations

import datetime
from typing import Any

import pyarrow as pa
import pytest
from helpers import Counter

import martlet as mt
from martlet.testing import Harness

MIN, MAX = -(2**63), 2**63 - 1


class Probe(mt.ProcessFunction):
    """Counts, remembers, and fails on demand."""

    count = mt.ValueState("count", int)
    seen = mt.ListState("seen")
    by_name = mt.MapState("by_name", str, int)
    total = mt.ReducingState("total", "sum", int)

    def __init__(self) -> None:
        self.closed = 0

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        if batch["v"] == 13:
            raise ValueError("thirteen")
        self.count.set((self.count.get() or 0) + 1)
        self.seen.add({"v": batch["v"]})
        self.by_name.put(f"v{batch['v']}", batch["v"])
        self.total.add(batch["v"])
        ctx.emit(batch)
        ctx.register_event_time_timer(100)
        ctx.register_processing_time_timer(50, name="soon")

    def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
        ctx.emit(k=key, v=-fire_time_ms)

    def on_end(self, key: Any, ctx: mt.Context) -> None:
        ctx.emit(k=key, v=0)

    def close(self) -> None:
        self.closed += 1


def probe(**settings: Any) -> Harness:
    return Harness(Probe(), key="k", **settings)


def test_every_push_is_processed_at_once() -> None:
    h = probe()
    h.push({"k": "a", "v": 1}, timestamp=5)
    assert h.output(timestamps=True) == [({"k": "a", "v": 1}, 5)]
    h.push({"v": 2, "k": "a"})
    assert h.output(timestamps=True) == [({"k": "a", "v": 2}, None)]
    assert h.output() == []


def test_states_and_timers_of_a_key() -> None:
    h = probe()
    assert h.state("count", "a") is None and h.timers("a") == []
    for v in (1, 2):
        h.push({"k": "a", "v": v})
    assert h.state("count", "a") == 2
    assert h.state("seen", "a") == [{"v": 1}, {"v": 2}]
    assert h.state("by_name", "a") == {"v1": 1, "v2": 2}
    assert h.state("total", "a") == 3
    assert [h.state(name, "b") for name in ("count", "seen", "by_name", "total")] == [None] * 4
    assert [tuple(timer) for timer in h.timers("a")] == [("event", 100, None), ("processing", 50, "soon")]
    with pytest.raises(mt.ConfigError, match=r"no state 'cuont'.*'count', 'seen'"):
        h.state("cuont", "a")
    with pytest.raises(mt.SchemaError):
        h.state("count", 5)
    with pytest.raises(mt.StateAccessError):
        h.fn.count.get()


def test_time_moves_by_hand_and_never_back() -> None:
    h = probe()
    assert (h.watermark, h.processing_time) == (MIN, 0)
    h.push({"k": "a", "v": 1}, timestamp=1000)
    assert h.watermark == MIN
    h.output()
    h.advance_processing_time(49)
    assert h.output() == []
    h.advance_processing_time(50)
    assert h.output(timestamps=True) == [({"k": "a", "v": -50}, None)]
    h.advance_watermark(100)
    assert h.output(timestamps=True) == [({"k": "a", "v": -100}, 100)]
    for back in (lambda: h.advance_watermark(99), lambda: h.advance_processing_time(49)):
        with pytest.raises(mt.ConfigError, match="forward"):
            back()
    h.push({"k": "a", "v": 1}, timestamp=100)
    assert (h.watermark, h.processing_time) == (100, 50)


@pytest.mark.parametrize("column", [True, False])
def test_the_watermark_follows_the_records_if_asked(column: bool) -> None:
    h = probe(watermark="10ms", timestamp="v" if column else None)
    for v, watermark in ((100, 89), (50, 89), (111, 100)):
        h.push({"k": "a", "v": v}, **({} if column else {"timestamp": v}))
        assert h.watermark == watermark
    assert h.output()[-1] == {"k": "a", "v": -100}


def test_the_timestamp_column_and_its_nulls() -> None:
    schema = {"k": str, "v": int, "t": datetime.datetime}
    moment = datetime.datetime(1970, 1, 1, 0, 0, 1)
    h = probe(timestamp="t", schema=schema)
    h.push({"k": "a", "v": 1, "t": moment})
    h.push({"k": "a", "v": 1, "t": moment}, timestamp=7)
    h.push({"k": "a", "v": 1, "t": None}, timestamp=None)
    assert [time for _, time in h.output(timestamps=True)] == [1000, 7, None]
    with pytest.raises(mt.NullTimestampError, match="'t'"):
        h.push({"k": "a", "v": 1, "t": None})
    for policy, rows, letters in (("drop", 0, 0), ("process", 1, 0), ("dead_letter", 0, 1)):
        h = probe(timestamp="t", schema=schema, config=mt.Config(null_timestamps=policy))
        h.push({"k": "a", "v": 1, "t": None})
        assert (len(h.output()), len(h.side_output("errors"))) == (rows, letters), policy


@pytest.mark.parametrize("record", [5, "five", b"5", True])
def test_single_values_are_their_own_key(record: Any) -> None:
    h = Harness(Counter())
    h.push(record)
    h.push(record)
    assert h.output() == [{"key": record, "n": 1}, {"key": record, "n": 2}]
    assert h.state("count", record) == 2


def test_composite_keys() -> None:
    h = Harness(Counter(), key=["a", "b"], output={"n": int, "key": {"a": int, "b": str}})
    fn = Harness(lambda key, batch, row, ctx: ctx.state("n").set(1), mt.ValueState("n", int), key=["a", "b"])
    fn.push({"a": 1, "b": "x"})
    assert fn.state("n", (1, "x")) == 1 and fn.state("n", (1, "y")) is None
    with pytest.raises(mt.ConfigError, match=r"a tuple of 2 \(a, b\)"):
        fn.state("n", 1)
    h.close()


def test_records_are_dicts_or_one_row_of_arrow() -> None:
    batch = pa.record_batch({"k": ["a", "b"], "v": [1, 2]})
    h = probe()
    h.push(batch.slice(1, 1))
    h.push(pa.Table.from_batches([batch.slice(0, 1)]))
    h.push(mt.RecordBatch(batch.slice(0, 1)))
    assert h.output() == [{"k": "b", "v": 2}, {"k": "a", "v": 1}, {"k": "a", "v": 1}]
    for wrong in (batch, pa.Table.from_batches([batch]), batch.slice(0, 0)):
        with pytest.raises(mt.ConfigError, match="one record"):
            h.push(wrong)
    with pytest.raises(mt.ConfigError, match="a dict or an Arrow object of one row, got int 5"):
        h.push(5)
    with pytest.raises(mt.SchemaError, match="'w'"):
        h.push({"k": "a", "w": 1})
    with pytest.raises(TypeError, match="a timestamp is an int"):
        h.push({"k": "a", "v": 1}, timestamp="soon")  # type: ignore[arg-type]
    h.push({"k": "c", "v": 3})
    assert h.output() == [{"k": "c", "v": 3}]


def test_an_error_comes_out_as_from_a_stream_and_leaves_all_to_be_looked_at() -> None:
    h = probe()
    h.push({"k": "a", "v": 1})
    with pytest.raises(ValueError, match="thirteen") as caught:
        h.push({"k": "a", "v": 13})
    assert caught.value.__notes__ == ["in operator 'Probe', record 1, key 'a'"]
    assert h.output() == [{"k": "a", "v": 1}]
    assert (h.state("count", "a"), len(h.timers("a"))) == (1, 2)
    for more in (lambda: h.push({"k": "a", "v": 1}), lambda: h.advance_watermark(5), h.end, h.snapshot):
        with pytest.raises(mt.ClosedError, match="an error has ended the run"):
            more()
    h.close()
    assert h.fn.closed == 1


def test_error_policies() -> None:
    h = probe(config=mt.Config(on_error="dead_letter", late="side_output"))
    h.push({"k": "a", "v": 13}, timestamp=1)
    h.push({"k": "a", "v": 1}, timestamp=1)
    h.advance_watermark(5)
    h.push({"k": "a", "v": 2}, timestamp=5)
    assert h.state("count", "a") == 1
    assert h.side_output("late", timestamps=True) == [({"k": "a", "v": 2}, 5)]
    (letter,) = h.side_output("errors")
    assert (letter["error_type"], letter["record"], letter["record_number"]) == ("ValueError", {"k": "a", "v": 13}, 0)


def test_the_end_of_the_input() -> None:
    h = probe()
    h.push({"k": "a", "v": 1})
    h.output()
    h.end()
    assert h.watermark == MAX
    assert h.output() == [{"k": "a", "v": -100}, {"k": "a", "v": -50}, {"k": "a", "v": 0}]
    with pytest.raises(mt.ClosedError, match="the input has ended"):
        h.push({"k": "a", "v": 1})
    assert Harness(Counter(), key="k").end() is None


def test_close_is_called_once() -> None:
    with probe(schema={"k": str, "v": int}) as h:
        h.close()
    assert h.fn.closed == 1
    with pytest.raises(mt.ClosedError, match="closed"):
        h.push({"k": "a", "v": 1})
    with pytest.raises(ZeroDivisionError), probe(schema={"k": str, "v": int}) as h:
        raise ZeroDivisionError
    assert h.fn.closed == 1


def test_using_it_from_inside_of_a_callback() -> None:
    def on_event(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        h.push({"k": 2})

    h = Harness(on_event, key="k")
    with pytest.raises(mt.BusyError):
        h.push({"k": 1})


def test_a_snapshot_goes_on_in_another_harness() -> None:
    h = probe(watermark=0)
    for i, key in enumerate("abca"):
        h.push({"k": key, "v": i}, timestamp=i)
    h.advance_processing_time(7)
    snapshot = h.snapshot()
    copy = Harness.restore(snapshot, Probe(), key="k", watermark=0)
    assert copy.snapshot() == snapshot
    assert (copy.watermark, copy.processing_time) == (2, 7)
    assert copy.state("seen", "a") == [{"v": 0}, {"v": 3}] and copy.timers("b") == h.timers("b")
    h.output()
    for harness in (h, copy):
        harness.push({"k": "a", "v": 5}, timestamp=101)
        harness.end()
    assert h.output(timestamps=True) == copy.output(timestamps=True) != []


def test_a_snapshot_of_another_version_of_the_function() -> None:
    h = probe()
    h.push({"k": "a", "v": 1})
    snapshot = h.snapshot()

    def keep(*states: mt.State, of: bytes = snapshot, **settings: Any) -> Harness:
        return Harness.restore(of, lambda key, batch, row, ctx: None, *states, key="k", **settings)

    assert keep(mt.ValueState("new", int)).state("new", "a") is None
    again = keep(mt.ValueState("count", int), of=keep().snapshot())
    assert again.state("count", "a") == 1
    gone = keep(mt.ValueState("count", int), of=keep(forget=["count"]).snapshot())
    assert gone.state("count", "a") is None
    with pytest.raises(mt.SnapshotMismatchError, match=r"state 'count' is a value state of float64 and was .* int64"):
        keep(mt.ValueState("count", float))
    with pytest.raises(mt.SnapshotMismatchError, match="state 'seen' is a value state"):
        keep(mt.ValueState("seen"))
    with pytest.raises(mt.SnapshotMismatchError, match="key column 'k' is int64, and was utf8"):
        keep(schema={"k": int, "v": int})
    with pytest.raises(mt.ConfigError, match="'nothing'"):
        keep(forget=["nothing"])
    for broken, words in ((snapshot[:-1], "torn"), (snapshot[:-1] + b"\0", "corrupt"), (b"", "not a snapshot")):
        with pytest.raises(mt.SnapshotError, match=words):
            keep(of=broken)
    newer = snapshot[:8] + b"\x09" + snapshot[9:]
    with pytest.raises(mt.SnapshotError, match="format version 9"):
        keep(of=newer)


def test_key_groups_divide_a_snapshot() -> None:
    h = Harness(Counter(), key="k")
    for key in range(100):
        h.push({"k": key})
    parts = [
        Harness.restore(h.snapshot(), Counter(), key="k", key_groups=groups)
        for groups in (range(30), range(30, 31), range(31, 128))
    ]
    owners = [[part.state("count", key) for part in parts] for key in range(100)]
    assert all(sorted(map(str, owner)) == ["1", "None", "None"] for owner in owners)
    assert sum(owner[0] == 1 for owner in owners) > 5
    with pytest.raises(mt.ConfigError, match="not within 0 to 128"):
        Harness.restore(h.snapshot(), Counter(), key="k", key_groups=range(100, 129))
    with pytest.raises(mt.ConfigError, match="run of key groups"):
        Harness.restore(h.snapshot(), Counter(), key="k", key_groups=range(0, 9, 2))


def test_a_clock_of_ones_own() -> None:
    clock = mt.ManualClock(20)
    h = probe(config=mt.Config(clock=clock))
    h.push({"k": "a", "v": 1})
    h.output()
    clock.advance_to(60)
    h.push({"k": "b", "v": 2})
    assert h.output()[0] == {"k": "a", "v": -50}
    late = Harness.restore(h.snapshot(), Probe(), key="k", config=mt.Config(clock=mt.ManualClock(500)))
    assert late.processing_time == 500


def test_what_is_not_possible_is_a_config_error() -> None:
    for wrong in (
        lambda: Harness(Counter, key="k"),
        lambda: Harness(Counter(), key=[]),
        lambda: Harness(Counter(), mt.ValueState("count"), key="k"),
        lambda: Harness(Counter(), key="k", config={}),  # type: ignore[arg-type]
        lambda: Harness(Counter(), key="k", watermark=-1),
    ):
        with pytest.raises(mt.ConfigError):
            wrong()
    with pytest.raises(mt.SchemaError, match="'k'"):
        Harness(Counter(), key="k", schema={"x": int})
