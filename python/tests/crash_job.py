"""The job of the crash tests: every kind of state, timer, function and output, with the same result in every life.

Two streams are connected, what comes out goes to a second function by another key, and that to a third with rules that
are broadcast. Processing time is part of the input: its clock stands still until the source of the orders moves it. So
whatever kills it, however often: what readers of its sinks see, and the state of its last checkpoint, are those of a
run without any of that.

`crash_lives.py` runs it in processes that die. This module is all that worker processes import.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import martlet as mt

ORDERS = {"user": int, "id": int, "amount": int, "note": str, "at": int}
ORDERS_PER_BATCH = 41
# How far an order moves the clock.
CLOCK_MS = 5
# The user with so many orders that his states have rows of their own in a store.
BUSY = 3

MATCHED = {"user": int, "shop": str, "what": str, "amount": int}
ODD = {"user": int, "what": str, "held": int}
ODD_SHOP = "odd"
OUTPUT = {"user": int, "shop": str, "what": str, "amount": int, "rule": int, "n": int}


class Matching(mt.CoProcessFunction):
    """Orders wait for their payment, with a timer each; lists and maps grow beyond what one row of a store has."""

    waiting = mt.MapState("waiting", int, int)
    notes = mt.ListState("notes", str)
    paid = mt.ValueState("paid", int)
    last = mt.ValueState("last")
    fresh = mt.ListState("fresh", int, ttl=mt.TTL(400, time="event"))

    def __init__(self, fails_at: int | None = None) -> None:
        self.fails_at = fails_at

    def on_left(self, key, batch, row, ctx):
        number, amount = batch["id"], batch["amount"]
        self.waiting.put(number, amount)
        self.notes.add(batch["note"])
        self.fresh.add(number)
        self.last.set({"id": number, "at": ctx.timestamp})
        ctx.register_event_time_timer(ctx.timestamp + 30 + amount % 500)
        if amount % 5 == 0:
            ctx.register_event_time_timer(ctx.timestamp + 90, name=f"reminder {amount % 2}")
        ctx.emit(user=key, shop=f"shop {number % 6}", what="order", amount=amount)

    def on_right(self, key, batch, row, ctx):
        number = batch["id"]
        amount = self.waiting.get(number)
        if amount is None:
            ctx.emit(user=key, shop=ODD_SHOP, what=f"odd {number}", amount=self.waiting.len())
            return
        self.waiting.remove(number)
        self.paid.set((self.paid.get() or 0) + amount)
        if number == self.fails_at:
            raise ArithmeticError(f"order {number}")
        if amount % 7 == 0:
            ctx.delete_timer("reminder 0")
        what = f"paid {self.last.get()['id'] - number} {len(self.fresh.get())}"
        ctx.emit(user=key, shop=f"shop {number % 6}", what=what, amount=self.paid.get())

    def on_timer(self, key, fire_time_ms, ctx):
        notes = self.notes.len()
        waiting = self.waiting.len()
        ctx.emit(user=key, shop=f"shop {fire_time_ms % 6}", what=f"timer {ctx.timer_name} {waiting}", amount=notes)
        if fire_time_ms % 61 == 0 and key != BUSY:
            self.notes.clear()
            self.waiting.clear()


class Shops(mt.ProcessFunction):
    total = mt.ReducingState("total", "sum", int)
    words = mt.AggregatingState("words", lambda: "", lambda text, word: (text + word)[-20:], lambda text: text)
    brief = mt.ValueState("brief", int, ttl=mt.TTL(700, time="processing"))
    seen = mt.MapState("seen", str, int)

    def on_event(self, key, batch, row, ctx):
        amount, what = batch["amount"], batch["what"]
        self.total.add(amount)
        self.words.add(what[:2])
        self.seen.put(what, (self.seen.get(what) or 0) + 1)
        brief = self.brief.get()
        self.brief.set(amount)
        if amount % 4 == 0:
            ctx.register_processing_time_timer(ctx.processing_time + amount % 300 + 1)
        if amount % 9 == 0:
            # Far beyond the end of the input: it is pending in the last checkpoint.
            ctx.register_processing_time_timer(1_000_000_000 + amount % 11)
        ctx.emit(user=batch["user"], shop=key, what=f"{what} {brief} {self.words.get()}", amount=self.total.get())

    def on_timer(self, key, fire_time_ms, ctx):
        ctx.emit(user=fire_time_ms % 20, shop=key, what=f"clock {self.seen.len()}", amount=self.total.get() or 0)
        if fire_time_ms % 53 == 0:
            self.total.clear()
            self.seen.clear()


class Rules(mt.BroadcastProcessFunction):
    rules = mt.BroadcastState("rules", str, int)
    n = mt.ValueState("n", int)

    def on_broadcast(self, key, batch, row, ctx):
        rule = batch["rule"]
        self.rules.put(f"shop {rule % 6}", rule)
        if rule % 5 == 0:
            self.rules.remove(f"shop {rule % 3}")
        if rule % 8 == 0:

            def visit(key: int, n: mt.ValueState) -> None:
                ctx.emit(user=key, shop="all", what="visit", amount=0, rule=rule, n=n.get())
                n.set(n.get() + 1000)

            ctx.apply_to_keyed_state(self.n, visit)

    def on_event(self, key, batch, row, ctx):
        self.n.set((self.n.get() or 0) + 1)
        if self.n.get() % 16 == 0:
            ctx.register_event_time_timer((ctx.timestamp or 0) + 200)
        if batch["shop"] == ODD_SHOP:
            ctx.emit_to("odd", user=key, what=batch["what"], held=batch["amount"])
        ctx.emit(batch, rule=self.rules.get(batch["shop"], -1), n=self.n.get())

    def on_timer(self, key, fire_time_ms, ctx):
        ctx.emit(user=key, shop="", what=f"late {fire_time_ms}", amount=0, rule=self.rules.len(), n=self.n.get())


# ---- input -----------------------------------------------------------------------------------------------


def orders(n: int) -> list[dict[str, Any]]:
    rng = random.Random(11)
    return [
        {
            "user": BUSY if rng.random() < 0.55 else rng.randrange(20),
            "id": i,
            "amount": rng.randrange(1, 1000),
            "note": f"note {i} " + "x" * rng.randrange(1200),
            "at": i * 7 - rng.randrange(60),
        }
        for i in range(n)
    ]


def payments(n: int) -> list[dict[str, Any]]:
    """Most belong to an order, and come after it."""
    rng = random.Random(12)
    chosen = [order for order in orders(n) if rng.random() < 0.6]
    found = [
        {"user": order["user"], "id": order["id"] + (7 if rng.random() < 0.1 else 0), "at": order["at"] + 100}
        for order in chosen
    ]
    return sorted(found, key=lambda payment: payment["at"])


def rules(n: int) -> list[dict[str, Any]]:
    return [{"rule": i, "at": i * 150} for i in range(n * 7 // 150)]


def last_time(n: int) -> int:
    """Processing time at the end."""
    return (n - 1) // ORDERS_PER_BATCH * ORDERS_PER_BATCH * CLOCK_MS


class Orders:
    """The orders in batches, some without rows. Each moves the clock before it is given, in every life to the same
    time. `looked_at` is called with the number of each batch."""

    name = "orders"
    schema = mt.Schema(ORDERS)

    def __init__(self, n: int, clock: mt.ManualClock, looked_at: Callable[[int], None] = lambda number: None) -> None:
        self._n = n
        self._clock = clock
        self._looked_at = looked_at

    def read(self, offset: Any) -> Iterator[Any]:
        import pyarrow as pa

        rows = orders(self._n)
        number = offset or 0
        while number * ORDERS_PER_BATCH < self._n:
            start = number * ORDERS_PER_BATCH
            self._clock.advance_to(max(self._clock.now, start * CLOCK_MS))
            self._looked_at(number)
            batch = pa.RecordBatch.from_pylist(rows[start : start + ORDERS_PER_BATCH])
            if number % 7 == 3:
                yield batch[:0], number
            number += 1
            yield batch, number


def write_payments(path: Path, n: int) -> None:
    """As Parquet files."""
    import pyarrow as pa
    import pyarrow.parquet

    path.mkdir(parents=True, exist_ok=True)
    rows = payments(n)
    for number in range(3):
        part = rows[number * len(rows) // 3 : (number + 1) * len(rows) // 3]
        pa.parquet.write_table(
            pa.Table.from_pylist(part, _integers("user", "id", "at")), path / f"{number}.parquet", row_group_size=50
        )


def _integers(*names: str) -> Any:
    import pyarrow as pa

    return pa.schema([(name, pa.int64()) for name in names])


def build(
    n: int,
    payments_at: Path,
    looked_at: Callable[[int], None] = lambda number: None,
    fails_at: int | None = None,
) -> tuple[mt.Stream, mt.ManualClock]:
    """The job's output, whose side output is "odd", and its clock. `fails_at`: the order whose payment is too much for
    the function."""
    import pyarrow as pa

    clock = mt.ManualClock(0)
    left = mt.stream(Orders(n, clock, looked_at), timestamp="at", watermark="60ms")
    right = mt.stream(mt.ParquetSource(payments_at, batch_rows=37), timestamp="at", watermark=0, name="payments")
    schema = _integers("rule", "at")
    table = pa.Table.from_batches(pa.Table.from_pylist(rules(n), schema).to_batches(max_chunksize=5), schema)
    matched = mt.connect_streams(left, right, Matching(fails_at), key="user", output=MATCHED, name="matching")
    shops = mt.apply_process_function(matched, "shop", Shops(), output=MATCHED, name="shops")
    ruled = mt.stream(table, timestamp="at", name="rules").broadcast(mt.BroadcastState("rules", str, int))
    out = mt.broadcast_stream(shops, ruled, Rules(), key="user", output=OUTPUT, side_outputs={"odd": ODD}, name="ruled")
    return out, clock
