"""States whose TTL is in event time, which Flink does not know: what is kept has the time it counts from beside it, and
the key's clean-up timers take away what has expired.

The engine decides what a function sees: each part is brought in with the time it counts from, and taken back with the
one it has then. A clean-up changes nothing that can be seen. So its timers are coarse: one of Flink's event-time timers
at the next multiple of the TTL behind the moment at which what was written expires, which is the same one for all that
is written meanwhile. Nothing is kept to know them by, and none is left when nothing is written any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .timer_book import MAX_TIME, MIN_TIME

__all__ = ["Aging", "period_ms"]

_SHORTEST_MS = 1000
_MOST_KNOWN = 20_000


def period_ms(ttl_ms: int) -> int:
    """How far apart the clean-ups of a state are."""
    return max(ttl_ms, _SHORTEST_MS)


class Aging:
    """Time as the states of the current key see it, and their clean-up timers."""

    __slots__ = ("_armed", "_periods", "key", "now", "present", "service")

    def __init__(self, ttls_ms: Iterable[int]) -> None:
        self._periods = {period_ms(ttl) for ttl in ttls_ms}
        # By key and period: the latest timer, so that not each write registers the same one again.
        self._armed: dict[tuple[Any, int], int] = {}
        self.key: Any = None
        # Flink's timer service.
        self.service: Any = None
        # The watermark as the engine has it in this call, and the time that something written counts from.
        self.now = self.present = MIN_TIME

    def begin(self, ctx: Any) -> None:
        """A call of the function."""
        self.now = ctx.watermark
        self.present = self.now if ctx.timestamp is None else ctx.timestamp

    def has_expired(self, stamp: int, ttl_ms: int) -> bool:
        return min(stamp + ttl_ms, MAX_TIME) <= self.now

    def arm(self, stamp: int, ttl_ms: int) -> None:
        """Something that counts from `stamp` was written for the current key."""
        period = period_ms(ttl_ms)
        time_ms = -(-(stamp + ttl_ms) // period) * period
        if stamp == MIN_TIME or time_ms >= MAX_TIME:
            return  # without event time nothing expires before the end of the input
        place = self.key, period
        if self._armed.get(place) == time_ms and time_ms > self.service.current_watermark():
            return
        if len(self._armed) >= _MOST_KNOWN:
            self._armed.clear()
        self._armed[place] = time_ms
        self.service.register_event_time_timer(time_ms)

    def is_time(self, time_ms: int, ttl_ms: int) -> bool:
        """Whether a timer at this time may be one for states with this TTL."""
        return time_ms % period_ms(ttl_ms) == 0

    def may_need(self, time_ms: int) -> bool:
        """Whether a timer at this time may be one of a clean-up, besides what else it is."""
        return any(time_ms % period == 0 for period in self._periods)
