"""The pending timers of the current key, as Flink keeps them.

Flink's timer service fires; it can neither list timers nor name them. So beside it stands, per key, a list of what is
pending, in the order of registration: one value of Flink's keyed state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

__all__ = ["MAX_TIME", "MIN_TIME", "Pending", "TimerBook"]

MAX_TIME = 2**63 - 1
MIN_TIME = -(2**63)


class Pending(NamedTuple):
    """A pending timer."""

    domain: str  # "event" or "processing"
    time_ms: int
    name: str | None
    after: int = MIN_TIME
    """Registered at or behind a watermark, an event-time timer waits for the next one: the watermark that must be
    passed."""

    @property
    def place(self) -> tuple[str, int, str | None]:
        """What tells it from the other timers of its key."""
        return self[:3]


class TimerBook:
    """The timers of the current key. `kept`: the value state of Flink; `service`: its timer service; `is_shared`: if a
    timer of Flink at an event time may be there for something else, too."""

    __slots__ = ("_kept", "_needs_end", "is_ending", "is_shared", "kept_schema", "service")

    def __init__(self, kept: Any, fires_processing_at_end: bool) -> None:
        self._kept = kept
        self._needs_end = fires_processing_at_end
        self.service: Any = None
        # To be kept with the timers; None: the plan knows it.
        self.kept_schema: bytes | None = None
        self.is_ending = False
        self.is_shared: Callable[[int], bool] = lambda time_ms: False

    def pending(self) -> list[Pending]:
        """Those of the current key, each kind by time and then in the order of registration."""
        kept = self._kept.value()
        return [] if kept is None else [Pending(*one) for one in kept[0]]

    def schema(self) -> bytes | None:
        """The pickled schema of the records of the current key, which a timer needs after a restore."""
        kept = self._kept.value()
        return None if kept is None else kept[1]

    def due(self, domain: str, now: int) -> Pending | None:
        """The next one that is due at a time of its domain."""
        waiting = [one for one in self.pending() if one.domain == domain and one.time_ms <= now and one.after < now]
        return min(waiting, key=lambda one: one.time_ms, default=None)

    def arm_again(self, watermark: int) -> None:
        """Flink has fired what is behind its watermark; a timer that waits for a later one is to be heard of then."""
        for one in self.pending():
            if one.domain == "event" and one.time_ms <= watermark <= one.after:
                self.service.register_event_time_timer(one.after + 1)

    def take(self, timer: Pending) -> None:
        """Removes a timer that is about to fire."""
        before = self.pending()
        after = list(before)
        after.remove(timer)
        self.change(before, after)

    def change(self, before: list[Pending], after: list[Pending]) -> None:
        """Brings Flink from what was pending to what is."""
        if before == after:
            return
        old, new = _times(before), _times(after)
        for domain, time_ms in old.keys() - new.keys():
            if domain == "event":
                # At the greatest time it may be for the end of the input as well.
                if time_ms != MAX_TIME and not self.is_shared(time_ms):
                    self.service.delete_event_time_timer(time_ms)
            else:
                self.service.delete_processing_time_timer(time_ms)
        for domain, time_ms in new:
            if (domain, time_ms) in old:
                continue
            if domain == "event":
                self.service.register_event_time_timer(time_ms)
            else:
                self.service.register_processing_time_timer(time_ms)
                if self._needs_end:
                    self.at_end()
        if after:
            self._kept.update(([tuple(one) for one in after], self.kept_schema))
        else:
            self._kept.clear()

    def at_end(self) -> None:
        """Asks to be called for the current key at the end of the input: the watermark is 2**63 - 1 only then."""
        if self.is_ending:
            return
        if self.kept_schema is not None and self._kept.value() is None:
            self._kept.update(([], self.kept_schema))
        self.service.register_event_time_timer(MAX_TIME)


def _times(timers: Iterable[Pending]) -> dict[tuple[str, int], None]:
    return {(one.domain, one.time_ms): None for one in timers}
