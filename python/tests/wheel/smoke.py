"""The main job in miniature, on an installed wheel, with no package but martlet: state, timers, inference, errors.

Run by `make test-wheel` with the Python of an environment that has nothing but the wheel.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import martlet as mt
from martlet import ProcessFunction, ValueState, apply_process_function

MINUTE = 60_000

ROWS = [
    {"user_id": "ann", "ts": 0, "amount": 1.5},
    {"user_id": "bob", "ts": 1_000, "amount": 2.0},
    {"user_id": "ann", "ts": 2_000, "amount": 4.0},
    {"user_id": "cid", "ts": 10 * MINUTE, "amount": 3.0},
    {"user_id": "ann", "ts": 10 * MINUTE + 1_000, "amount": 8.0},
]


class Counter(ProcessFunction):
    """Counts per user; forgets a user who was not seen for a minute, and says so."""

    count = ValueState("count", int)
    notes = ValueState("notes")  # no type: any JSON-like value
    deadline = ValueState("deadline", int)

    def on_event(self, key, batch, row, ctx):
        n = (self.count.get() or 0) + 1
        self.count.set(n)
        self.notes.set([*(self.notes.get() or []), {"amount": batch["amount"]}])
        ctx.emit(user_id=key, n=n, total=sum(note["amount"] for note in self.notes.get()))
        if (deadline := self.deadline.get()) is not None:
            ctx.delete_event_time_timer(deadline)
        self.deadline.set(ctx.timestamp + MINUTE)
        ctx.register_event_time_timer(ctx.timestamp + MINUTE)

    def on_timer(self, key, fire_time_ms, ctx):
        ctx.emit(user_id=key, n=-(self.count.get() or 0), total=0.0)
        for state in (self.count, self.notes, self.deadline):
            state.clear()


EXPECTED = [
    {"user_id": "ann", "n": 1, "total": 1.5},
    {"user_id": "bob", "n": 1, "total": 2.0},
    {"user_id": "ann", "n": 2, "total": 5.5},
    {"user_id": "cid", "n": 1, "total": 3.0},
    # The watermark moves after the record that moves it: what fell due fires now, before the next record.
    {"user_id": "bob", "n": -1, "total": 0.0},
    {"user_id": "ann", "n": -2, "total": 0.0},
    {"user_id": "ann", "n": 1, "total": 8.0},
    # At the end of the input all timers fire.
    {"user_id": "cid", "n": -1, "total": 0.0},
    {"user_id": "ann", "n": -1, "total": 0.0},
]


def run(rows):
    return apply_process_function(mt.stream(rows, timestamp="ts"), "user_id", Counter()).to_pylist()


def main() -> None:
    for package in ("pyarrow", "polars", "numpy"):
        assert importlib.util.find_spec(package) is None, (
            f"{package} is installed: this environment should have martlet only"
        )

    rows = run(ROWS)
    assert rows == EXPECTED, rows

    def fail(key, batch, row, ctx):
        raise ZeroDivisionError("mine")

    try:
        apply_process_function(mt.stream(ROWS, timestamp="ts"), "user_id", fail).to_pylist()
    except ZeroDivisionError as error:
        assert str(error) == "mine"
        assert error.__notes__, "the exception has no note naming the operator, record and key"
    else:
        raise AssertionError("an exception raised in a callback was lost")

    try:
        apply_process_function(mt.stream(ROWS, timestamp="ts"), "amount", Counter()).to_pylist()
    except mt.MartletError as error:
        assert "amount" in str(error), error
    else:
        raise AssertionError("a float key was accepted")

    rocksdb = mt.__features__["rocksdb"]
    assert rocksdb.count(".") == 2, rocksdb
    loaded = [line for line in Path("/proc/self/maps").read_text().splitlines() if "librocksdb" in line]
    assert loaded and all("martlet.libs" in line for line in loaded), f"RocksDB is not that of the wheel: {loaded}"

    print(f"martlet {mt.__version__} with RocksDB {rocksdb} on Python {sys.version.split()[0]}: smoke test passed")


if __name__ == "__main__":
    main()
