"""The harness with two inputs: sides, watermarks of one input, idleness, ends, states, restarts, errors."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

import martlet as mt
from martlet import BroadcastProcessFunction, BroadcastState, CoProcessFunction, ListState, ValueState
from martlet.testing import Harness

LOW, MAX = -(2**63), 2**63 - 1


class Join(CoProcessFunction):
    count = ValueState("count", int, default=0)

    def on_left(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
        self.note(key, batch["l"], ctx)

    def on_right(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
        self.note(key, batch["r"], ctx)

    def note(self, key: Any, value: Any, ctx: Any) -> None:
        self.count.set(self.count.get() + 1)
        ctx.register_event_time_timer(50)
        ctx.emit(out=f"{ctx.side} {key} {value} {ctx.timestamp}", wm=ctx.watermark)

    def on_timer(self, key: Any, fire_time_ms: int, ctx: Any) -> None:
        ctx.emit(out=f"timer {key} {self.count.get()}", wm=ctx.watermark)


def join(**options: Any) -> Harness:
    return Harness(Join(), **{"key": ("k", "id"), **options})


def outs(h: Harness) -> list[str]:
    return [r["out"] for r in h.output()]


def test_sides_watermarks_and_states() -> None:
    with join() as h:
        assert h.key == ("k",)
        h.push_left({"k": "a", "l": 1}, timestamp=10)
        h.push_right({"id": "a", "r": 2}, timestamp=5)
        h.push_right({"id": "b", "r": 3}, timestamp=None)
        assert outs(h) == ["left a 1 10", "right a 2 5", "right b 3 None"]
        assert h.state("count", "a") == 2
        assert h.state("count", "b") == 1
        assert h.state("count", "c") is None
        assert h.timers("a") == [("event", 50, None)]
        assert h.watermark == LOW
        h.advance_watermark(left=60)
        assert (h.watermark, h.output()) == (LOW, [])
        h.advance_watermark(right=55)
        assert h.output(timestamps=True) == [
            ({"out": "timer a 2", "wm": 55}, 50),
            ({"out": "timer b 1", "wm": 55}, 50),
        ]
        h.advance_watermark(left=70, right=65)
        assert h.watermark == 65
        h.advance_watermark(80)
        assert h.watermark == 80
        h.end()
        assert h.watermark == MAX


def test_an_idle_input_and_an_input_that_has_ended() -> None:
    for stop in (lambda h: h.set_idle("right"), lambda h: h.end("right")):
        h = join()
        h.push_left({"k": "a", "l": 1}, timestamp=10)
        h.advance_watermark(left=60)
        assert h.watermark == LOW
        stop(h)
        assert h.watermark == 60
        assert outs(h)[1:] == ["timer a 1"]
    h = join()
    h.advance_watermark(left=60)
    h.set_idle("right")
    h.set_idle("right", False)
    h.advance_watermark(left=100)
    # It holds nothing back until it has come as far as the others were (Flink: StatusWatermarkValve).
    assert h.watermark == 100
    h.advance_watermark(right=110)
    h.advance_watermark(left=120)
    assert h.watermark == 110
    with pytest.raises(mt.ClosedError):
        end = join()
        end.end("left")
        end.push_left({"k": "a", "l": 1})


def test_watermarks_that_follow_the_records() -> None:
    h = join(timestamp=("t", "u"), watermark="1s", schema=({"k": str, "l": int, "t": int}, None))
    h.push_left({"k": "a", "l": 1, "t": 5000})
    assert h.watermark == LOW
    h.push_right({"id": "a", "r": 1, "u": 3000})
    assert h.watermark == 1999
    assert [time for _, time in h.output(timestamps=True)] == [5000, 3000, 50]
    h = join(timestamp="t", watermark=0)
    h.push_left({"k": "a", "l": 1, "t": 5})
    with pytest.raises(mt.SchemaError, match="'t'"):
        h.push_right({"id": "a", "r": 1})


def test_snapshots_go_on() -> None:
    h = join()
    h.push_left({"k": "a", "l": 1}, timestamp=10)
    h.push_right({"id": "a", "r": 1}, timestamp=11)
    h.advance_watermark(left=60)
    h.output()
    snapshot = h.snapshot()
    again = Harness.restore(snapshot, Join(), key=("k", "id"))
    assert again.snapshot() == snapshot
    again.push_right({"id": "a", "r": 2}, timestamp=12)
    assert again.state("count", "a") == 3
    again.advance_watermark(right=60)
    assert outs(again) == ["right a 2 12", "timer a 3"]


def test_values_and_arrow_objects_as_records() -> None:
    def both(key: Any, batch: Any, row: int, ctx: Any) -> None:
        ctx.emit(v=batch["value"], side=ctx.side)

    h = Harness(both, kind="connect")
    h.push_left(5, timestamp=1)
    h.push_right(6, timestamp=1)
    h.push_right(pa.table({"value": [7]}))
    assert h.output() == [{"v": 5, "side": "left"}, {"v": 6, "side": "right"}, {"v": 7, "side": "right"}]
    with pytest.raises(mt.ConfigError, match="takes one record, got 2"):
        h.push_left(pa.table({"value": [7, 8]}).to_batches()[0])
    with pytest.raises(mt.ConfigError, match="a dict or an Arrow object"):
        join().push_left(5)


# ---- broadcast -------------------------------------------------------------------------------------------

rules = BroadcastState("rules", str, int)


class Rules(BroadcastProcessFunction):
    seen = ListState("seen", str)

    def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
        self.seen.add(batch["value"])
        ctx.register_event_time_timer(41)
        ctx.emit(out=f"{key} {rules.get(key)} {ctx.watermark} {ctx.timestamp}")

    def on_broadcast(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
        rules.put(batch["rule"], batch["n"])
        ctx.apply_to_keyed_state(self.seen, lambda key, seen: ctx.emit(out=f"{key} has {len(seen)}"))

    def on_timer(self, key: Any, fire_time_ms: int, ctx: Any) -> None:
        ctx.emit(out=f"timer {key} {rules.items()}")


def test_broadcast() -> None:
    h = Harness(Rules(), rules, key="value")
    assert h.state("rules") is None
    h.push("ž", timestamp=1)
    h.push_broadcast({"rule": "ž", "n": 7}, timestamp=2)
    h.push("ž", timestamp=3)
    assert outs(h) == [f"ž None {LOW} 1", "ž has 1", f"ž 7 {LOW} 3"]
    assert h.state("rules") == {"ž": 7}
    assert h.state("rules", None) == {"ž": 7}
    assert h.state("seen", "ž") == ["ž", "ž"]
    assert h.timers("ž") == [("event", 41, None)]
    with pytest.raises(mt.ConfigError, match="one for all keys"):
        h.state("rules", "ž")
    h.advance_watermark(main=50)
    assert outs(h) == []
    h.advance_watermark(broadcast=45)
    assert (outs(h), h.watermark) == (["timer ž [('ž', 7)]"], 45)


def test_snapshots_of_a_broadcast_go_on() -> None:
    h = Harness(Rules(), rules, key="value")
    h.push("ž", timestamp=1)
    h.push_broadcast({"rule": "ž", "n": 7}, timestamp=2)
    h.push("ž", timestamp=3)
    h.advance_watermark(main=50, broadcast=45)
    again = Harness.restore(h.snapshot(), Rules(), rules, key="value")
    assert again.state("rules") == {"ž": 7}
    assert again.state("seen", "ž") == ["ž", "ž"]
    assert again.snapshot() == h.snapshot()
    again.push("ž", timestamp=60)
    again.push_broadcast({"rule": "y", "n": 1}, timestamp=60)
    assert outs(again) == ["ž 7 45 60", "ž has 3"]


def test_broadcast_without_a_key() -> None:
    class Plain(BroadcastProcessFunction):
        table = BroadcastState("table")

        def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
            assert key is None
            ctx.emit(n=len(self.table), v=batch["value"])

        def on_broadcast(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
            self.table.put(batch["value"], None)

    h = Harness(Plain())
    h.push(1)
    h.push_broadcast("x")
    h.push_broadcast("y")
    h.push(2)
    assert h.output() == [{"n": 0, "v": 1}, {"n": 2, "v": 2}]
    assert h.state("table") == {"x": None, "y": None}
    h.close()
    assert h.state("table") is None


def test_snapshots_of_a_broadcast_without_a_key_go_on() -> None:
    class Plain(BroadcastProcessFunction):
        table = BroadcastState("table")

        def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
            ctx.emit(n=len(self.table))

        def on_broadcast(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
            self.table.put(batch["value"], None)

    for first in (None, 1):
        h = Harness(Plain())
        if first is not None:
            h.push(first)
        h.push_broadcast("x")
        h.push_broadcast("y")
        again = Harness.restore(h.snapshot(), Plain())
        assert again.state("table") == {"x": None, "y": None}
        again.push(2)
        assert again.output() == [{"n": 2}]


def test_misuse() -> None:
    h = join()
    for call, words in (
        (lambda: h.push({"k": 1}), "push: the function has no input 'main'; it has left, right"),
        (lambda: h.push_broadcast({"k": 1}), "push_broadcast: .*no input 'broadcast'"),
        (lambda: h.advance_watermark(), "and not both"),
        (lambda: h.advance_watermark(1, left=2), "and not both"),
        (lambda: h.advance_watermark(main=2), "no input 'main'"),
        (lambda: h.set_idle("main"), "no input 'main'"),
        (lambda: h.end("main"), "no input 'main'"),
        (lambda: Harness(Join(), kind="what"), "kind='what' is not allowed"),  # type: ignore[arg-type]
        (lambda: Harness(Join(), timestamp=("a", "b", "c")), r"expected a pair \(left, right\)"),
        (lambda: Harness(Join(), key=("a", "b", "c")), "a pair"),
        (lambda: Harness(lambda key, batch, row, ctx: None).set_idle("main"), "one input"),
        (lambda: Harness(lambda key, batch, row, ctx: None).push_left(1), "no input 'left'; it has main"),
    ):
        with pytest.raises(mt.ConfigError, match=words):
            call()
    h.push_left({"k": "a", "l": 1}, timestamp=1)
    with pytest.raises(mt.KeyTypeError, match="'id'"):
        h.push_right({"id": 5, "r": 1}, timestamp=1)
    h = join()
    h.advance_watermark(left=10)
    with pytest.raises(mt.ConfigError, match="back"):
        h.advance_watermark(left=5)


def test_a_failing_callback() -> None:
    class Fails(Join):
        def on_right(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
            raise ValueError("no")

    h = Harness(Fails(), key=("k", "id"))
    h.push_left({"k": "a", "l": 1}, timestamp=1)
    with pytest.raises(ValueError, match="no") as caught:
        h.push_right({"id": "a", "r": 1}, timestamp=1)
    assert caught.value.__notes__ == ["in operator 'Fails', right record 0, key 'a'"]
    assert h.state("count", "a") == 1
    with pytest.raises(mt.ClosedError):
        h.push_left({"k": "a", "l": 1}, timestamp=1)
