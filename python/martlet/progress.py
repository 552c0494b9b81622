"""The line on the terminal that shows how far a run is."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

__all__ = ["ProgressLine"]

_DELAY_SECONDS = 2.0


class ProgressLine:
    """Records in and out, rate, keys and state of a run, redrawn in place on standard error.

    Drawn by `rich` if it is installed, by a carriage return otherwise. Erased at the end.
    """

    __slots__ = ("_drawn", "_live", "_name", "_started", "_stream", "_visible_after")

    def __init__(self, name: str, shown: bool | None, stream: TextIO | None = None) -> None:
        self._name = name
        self._stream = stream or sys.stderr
        self._started = time.perf_counter()
        self._visible_after = 0.0 if shown else _DELAY_SECONDS
        self._live: Any = None
        self._drawn = 0

    @staticmethod
    def wanted(shown: bool | None) -> bool:
        """Whether a run with this setting of `Config(progress=…)` may draw a line."""
        return bool(shown) if shown is not None else bool(sys.stderr and sys.stderr.isatty())

    def update(self, counters: dict[str, int], more: str = "") -> None:
        """`more` stands at the end of the line."""
        elapsed = time.perf_counter() - self._started
        if elapsed < self._visible_after:
            return
        rate = counters["records_in"] / elapsed if elapsed > 0 else 0.0
        text = (
            f"{self._name}: {counters['records_in']:,} records in ({rate:,.0f}/s), {counters['records_out']:,} out, "
            f"{counters['keys']:,} keys, {counters['state_bytes'] / 1e6:,.1f} MB of state, {elapsed:,.0f} s"
        )
        if counters["errors"]:
            text += f", {counters['errors']:,} errors"
        self._draw(text + more)

    def _draw(self, text: str) -> None:
        if self._drawn == 0 and self._stream.isatty():
            self._live = _rich_live(self._stream)
        if self._live is not None:
            # As plain text: what is in brackets is no markup.
            self._live.update(_plain(text), refresh=True)
        else:
            self._stream.write("\r" + text.ljust(self._drawn))
            self._stream.flush()
        self._drawn = max(self._drawn, len(text))

    def close(self) -> None:
        """Erases the line."""
        if self._live is not None:
            self._live.stop()
        elif self._drawn:
            self._stream.write("\r" + " " * self._drawn + "\r")
            self._stream.flush()
        self._drawn = 0


def _plain(text: str) -> Any:
    from rich.text import Text

    return Text(text, no_wrap=True, overflow="ellipsis")


def _rich_live(stream: TextIO) -> Any:
    try:
        from rich.console import Console
        from rich.live import Live
    except ImportError:
        return None
    live = Live("", console=Console(file=stream), auto_refresh=False, transient=True)
    live.start()
    return live
