"""How long what a state holds stays valid."""

from __future__ import annotations

from typing import Any, Literal

from .durations import milliseconds
from .errors import ConfigError

__all__ = ["TTL", "as_ttl"]

_CHOICES = {
    "time": ("processing", "event"),
    "update": ("write", "read_write"),
    "visibility": ("never_expired", "until_cleaned"),
}


class TTL:
    """The lifetime of a state's value, of each element of a list, of each entry of a map (Flink: StateTtlConfig).

    - `duration`: milliseconds, "500ms", "5s", "10m", "2h", "1d" or a timedelta; at least 1 ms. Something last touched
      at `last` has expired as soon as `last + duration <= now`.
    - `time`: `"processing"`, now is the clock's time; `"event"`, now is the watermark, and a write counts from the
      timestamp of its record or timer.
    - `update`: what makes it new again: a `"write"`, or also a read (`"read_write"`).
    - `visibility`: what has expired is `"never_expired"`, that is never seen, or can be read `"until_cleaned"`.

    What nobody touches any more is cleaned away a little after every batch. Immutable. ConfigError for anything else.
    """

    __slots__ = ("duration_ms", "time", "update", "visibility")

    duration_ms: int
    time: str
    update: str
    visibility: str

    def __init__(
        self,
        duration: Any,
        *,
        time: Literal["processing", "event"] = "processing",
        update: Literal["write", "read_write"] = "write",
        visibility: Literal["never_expired", "until_cleaned"] = "never_expired",
    ) -> None:
        duration_ms = milliseconds(duration)
        if duration_ms is None:
            raise ConfigError(
                f"ttl={duration!r} is no duration; use milliseconds, '500ms', '5s', '10m', '2h', '1d', a timedelta or "
                "a martlet.TTL"
            )
        if not 1 <= duration_ms < 2**63:
            raise ConfigError(f"ttl={duration!r} is out of range; it is at least 1 ms")
        object.__setattr__(self, "duration_ms", duration_ms)
        for name, value in (("time", time), ("update", update), ("visibility", visibility)):
            if not isinstance(value, str) or value not in _CHOICES[name]:
                raise ConfigError(
                    f"{name}={value!r} of a TTL is not allowed; use {' or '.join(map(repr, _CHOICES[name]))}"
                )
            object.__setattr__(self, name, value)

    @property
    def flags(self) -> int:
        """As `martlet_ttl_flags` has them."""
        chosen = (self.time == "event", self.update == "read_write", self.visibility == "until_cleaned")
        return sum(1 << bit for bit, is_set in enumerate(chosen) if is_set)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a TTL is immutable: make a new one to change {name!r}")

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, self._values()

    def _values(self) -> tuple[int, str, str, str]:
        return self.duration_ms, self.time, self.update, self.visibility

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TTL) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        return f"TTL({self.duration_ms}, time={self.time!r}, update={self.update!r}, visibility={self.visibility!r})"


def _rebuild(duration_ms: int, time: Any, update: Any, visibility: Any) -> TTL:
    return TTL(duration_ms, time=time, update=update, visibility=visibility)


def as_ttl(ttl: object) -> TTL:
    """What a state was given as `ttl=`."""
    return ttl if isinstance(ttl, TTL) else TTL(ttl)
