"""Functions whose state expires by event time, for the differential tests: all kinds, updates and visibilities."""

from __future__ import annotations

from typing import Any

from flink_programs import emit

import martlet as mt

TTL_MS = 80


def ttl(update: str, visibility: str = "never_expired") -> mt.TTL:
    return mt.TTL(TTL_MS, time="event", update=update, visibility=visibility)  # type: ignore[arg-type]


WRITE, READ = ttl("write"), ttl("read_write")
SHOWN, READ_SHOWN = ttl("write", "until_cleaned"), ttl("read_write", "until_cleaned")


class Expiring(mt.ProcessFunction):
    """Every kind of state, counting from its last write, and from its last write or read."""

    value = mt.ValueState("value", int, ttl=WRITE)
    read_value = mt.ValueState("read_value", ttl=READ)
    items = mt.ListState("items", ttl=WRITE)
    read_items = mt.ListState("read_items", int, ttl=READ)
    table = mt.MapState("table", str, int, ttl=WRITE)
    read_table = mt.MapState("read_table", ttl=READ)
    most = mt.ReducingState("most", "max", int, ttl=WRITE)
    read_sum = mt.ReducingState("read_sum", lambda a, b: a + b, int, ttl=READ)
    text = mt.AggregatingState("text", lambda: "", lambda a, v: a + str(v)[-1], lambda a: a[-6:], ttl=WRITE)
    read_text = mt.AggregatingState("read_text", lambda: "", lambda a, v: a + str(v)[-1], lambda a: a, ttl=READ)

    def __init__(self, has_timers: bool) -> None:
        self.has_timers = has_timers

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        n = batch["n"]
        match batch["op"]:
            case "value":
                self.value.set(n)
                self.read_value.set([n])
            case "add":
                self.items.add({"n": n})
                self.read_items.extend([n, n + 1])
                if n % 2:
                    self.items.add("again")
                    self.read(n, ctx)
            case "put":
                self.table.put(f"k{n % 4}", n)
                self.read_table.put((n % 3, "a"), n)
                if n % 5 == 0:
                    self.table.clear()
                    self.table.put("only", n)
            case "remove":
                removed = [self.table.remove(f"k{n % 4}"), self.read_table.remove((n % 3, "a"))]
                emit(ctx, "remove", [removed, self.table.get(f"k{(n + 1) % 4}")])
            case "fold":
                for state in (self.most, self.read_sum, self.text, self.read_text):
                    state.add(n)
            case "replace":
                self.items.set([n, n + 1])
                self.read_items.set(self.read_items.get()[-3:])
            case "clear":
                [self.value, self.items, self.table, self.most, self.read_table, self.read_items][n % 6].clear()
            case "timer" | "named" if self.has_timers:
                ctx.register_event_time_timer(ctx.timestamp + 10 * (n - 3), name="one" if n % 2 else None)
            case "delete" if self.has_timers:
                ctx.delete_timer("one")
            case "timers":
                self.ask(n, ctx)
            case _:
                self.read(n, ctx)

    def read(self, n: int, ctx: mt.Context) -> None:
        """Only some of it: what is read may count from now."""
        if n % 3 == 0:
            emit(ctx, "read", [self.value.get(), self.read_value.get(), self.most.get(), self.read_sum.get()])
        elif n % 3 == 1:
            emit(ctx, "read", [self.items.get(), self.read_items.get(), self.text.get(), self.read_text.get()])
        elif n % 2:
            entry = [self.table.get("k1"), self.read_table.get((1, "a")), self.read_table.get((2, "a"))]
            emit(ctx, "read", [entry, self.read_table.range((1, "a"), (1, "b"))])
        else:
            emit(ctx, "read", [self.table.items(), self.read_table.items()])

    def ask(self, n: int, ctx: mt.Context) -> None:
        """Without reading."""
        emit(ctx, "values", [state.exists() for state in (self.value, self.read_value, self.read_sum, self.read_text)])
        emit(ctx, "more", [len(self.items), len(self.read_items), len(self.table), (n % 3, "a") in self.read_table])

    def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
        emit(ctx, f"timer {ctx.timer_name}", fire_time_ms)
        self.ask(fire_time_ms // 10, ctx)
        self.read(fire_time_ms // 10, ctx)
        self.value.set(fire_time_ms)
        self.items.add(fire_time_ms)
        if fire_time_ms % 40 == 0:
            ctx.register_event_time_timer(fire_time_ms - 20 if fire_time_ms % 80 else fire_time_ms + 30, name="two")

    def on_end(self, key: Any, ctx: mt.Context) -> None:
        emit(ctx, "end", key)


class Shown(mt.ProcessFunction):
    """What may be seen until it is cleaned away. When that is, is not said; so what has not expired is compared."""

    value = mt.ValueState("value", int, ttl=SHOWN)
    read_value = mt.ValueState("read_value", str, ttl=READ_SHOWN)
    items = mt.ListState("items", ttl=SHOWN)
    table = mt.MapState("table", str, ttl=SHOWN)
    since = mt.MapState("since", str, int)

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        n = batch["n"]
        now = ctx.watermark if ctx.timestamp is None else ctx.timestamp
        match batch["op"]:
            case "value" | "fold":
                self.value.set(n)
                self.read_value.set(str(n))
                self.since.put("value", now)
                self.since.put("read_value", now)
            case "add" | "timer":
                self.items.add([now, n])
            case "put" | "named":
                self.table.put(f"k{n % 4}", [now, n])
            case _:
                found: list[Any] = [[one for one in self.items.get() if one[0] + TTL_MS > ctx.watermark]]
                found.append([one for one in self.table.items() if one[1][0] + TTL_MS > ctx.watermark])
                for state in (self.value, self.read_value):
                    since, shown = self.since.get(state.name), state.get()
                    is_fresh = since is not None and since + TTL_MS > ctx.watermark
                    found.append(shown if is_fresh else "expired")
                    if is_fresh and state is self.read_value:
                        self.since.put(state.name, max(since, now))
                emit(ctx, "shown", found)

    def on_end(self, key: Any, ctx: mt.Context) -> None:
        emit(ctx, "end", [self.value.exists(), self.items.get(), self.table.items(), self.since.items()])
