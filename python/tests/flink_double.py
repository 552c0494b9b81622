"""Flink as far as an evaluator sees it, in a page of Python: keyed state, a timer service, watermarks that come now and
then."""

from __future__ import annotations

from collections import Counter
from typing import Any

import martlet as mt
from martlet.flink.evaluator import Evaluator
from martlet.flink.reading import read_sources, watermarks_behind
from martlet.flink.timer_book import MAX_TIME, MIN_TIME, TimerBook
from martlet.flink.wire import OneRow
from martlet.graph import Plan

EMPTY: dict[type, Any] = {mt.ListState: list, mt.MapState: dict}


class Keyed:
    """A state of every key. `uses` counts what was asked of it."""

    def __init__(self, flink: FlinkDouble, make: Any) -> None:
        self.flink = flink
        self.make = make
        self.of: dict[Any, Any] = {}
        self.uses: Counter[str] = Counter()

    def __getattr__(self, use: str) -> Any:
        self.uses[use] += 1
        return getattr(self, f"_{use}")

    @property
    def here(self) -> Any:
        return self.of.setdefault(self.flink.key, self.make())

    def _value(self) -> Any:
        return self.of.get(self.flink.key)

    def _update(self, value: Any) -> None:
        self.of[self.flink.key] = list(value) if self.make is list else value

    def _clear(self) -> None:
        self.of.pop(self.flink.key, None)

    def _get(self, place: Any = None) -> Any:
        return self.here.get(place) if self.make is dict else list(self.here)

    def _add_all(self, values: list[Any]) -> None:
        self.here.extend(values)

    def _put(self, place: Any, value: Any) -> None:
        self.here[place] = value

    def _remove(self, place: Any) -> None:
        self.here.pop(place, None)

    def _items(self) -> Any:
        return list(self.here.items())


class FlinkDouble:
    """Runs the one function of a stream over one source. `every`: a watermark comes after so many records."""

    def __init__(
        self, stream: mt.Stream, every: int, config: mt.Config | None = None, tags: tuple[str, ...] = ()
    ) -> None:
        self.plan = Plan.of([stream._edge])
        self.every = every
        self.key: Any = None
        self.watermark = MIN_TIME
        self.timers: dict[tuple[str, int, Any], None] = {}
        self.states: dict[str, Keyed] = {}
        self.book = TimerBook(Keyed(self, lambda: None), True)
        self.book.service = self
        (planned,) = self.plan.operators
        (source,) = self.plan.sources
        self.key_columns = planned.operator.keys[0]
        self.evaluator = Evaluator(
            planned, config or mt.Config(), (source.timestamp,), tags, self.keep, self.book, (0, 1)
        )
        self.evaluator.aging.service = self
        # How often each kind of timer was registered.
        self.registered: Counter[str] = Counter()
        self.out: list[tuple[str | None, dict[str, Any]]] = []

    def keep(self, state: mt.State) -> Keyed:
        found = self.states[state.name] = Keyed(self, EMPTY.get(type(state), lambda: None))
        return found

    def current_watermark(self) -> int:
        return self.watermark

    def register_event_time_timer(self, time_ms: int) -> None:
        self.registered["event"] += 1
        self.timers["event", time_ms, self.key] = None

    def register_processing_time_timer(self, time_ms: int) -> None:
        self.timers["processing", time_ms, self.key] = None

    def delete_event_time_timer(self, time_ms: int) -> None:
        self.timers.pop(("event", time_ms, self.key), None)

    def delete_processing_time_timer(self, time_ms: int) -> None:
        self.timers.pop(("processing", time_ms, self.key), None)

    def take(self, outputs: Any) -> None:
        self.out += [(one.tag, dict(zip(one.schema.names, one.values, strict=True))) for one in outputs]

    def run(self, ends: bool = True) -> list[tuple[str | None, dict[str, Any]]]:
        """Not `ends`: up to the watermark behind the last record."""
        elements, (schema,) = read_sources(self.plan.sources)
        self.evaluator.open([schema])
        assert schema is not None
        rows = OneRow(schema)
        for number, (_, _, _, watermark, values, _) in enumerate(elements):
            record = dict(zip(schema.names, values, strict=True))
            self.key = self.evaluator.aging.key = tuple(record[column] for column in self.key_columns)
            if None not in self.key:
                self.take(self.evaluator.fire("event", watermark, self.key, watermark, 0))
            self.take(self.evaluator.push(0, rows.of(record), False, None, watermark, 0))
            if number % self.every == 0:
                self.advance(watermark)
        self.advance(watermarks_behind(elements, self.plan.sources)[-1])
        if ends:
            self.advance(MAX_TIME)
        self.evaluator.close()
        return self.out

    def advance(self, watermark: int) -> None:
        self.watermark = watermark
        self.book.is_ending = watermark == MAX_TIME
        while due := [timer for timer in self.timers if timer[0] == "event" and timer[1] <= watermark]:
            timer = min(due, key=lambda one: (one[1], repr(one[2])))
            del self.timers[timer]
            _, time_ms, self.key = timer
            self.evaluator.aging.key = self.key
            if time_ms == MAX_TIME:
                self.take(self.evaluator.end(self.key, True, 0))
            else:
                self.take(self.evaluator.fire("event", watermark, self.key, watermark, 0))
                self.book.arm_again(watermark)
                self.evaluator.clean(time_ms, watermark)
