"""The example of the README: orders that were not paid within ten minutes."""

import martlet as mt
from martlet import ProcessFunction, ValueState, apply_process_function


class Unpaid(ProcessFunction):
    amount = ValueState("amount", float)

    def on_event(self, key, batch, row, ctx):
        if batch["event"] == "placed":
            self.amount.set(batch["amount"])
            ctx.register_event_time_timer(ctx.timestamp + 10 * 60_000)
        else:
            self.amount.clear()

    def on_timer(self, key, fire_time_ms, ctx):
        if self.amount.exists():
            ctx.emit(order=key, unpaid=self.amount.get(), since_ms=fire_time_ms)
            self.amount.clear()


log = [
    {"ts": 0, "order": "A", "event": "placed", "amount": 20.0},
    {"ts": 60_000, "order": "B", "event": "placed", "amount": 35.5},
    {"ts": 240_000, "order": "A", "event": "paid", "amount": 20.0},
    {"ts": 900_000, "order": "C", "event": "placed", "amount": 9.9},
]
events = mt.stream(log, timestamp="ts", watermark="5s")
out = apply_process_function(events, "order", Unpaid())
print(out.to_polars())

# What the README shows, as rows.
assert out.to_pylist() == [
    {"order": "B", "unpaid": 35.5, "since_ms": 660_000},
    {"order": "C", "unpaid": 9.9, "since_ms": 1_500_000},
]
