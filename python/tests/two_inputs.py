"""The notation of `script.py` for two inputs: `1:` and `2:` in front of a record, `k:` and `b:` with a broadcast.

`1:a/5@12` is the value 5 of key "a" with timestamp 12 on the first input, `2:5@-` the value 5, its own key, without a
timestamp on the second. `W 17` moves both watermarks, `W1 17` and `W2 17` one. What comes out is a list of (value,
timestamp or None) and of `"W 17"` where the watermark of the function moved, in order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from script import Script, record

import martlet as mt
from martlet.testing import Harness

OUTPUT = {"out": str}


class TwoInputs(Script):
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

    def advance(self, word: str, time: str) -> None:
        is_broadcast = isinstance(self.harness.fn, mt.BroadcastProcessFunction)
        names = {"W1": "main", "W2": "broadcast"} if is_broadcast else {"W1": "left", "W2": "right"}
        if word == "W":
            self.harness.advance_watermark(int(time))
        else:
            self.harness.advance_watermark(**{names[word]: int(time)})
        self.take()

    def push(self, step: str) -> None:
        side, _, rest = step.partition(":")
        key, value, time = record(rest)
        h = self.harness
        push = {"1": h.push_left, "2": h.push_right, "k": h.push, "b": h.push_broadcast}[side]
        push({"k": key, "v": self.types[side](value)}, timestamp=time)

    def take(self) -> None:
        super().take()
        if self.harness.watermark != self.watermark:
            self.watermark = self.harness.watermark
            self.out.append(f"W {self.watermark}")
