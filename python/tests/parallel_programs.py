"""Functions that worker processes import: in a module of their own, which imports nothing that takes long."""

from __future__ import annotations

import os

import martlet as mt


class Passing(mt.ProcessFunction):
    def on_event(self, key, batch, row, ctx):
        ctx.emit(batch, instance=ctx.instance, parallelism=ctx.parallelism, pid=os.getpid())


class NotInWorkers:
    """A function that can be copied where it was made, and nowhere else."""

    def __init__(self, how: str, home: int | None = None) -> None:
        self.how = how
        self.home = home or os.getpid()
        if os.getpid() != self.home:
            if how == "exit":
                os._exit(3)
            raise ValueError("this is not for workers")

    def __reduce__(self):
        return NotInWorkers, (self.how, self.home)

    def on_event(self, key, batch, row, ctx):
        pass


class Program(mt.ProcessFunction):
    """Does with each record what its columns say."""

    count = mt.ValueState("count", int)
    seen = mt.ListState("seen", int)
    table = mt.MapState("table", str, int)
    total = mt.ReducingState("total", "sum", int)
    greatest = mt.ReducingState("greatest", lambda a, b: max(a, b))
    text = mt.AggregatingState("text", lambda: "", lambda a, v: a + str(v)[-1], lambda a: a[-5:])
    short = mt.ValueState("short", int, ttl=mt.TTL(15, time="event"))

    def open(self, ctx):
        self.calls = 0

    def on_event(self, key, batch, row, ctx):
        v, do = batch["v"], batch["do"]
        self.count.set((self.count.get() or 0) + 1)
        if do & 1:
            self.seen.add(v)
            self.table.put(f"k{v % 3}", v)
        if do & 2:
            ctx.register_event_time_timer((ctx.timestamp or 0) + v % 20 - 3)
        if do & 4:
            self.total.add(v)
            self.greatest.add(v)
            self.text.add(v)
        if do & 8:
            ctx.emit(batch, n=self.count.get(), late=ctx.is_late, old=self.short.get())
        if do & 16:
            ctx.emit_to("side", batch)
        if do & 32:
            ctx.emit_to("other", key=str(key), total=self.total.get(), text=self.text.get(), seen=self.seen.get())
        if do & 64:
            self.short.set(v)
        if do & 128 and v % 11 == 0:
            raise ValueError(f"no {v}")

    def on_timer(self, key, fire_time_ms, ctx):
        ctx.emit(k=key, v=fire_time_ms, t=fire_time_ms, do=0, n=self.count.get(), late=False, old=ctx.watermark)
        if fire_time_ms % 4 == 0:
            ctx.register_event_time_timer(fire_time_ms + 3)
            ctx.emit_to("other", key=str(key), total=None, text="timer", seen=[v for _, v in self.table.items()])

    def on_end(self, key, ctx):
        ctx.emit_to("other", key=str(key), total=self.greatest.get(), text="end", seen=self.seen.get())


SEEN = mt.ValueState("seen", int)


def counting(key, batch, row, ctx):
    SEEN.set((SEEN.get() or 0) + 1)
    ctx.emit(k=key, n=SEEN.get())
