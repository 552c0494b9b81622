"""Snapshots of functions of two inputs: what comes back, the bytes of version 2, what does not fit, what is broken.

That a snapshot between any two steps changes nothing is tested in test_conformance_two_inputs.py.
"""

from __future__ import annotations

import contextlib
import random
from pathlib import Path
from typing import Any

import pytest

import martlet as mt
from martlet.testing import Harness

# docs/design/snapshot.md says what they mean. They are never rewritten: a change of format is a new version.
GOLDEN = Path(__file__).resolve().parents[2] / "Tests" / "Golden" / "snapshot-2-rules.hex"


class Rules(mt.BroadcastProcessFunction):
    """A state of the key, a timer, and two broadcast states."""

    seen = mt.ListState("seen", str)
    limits = mt.BroadcastState("limits", str, int)
    names = mt.BroadcastState("names", int)

    def on_event(self, key: str, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        self.seen.add(f"{batch['v']}:{self.limits.get(key, 0)}")
        ctx.register_event_time_timer(50, name="soon")

    def on_broadcast(self, key: None, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        self.limits.put(batch["name"], batch["limit"])
        self.names.put(batch["limit"], [batch["name"]])

    def on_timer(self, key: str, fire_time_ms: int, ctx: mt.Context) -> None:
        ctx.emit(out=f"{key} {self.seen.get()} {self.limits.items()} {self.names.items()}")


class Both(mt.CoProcessFunction):
    total = mt.ValueState("total", int, default=0)

    def on_event(self, key: str, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        self.total.set(self.total.get() + 1)
        ctx.emit(out=f"{ctx.side} {key} {self.total.get()}")


def rules() -> Harness:
    h = Harness(Rules(), key="k", output={"out": str})
    h.advance_processing_time(5)
    h.push_broadcast({"name": "a", "limit": 7}, timestamp=10)
    h.push({"k": "a", "v": 1}, timestamp=11)
    h.push({"k": "b", "v": 2}, timestamp=12)
    h.push_broadcast({"name": "c", "limit": 8}, timestamp=13)
    h.advance_watermark(main=20)
    h.advance_watermark(broadcast=30)
    return h


EXPECTED = [
    {"out": "a ['1:7'] [('a', 7), ('c', 8)] [(7, ['a']), (8, ['c'])]"},
    {"out": "b ['2:0'] [('a', 7), ('c', 8)] [(7, ['a']), (8, ['c'])]"},
]


def golden() -> bytes:
    return bytes.fromhex(GOLDEN.read_text())


def test_the_bytes_are_those_of_the_golden_file() -> None:
    assert rules().snapshot() == golden()


def test_the_golden_file_restores() -> None:
    h = Harness.restore(golden(), Rules(), key="k", output={"out": str})
    assert (h.watermark, h.processing_time) == (20, 5)
    assert h.state("seen", "a") == ["1:7"]
    assert h.snapshot() == golden()
    h.advance_watermark(main=60)
    assert h.watermark == 30
    h.advance_watermark(broadcast=60)
    assert h.output() == EXPECTED
    h.push_broadcast({"name": "d", "limit": 9})
    h.push({"k": "d", "v": 3})
    assert h.state("seen", "d") == ["3:9"]


@pytest.mark.parametrize("side", ["left", "right"])
def test_one_side_only(side: str) -> None:
    h = Harness(Both(), key=("l", "r"), output={"out": str})
    push = {"left": lambda: h.push_left({"l": "x"}), "right": lambda: h.push_right({"r": "x"})}
    push[side]()
    h.advance_watermark(**{side: 5})
    h = Harness.restore(h.snapshot(), Both(), key=("l", "r"), output={"out": str})
    h.push_left({"l": "x"})
    h.push_right({"r": "x"})
    assert h.output() == [{"out": "left x 2"}, {"out": "right x 3"}]
    h.advance_watermark(**{"right" if side == "left" else "left": 9})
    assert h.watermark == 5


def test_before_any_record() -> None:
    h = Harness(Both(), key="k", output={"out": str})
    h.advance_watermark(left=5)
    h = Harness.restore(h.snapshot(), Both(), key="k", output={"out": str})
    h.advance_watermark(right=3)
    assert h.watermark == 3
    h.push_right({"k": "x"})
    assert h.output() == [{"out": "right x 1"}]


@pytest.mark.parametrize("ended", [False, True], ids=["idle", "ended"])
def test_an_input_that_is_idle_or_has_ended_stays_so(ended: bool) -> None:
    h = Harness(Both(), key="k", output={"out": str})
    h.push_left({"k": "x"})
    if ended:
        h.end("right")
    else:
        h.set_idle("right")
    h = Harness.restore(h.snapshot(), Both(), key="k", output={"out": str})
    h.advance_watermark(left=7)
    assert h.watermark == 7
    if ended:
        with pytest.raises(mt.ClosedError, match="right input has ended"):
            h.push_right({"k": "x"})
    else:
        h.push_right({"k": "x"})
        assert h.output() == [{"out": "right x 2"}]


def test_a_broadcast_state_that_was_dropped_is_kept() -> None:
    class Fewer(Rules):
        names = None  # type: ignore[assignment]

        def on_broadcast(self, key: None, batch: mt.Record, row: int, ctx: mt.Context) -> None:
            self.limits.put(batch["name"], batch["limit"])

    fewer = Harness.restore(golden(), Fewer(), key="k", output={"out": str})
    again = Harness.restore(fewer.snapshot(), Rules(), key="k", output={"out": str})
    again.advance_watermark(60)
    assert again.output() == EXPECTED
    forgot = Harness.restore(golden(), Fewer(), key="k", output={"out": str}, forget=["names"])
    with_names = Harness.restore(forgot.snapshot(), Rules(), key="k", output={"out": str})
    with_names.advance_watermark(60)
    assert with_names.output() == [{"out": row["out"].replace("[(7, ['a']), (8, ['c'])]", "[]")} for row in EXPECTED]


def test_what_does_not_fit() -> None:
    def one(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None: ...

    class Other(Rules):
        limits = mt.BroadcastState("limits", str, str)

    with pytest.raises(mt.SnapshotMismatchError, match=r"broadcast side.*one input"):
        Harness.restore(golden(), one, mt.ListState("seen", str), key="k", forget=["limits", "names"])
    with Harness(one, key="k") as h, pytest.raises(mt.SnapshotMismatchError, match=r"one input.*two connected inputs"):
        Harness.restore(h.snapshot(), Both(), key="k")
    with pytest.raises(mt.SnapshotMismatchError, match="'limits'"):
        Harness.restore(golden(), Other(), key="k")
    with pytest.raises(mt.SnapshotMismatchError, match="key"):
        Harness.restore(golden(), Rules(), key="k", schema=({"k": int, "v": int}, {"name": str, "limit": int}))


def test_torn_and_corrupt_bytes_are_found() -> None:
    data = golden()
    broken = [data[:length] for length in range(0, len(data), 3)] + [data + b"\0"]
    broken += [data[:i] + bytes([data[i] ^ 0x20]) + data[i + 1 :] for i in range(len(data))]
    for piece in broken:
        with pytest.raises(mt.SnapshotError):
            Harness.restore(piece, Rules(), key="k")


def test_content_that_makes_no_sense_is_found_whatever_its_checksum() -> None:
    data = golden()
    assert xxh64(data[:-8]) == int.from_bytes(data[-8:], "little")
    draw = random.Random(7)
    for _ in range(3_000):
        broken = bytearray(data[:-8])
        for _ in range(draw.randint(1, 3)):
            broken[draw.randrange(24, len(broken))] = draw.randrange(256)
        whole = bytes(broken) + xxh64(bytes(broken)).to_bytes(8, "little")
        with contextlib.suppress(mt.MartletError):
            Harness.restore(whole, Rules(), key="k")  # it may happen to make sense; it must not trap


def xxh64(data: bytes) -> int:
    """XXH64 of seed 0 (https://github.com/Cyan4973/xxHash, doc/xxhash_spec.md)."""
    p1, p2, p3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
    p4, p5, mask = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5, 2**64 - 1

    def rotated(x: int, r: int) -> int:
        return (x << r | x >> 64 - r) & mask

    def round_(acc: int, lane: int) -> int:
        return rotated(acc + lane * p2 & mask, 31) * p1 & mask

    position, end = 0, len(data)
    if end >= 32:
        acc = [p1 + p2 & mask, p2, 0, -p1 & mask]
        while position + 32 <= end:
            for i in range(4):
                acc[i] = round_(acc[i], int.from_bytes(data[position : position + 8], "little"))
                position += 8
        h = sum(rotated(a, r) for a, r in zip(acc, (1, 7, 12, 18), strict=True)) & mask
        for a in acc:
            h = ((h ^ round_(0, a)) * p1 + p4) & mask
    else:
        h = p5
    h = h + end & mask
    while position + 8 <= end:
        h = rotated(h ^ round_(0, int.from_bytes(data[position : position + 8], "little")), 27) * p1 + p4 & mask
        position += 8
    if position + 4 <= end:
        h = rotated(h ^ int.from_bytes(data[position : position + 4], "little") * p1 & mask, 23) * p2 + p3 & mask
        position += 4
    for byte in data[position:]:
        h = rotated(h ^ byte * p5 & mask, 11) * p1 & mask
    h = (h ^ h >> 33) * p2 & mask
    h = (h ^ h >> 29) * p3 & mask
    return h ^ h >> 32
