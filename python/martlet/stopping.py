"""Ctrl-C and SIGTERM of a durable job: a last checkpoint before the program ends."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = ["StopOnSignals", "exit_on_sigterm"]

_LOGGER = logging.getLogger("martlet")
# Those that a program has not taken over have these handlers.
_DEFAULTS: dict[signal.Signals, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


def exit_on_sigterm() -> None:
    """From here on SIGTERM ends the program as sys.exit does, so that what is open is closed. It is still a signal that
    durable jobs may take over."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, end)
        _DEFAULTS[signal.SIGTERM] = end


class StopOnSignals:
    """While it is entered, in the main thread, the first of these signals calls `stop`, and the next one ends the
    run at once. Signals that the program handles itself are left alone."""

    def __init__(self, stop: Callable[[], None], name: str) -> None:
        self._stop = stop
        self._name = name
        self._received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number, default in _DEFAULTS.items():
            if signal.getsignal(number) is default:
                self._before[number] = signal.signal(number, self._handle)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._received is not None:
            self._received = number
            self.raise_again()
        self._received = number
        _LOGGER.warning(
            "job %r: %s: stopping after a last checkpoint; once more to stop at once",
            self._name,
            signal.Signals(number).name,
        )
        self._stop()

    def raise_again(self) -> None:
        """What the signal that came stands for, if one came."""
        if self._received == signal.SIGINT:
            raise KeyboardInterrupt
        if self._received is not None:
            # As a shell reports a program that a signal has ended.
            raise SystemExit(128 + self._received)
