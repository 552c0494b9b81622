"""The notation of Flink's operator tests as a small language: what goes into a harness, what comes out.

Steps are separated by `;`. `5@12` is the record 5 with timestamp 12, `a/5@12` the value 5 of key "a", `5@-` a record
without a timestamp. `W 17` moves the watermark, `PT 17` the clock, `END` ends the input. `SNAP` goes on in a new
harness from a snapshot. What comes out is a list of (value, timestamp or None) and of `"W 17"`, in order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import martlet as mt
from martlet.testing import Harness

MIN, MAX = -(2**63), 2**63 - 1
Make = Callable[[], Any]


def record(text: str) -> tuple[str, str, int | None]:
    """Key, value and timestamp of a record in this notation."""
    value, _, time = text.rpartition("@")
    key, slash, rest = value.partition("/")
    return key, rest if slash else key, None if time == "-" else int(time)


class Script:
    """Runs steps on a harness for `fn()`, whose records have the columns "k" and "v", of those types."""

    def __init__(self, fn: Make, *states: mt.State, k: Any = str, v: Any = str, **settings: Any) -> None:
        self.make = fn
        self.states = states
        self.types = {"k": k, "v": v}
        self.settings = {"key": "k", "schema": self.types, **settings}
        self.harness = Harness(fn(), *states, **self.settings)
        self.out: list[Any] = []

    def run(self, steps: str) -> list[Any]:
        for step in filter(None, map(str.strip, steps.split(";"))):
            self.step(step)
        return self.out

    def step(self, step: str) -> None:
        word, _, rest = step.partition(" ")
        match word:
            case "W" | "W1" | "W2":
                self.advance(word, rest)
                return
            case "PT":
                self.harness.advance_processing_time(int(rest))
            case "END":
                self.harness.end()
            case "SNAP":
                self.harness = Harness.restore(self.harness.snapshot(), self.make(), *self.states, **self.settings)
            case _:
                self.push(step)
        self.take()

    def advance(self, word: str, time: str) -> None:
        self.harness.advance_watermark({"MIN": MIN, "MAX": MAX}.get(time) or int(time))
        self.take()
        self.out.append(f"W {time}")

    def push(self, step: str) -> None:
        key, value, time = record(step)
        fields = {"k": key, "v": value}
        row = {name: int(text) if self.types[name] is int else text for name, text in fields.items()}
        self.harness.push(row, timestamp=time)

    def take(self) -> None:
        self.out += [(row["out"], time) for row, time in self.harness.output(timestamps=True)]
