"""What the benchmarks share: contenders that do the same work take turns, and their ratio is printed."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

Run = Callable[[], Any]


def medians(contenders: Mapping[str, Run], rounds: int) -> dict[str, float]:
    """Seconds of each contender: the median of `rounds` rounds, whose order rotates. One more round is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for run in contenders.values():
        run()
    names = list(contenders)
    for turn in range(rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            gc.collect()
            began = time.perf_counter()
            result = contenders[name]()
            seconds[name].append(time.perf_counter() - began)
            del result
    return {name: statistics.median(each) for name, each in seconds.items()}


def head(title: str, first: str, second: str) -> None:
    """The line above those of `show`: rates of two contenders and their ratio."""
    print(f"\n{title}, M records/s\n  {'':34}{first:>12}{second:>12}{'ratio':>8}")


def show(name: str, records: int, first: float, second: float) -> float:
    """One line: both rates, and how many times faster the second is. Returns the ratio."""
    rates = f"{records / first / 1e6:12.2f}{records / second / 1e6:12.2f}"
    print(f"  {name:34}{rates}{first / second:8.2f}", flush=True)
    return first / second
