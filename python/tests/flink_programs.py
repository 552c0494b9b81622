"""Functions and random inputs for the differential tests: what a record asks for is what the function does."""

from __future__ import annotations

import random
from typing import Any

import martlet as mt

OUTPUT = {"what": str, "key": str, "value": str, "at": int}


def emit(ctx: mt.Context, what: str, value: Any) -> None:
    ctx.emit(what=what, key=str(ctx.key), value=repr(value), at=ctx.timestamp)


class States(mt.ProcessFunction):
    """Every kind of state and both kinds of timers."""

    value = mt.ValueState("value", int)
    dynamic = mt.ValueState("dynamic", default={"n": 0})
    items = mt.ListState("items")
    table = mt.MapState("table", str, int)
    anything = mt.MapState("anything")
    total = mt.ReducingState("total", "sum", int)
    counted = mt.ReducingState("counted", "count")
    text = mt.AggregatingState("text", lambda: "", lambda a, v: a + str(v)[-1], lambda a: a[-6:])
    lasting = mt.ValueState("lasting", str, ttl="10m")

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        self.do(batch["op"], batch["n"], ctx)

    def do(self, op: str, n: int, ctx: mt.Context) -> None:
        match op:
            case "value":
                self.value.set((self.value.get() or 0) + n)
                self.dynamic.set({"n": self.dynamic.get()["n"] + 1, "last": [n, str(n)]})
            case "add":
                self.items.add([n, "x"])
                if n % 3 == 0:
                    self.items.extend([n, "y"])
            case "put":
                self.table.put(f"k{n % 4}", n)
                self.anything.put((n % 3, "a") if n % 2 else n, {"n": n})
            case "remove":
                emit(ctx, op, [self.table.remove(f"k{n % 4}"), self.anything.remove(n), n in self.anything])
            case "fold":
                self.total.add(n)
                self.counted.add(n)
                self.text.add(n)
            case "read":
                self.read(ctx)
            case "clear":
                [self.value, self.items, self.table, self.total, self.text, self.anything][n % 6].clear()
            case "replace":
                self.items.set([n, n + 1])
                self.lasting.set(str(n))
            case "timer":
                ctx.register_event_time_timer((ctx.timestamp or 0) + n)
            case "named":
                ctx.register_event_time_timer((ctx.timestamp or 0) + n, name=f"name{n % 2}")
            case "later":
                ctx.register_processing_time_timer(2**52 + n)
            case "delete":
                ctx.delete_event_time_timer((ctx.timestamp or 0) + n)
                ctx.delete_timer(f"name{n % 2}")
            case "timers":
                emit(ctx, op, [tuple(timer) for timer in ctx.timers()] + [ctx.timer("name0")])

    def read(self, ctx: mt.Context) -> None:
        emit(ctx, "states", [self.value.get(), self.dynamic.get(), self.items.get(), self.lasting.get()])
        emit(ctx, "maps", [self.table.items(), self.anything.items(), len(self.table), self.table.range("k1", "k3")])
        emit(ctx, "folds", [self.total.get(), self.counted.get(), self.text.get(), self.value.exists()])

    def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
        self.items.add(fire_time_ms)
        emit(ctx, f"{ctx.timer_domain} timer {ctx.timer_name}", fire_time_ms)
        if fire_time_ms % 5 == 0 and ctx.timer_domain == "event":
            ctx.register_event_time_timer(fire_time_ms + 7, name="again")
        if fire_time_ms % 2:
            self.read(ctx)

    def on_end(self, key: Any, ctx: mt.Context) -> None:
        self.read(ctx)


class TwoSides(mt.CoProcessFunction):
    """State and timers that both sides share."""

    states = mt.ListState("states", int)
    latest = mt.MapState("latest", str)

    def on_left(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        self.on_either(batch, ctx, "left")

    def on_right(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        self.on_either(batch, ctx, "right")

    def on_either(self, batch: mt.Record, ctx: mt.Context, side: str) -> None:
        n = batch["n"]
        self.states.add(n)
        self.latest.put(side, [n, ctx.timestamp])
        if batch["op"] in ("timer", "named", "value"):
            ctx.register_event_time_timer((ctx.timestamp or 0) + n, name="one" if n % 2 else None)
        elif batch["op"] == "clear":
            self.states.clear()
        emit(ctx, f"{side} {ctx.side} {ctx.is_late}", [self.states.get(), self.latest.items()])

    def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
        emit(ctx, f"timer {ctx.timer_name}", [fire_time_ms, self.states.get()])
        self.states.set([fire_time_ms])


RULES = mt.BroadcastState("rules", int)


class Rules(mt.BroadcastProcessFunction):
    """Keeps its records until the end, when all rules are known, so that where they came among them does not matter."""

    rules = RULES
    waiting = mt.ListState("waiting", int)

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        self.waiting.add(batch["n"])
        ctx.register_event_time_timer(10_000 + batch["n"])

    def on_broadcast(self, key: None, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        self.rules.put(batch["n"], [batch["op"], batch["n"]])

    def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
        emit(ctx, "rules", [fire_time_ms, sorted(self.waiting.get()), self.rules.items()])


OPS = [
    "value",
    "add",
    "put",
    "remove",
    "fold",
    "read",
    "clear",
    "replace",
    "timer",
    "named",
    "later",
    "delete",
    "timers",
]


def records(seed: int, count: int, disorder: int, keys: int = 5) -> list[dict[str, Any]]:
    """Records of a few keys, more or less in order."""
    chance = random.Random(seed)
    return [
        {
            "k": chance.choice([None, *range(keys)]) if chance.random() < 0.05 else chance.randrange(keys),
            "t": None if chance.random() < 0.05 else max(0, at * 3 + chance.randint(-disorder, disorder)),
            "op": chance.choice(OPS),
            "n": chance.randint(0, 40),
        }
        for at in range(count)
    ]


def steady(seed: int, count: int, late: int, keys: int = 5) -> list[dict[str, Any]]:
    """Records ten milliseconds apart, and up to `late` steps late ones between them: the watermark passes every
    step, so that a timer sees the same one wherever it fires."""
    chance = random.Random(seed)
    step, found = 0, []
    for _ in range(count):
        is_late = chance.random() < 0.4
        step += not is_late
        at = max(0, step - chance.randint(1, late)) if is_late else step
        found.append({"k": chance.randrange(keys), "t": 10 * at, "op": chance.choice(OPS), "n": chance.randint(0, 40)})
    return found
