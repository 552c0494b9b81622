"""Random programs of state operations, timers, watermarks, clock moves and restarts, against a naive model."""

from __future__ import annotations

import dataclasses
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import martlet as mt
from martlet.testing import Harness

KEYS = (-1, 0, 7)
TTL = 40
MODES: dict[str, Any] = {
    "none": None,
    "processing": mt.TTL(TTL),
    "processing, reads too": mt.TTL(TTL, update="read_write"),
    "event": mt.TTL(TTL, time="event"),
    "event, reads too": mt.TTL(TTL, time="event", update="read_write"),
}
EMPTY: dict[str, Any] = {"value": None, "list": [], "map": {}, "sum": None}


@dataclasses.dataclass
class Model:
    """What the engine should do. Every stored thing is a pair (value, time it counts from)."""

    ttl: Any
    watermark: int = -(2**63)
    clock: int = 0
    stamp_time: int | None = None
    states: dict[tuple[str, int], Any] = dataclasses.field(default_factory=dict)
    timers: dict[tuple[Any, ...], tuple[str, int, int]] = dataclasses.field(default_factory=dict)
    registered: int = 0
    out: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    # ---- state

    def stamp(self) -> int:
        if self.ttl is not None and self.ttl.time == "event":
            return self.watermark if self.stamp_time is None else self.stamp_time
        return self.clock

    def alive(self, pair: tuple[Any, int]) -> bool:
        if self.ttl is None:
            return True
        return pair[1] + TTL > (self.watermark if self.ttl.time == "event" else self.clock)

    def held(self, name: str, key: int) -> Any:
        """The pairs that are alive: a dict of them for every kind, by entry, position or None."""
        pairs = {at: pair for at, pair in self.states.get((name, key), {}).items() if self.alive(pair)}
        self.states[name, key] = pairs
        return pairs

    def look(self, name: str, key: int) -> Any:
        held = self.held(name, key)
        if name == "list":
            return [value for value, _ in held.values()] or None
        if name == "map":
            return {at: held[at][0] for at in sorted(held)} or None
        return held[None][0] if held else None

    def read(self, name: str, key: int, entry: Any = ...) -> Any:
        result = self.look(name, key)
        held = self.held(name, key)
        if entry is not ...:
            result = held.get(entry, (None,))[0]
        if self.ttl is not None and self.ttl.update == "read_write":
            for at in list(held) if entry is ... else [entry] if entry in held else []:
                held[at] = (held[at][0], max(held[at][1], self.stamp()))
        return EMPTY[name] if result is None and entry is ... else result

    def write(self, name: str, key: int, at: Any, value: Any) -> None:
        held = self.held(name, key)
        if name == "list":
            at = max(held, default=0) + 1
        elif name == "sum" and held:
            value += held[None][0]
        held[at] = (value, self.stamp())

    # ---- timers

    def register(self, key: int, domain: str, time: int, name: str | None) -> None:
        place = (key, name) if name else (key, domain, time)
        if self.timers.get(place, (None, None))[:2] != (domain, time):
            self.registered += 1
            self.timers[place] = (domain, time, self.registered)

    def pending(self, key: int) -> list[tuple[str, int, str | None]]:
        mine = [(d, t, n, p[1] if len(p) == 2 else None) for p, (d, t, n) in self.timers.items() if p[0] == key]
        return [(d, t, name) for d, t, _, name in sorted(mine, key=lambda timer: timer[:3])]

    def fire(self, domain: str, now: int) -> None:
        due = [(t, p[0], n, p) for p, (d, t, n) in self.timers.items() if d == domain and t <= now]
        for time, key, _, place in sorted(due, key=lambda timer: timer[:3]):
            del self.timers[place]
            self.stamp_time = time if domain == "event" else None
            self.write("list", key, None, time)
            name = place[1] if len(place) == 2 else None
            self.out.append({"out": f"{key} {domain} {time} {name}", "at": time if domain == "event" else None})


class Interpreter(mt.ProcessFunction):
    """Does to its states and timers what the record says, and emits what it read."""

    def __init__(self, ttl: Any) -> None:
        self.value = mt.ValueState("value", int, ttl=ttl)
        self.list = mt.ListState("list", int, ttl=ttl)
        self.map = mt.MapState("map", str, int, ttl=ttl)
        self.sum = mt.ReducingState("sum", "sum", int, ttl=ttl)

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        state: Any = getattr(self, batch["name"]) if batch["name"] in EMPTY else None
        at, n = batch["at"], batch["n"]
        match batch["op"]:
            case "write" if batch["name"] == "value":
                state.set(n)
            case "write" if batch["name"] == "map":
                state.put(at, n)
            case "write":
                state.add(n)
            case "read":
                self.emit(ctx, dict(state.items()) if batch["name"] == "map" else state.get())
            case "get":
                self.emit(ctx, self.map.get(at))
            case "clear":
                state.clear()
            case "event":
                ctx.register_event_time_timer(n, name=at)
            case "processing":
                ctx.register_processing_time_timer(n, name=at)
            case "delete" if at:
                ctx.delete_timer(at)
            case "delete":
                ctx.delete_event_time_timer(n)
                ctx.delete_processing_time_timer(n)

    def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
        self.list.add(fire_time_ms)
        ctx.emit(out=f"{key} {ctx.timer_domain} {fire_time_ms} {ctx.timer_name}", at=ctx.timestamp)

    def emit(self, ctx: mt.Context, value: Any) -> None:
        ctx.emit(out=repr(value), at=ctx.timestamp)


SETTINGS: dict[str, Any] = {
    "key": "key",
    "schema": {"key": int, "op": str, "name": str, "at": str, "n": int},
    "output": {"out": str, "at": int},
}
keys, times, numbers = st.sampled_from(KEYS), st.integers(0, 200), st.integers(-3, 3)
names = st.sampled_from([*EMPTY])


class HarnessMachine(RuleBasedStateMachine):
    @initialize(mode=st.sampled_from([*MODES]))
    def begin(self, mode: str) -> None:
        self.ttl = MODES[mode]
        self.model = Model(self.ttl)
        self.harness = Harness(Interpreter(self.ttl), **SETTINGS)

    def push(self, key: int, op: str, time: int | None, name: str = "", at: str | None = None, n: int = 0) -> None:
        self.model.stamp_time = time
        self.harness.push({"key": key, "op": op, "name": name, "at": at, "n": n}, timestamp=time)

    @rule(key=keys, name=names, entry=st.sampled_from("abc"), n=numbers, time=st.none() | times)
    def write(self, key: int, name: str, entry: str, n: int, time: int | None) -> None:
        self.push(key, "write", time, name, entry, n)
        self.model.write(name, key, entry if name == "map" else None, n)
        self.after_record()

    @rule(key=keys, name=names, time=st.none() | times)
    def read(self, key: int, name: str, time: int | None) -> None:
        self.push(key, "read", time, name)
        self.model.out.append({"out": repr(self.model.read(name, key)), "at": time})
        self.after_record()

    @rule(key=keys, entry=st.sampled_from("abc"), time=st.none() | times)
    def get(self, key: int, entry: str, time: int | None) -> None:
        self.push(key, "get", time, "map", entry)
        self.model.out.append({"out": repr(self.model.read("map", key, entry)), "at": time})
        self.after_record()

    @rule(key=keys, name=names)
    def clear(self, key: int, name: str) -> None:
        self.push(key, "clear", None, name)
        self.model.states.pop((name, key), None)
        self.after_record()

    @rule(key=keys, domain=st.sampled_from(["event", "processing"]), time=times, name=st.sampled_from([None, "x", "y"]))
    def register(self, key: int, domain: str, time: int, name: str | None) -> None:
        self.push(key, domain, None, "", name, time)
        self.model.register(key, domain, time, name)
        self.after_record()

    @rule(key=keys, time=times, name=st.sampled_from([None, "x", "y"]))
    def delete(self, key: int, time: int, name: str | None) -> None:
        self.push(key, "delete", None, "", name, time)
        for place in [(key, name)] if name else [(key, "event", time), (key, "processing", time)]:
            self.model.timers.pop(place, None)
        self.after_record()

    def after_record(self) -> None:
        self.model.fire("processing", self.model.clock)

    @rule(step=st.integers(0, 60))
    def advance_watermark(self, step: int) -> None:
        time = max(self.model.watermark, -10) + step
        self.harness.advance_watermark(time)
        if time > self.model.watermark:
            self.model.watermark = time
            self.model.fire("event", time)

    @rule(step=st.integers(0, 60))
    def advance_clock(self, step: int) -> None:
        self.model.clock += step
        self.harness.advance_processing_time(self.model.clock)
        self.model.fire("processing", self.model.clock)

    @rule()
    def restart(self) -> None:
        snapshot = self.harness.snapshot()
        self.harness = Harness.restore(snapshot, Interpreter(self.ttl), **SETTINGS)
        assert self.harness.snapshot() == snapshot

    @invariant()
    def same_as_the_model(self) -> None:
        assert self.harness.output() == self.model.out
        self.model.out.clear()
        assert self.harness.processing_time == self.model.clock
        for key in KEYS:
            assert [tuple(timer) for timer in self.harness.timers(key)] == self.model.pending(key)
            for name in EMPTY:
                assert self.harness.state(name, key) == self.model.look(name, key), (name, key)


HarnessMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestHarnessAgainstModel = HarnessMachine.TestCase
