"""The notation of `script.py` for two inputs: `1:` and `2:` in front of a record, `k:` and `b:` with a broadcast.

`1:a/5@12` is the value 5 of key "a" with timestamp 12 on the first input, `2:5@-` the value 5, its own key, without a
timestamp on the second. `W 17` moves both watermarks, `W1 17` and `W2 17` one. What comes out is a list of (value,
timestamp or None) and of `"W 17"` where the watermark of the function moved, in order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import martlet as mt
from martlet.testing import Harness

MIN, MAX = -(2**63), 2**63 - 1
OUTPUT = {"out": str}


class TwoInputs:
    """Runs steps on a harness for `fn()`. Records have the columns "k", a str, and "v" of type `left` or `right`."""

    def __init__(
        self, fn: Callable[[], Any], *states: mt.State, left: type = str, right: type = str, **settings: Any
    ) -> None:
        self.make = fn
        self.states = states
        self.types = {"1": left, "k": left, "2": right, "b": right}
        self.settings = {"key": "k", "output": OUTPUT, **settings}
        self.harness = Harness(fn(), *states, **self.settings)
        self.watermark = self.harness.watermark
        self.out: list[Any] = []

    def run(self, steps: str) -> list[Any]:
        for step in filter(None, map(str.strip, steps.split(";"))):
            self.step(step)
        return self.out

    def step(self, step: str) -> None:
        word, _, rest = step.partition(" ")
        is_broadcast = isinstance(self.harness.fn, mt.BroadcastProcessFunction)
        match word:
            case "W":
                self.harness.advance_watermark(int(rest))
            case "W1" if is_broadcast:
                self.harness.advance_watermark(main=int(rest))
            case "W1":
                self.harness.advance_watermark(left=int(rest))
            case "W2" if is_broadcast:
                self.harness.advance_watermark(broadcast=int(rest))
            case "W2":
                self.harness.advance_watermark(right=int(rest))
            case "PT":
                self.harness.advance_processing_time(int(rest))
            case "END":
                self.harness.end()
            case "SNAP":
                self.harness = Harness.restore(self.harness.snapshot(), self.make(), *self.states, **self.settings)
            case _:
                self.push(step)
        self.take()

    def push(self, step: str) -> None:
        side, _, record = step.partition(":")
        value, _, time = record.rpartition("@")
        key, slash, rest = value.partition("/")
        fields: dict[str, Any] = {"k": key, "v": self.types[side](rest if slash else key)}
        h = self.harness
        push = {"1": h.push_left, "2": h.push_right, "k": h.push, "b": h.push_broadcast}[side]
        push(fields, timestamp=None if time == "-" else int(time))

    def take(self) -> None:
        self.out += [(row["out"], time) for row, time in self.harness.output(timestamps=True)]
        if self.harness.watermark != self.watermark:
            self.watermark = self.harness.watermark
            self.out.append(f"W {self.watermark}")
