"""The counter and the inactivity timer in the engine and on Apache Flink (a mini-cluster on this machine), as ratios.

Each is run for 1 record, which is the start-up, and for all of them; the rate is that of the records beyond the first.
"""

from __future__ import annotations

import argparse
import time

import martlet as mt


class Counter(mt.ProcessFunction):
    count = mt.ValueState("count", int)

    def on_event(self, key, batch, row, ctx):
        n = (self.count.get() or 0) + 1
        self.count.set(n)
        ctx.emit(user_id=key, n=n)


class Inactivity(mt.ProcessFunction):
    """A record moves its key's timer; it fires when no other has come for a while."""

    count = mt.ValueState("count", int)

    def on_event(self, key, batch, row, ctx):
        self.count.set((self.count.get() or 0) + 1)
        ctx.register_event_time_timer(ctx.timestamp + 500, name="idle")

    def on_timer(self, key, fire_time_ms, ctx):
        ctx.emit(user_id=key, n=self.count.get())
        self.count.clear()


def seconds(function: mt.ProcessFunction, count: int, config: mt.Config) -> float:
    """From the call to the last result."""
    rows = [{"user_id": f"user {i * 7919 % 1000}", "ts": i} for i in range(count)]
    stream = mt.stream(rows, timestamp="ts", watermark=0)
    output = {"user_id": str, "n": int}
    start = time.perf_counter()
    mt.apply_process_function(stream, "user_id", function, output=output, config=config).run()
    return time.perf_counter() - start


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--records", type=int, default=20_000)
    records = arguments.parse_args().records
    configs = {
        "engine": mt.Config(progress=False),
        "Flink, 1 instance": mt.Config(profile="distributed-durable", parallelism=1),
        "Flink, 2 instances": mt.Config(profile="distributed-durable", parallelism=2),
    }
    seconds(Counter(), 1, configs["Flink, 1 instance"])  # starts the JVM, once
    print(f"{'':12} {'':20} {'start-up s':>10} {'records/s':>12} {'of the engine':>14}")
    for name, make in (("counter", Counter), ("inactivity", Inactivity)):
        engine = 0.0
        for where, config in configs.items():
            count = records * 50 if where == "engine" else records
            start = seconds(make(), 1, config)
            rate = (count - 1) / max(seconds(make(), count, config) - start, 1e-9)
            engine = engine or rate
            print(f"{name:12} {where:20} {start:10.2f} {rate:12,.0f} {f'1/{engine / rate:,.0f}':>14}", flush=True)


if __name__ == "__main__":
    main()
