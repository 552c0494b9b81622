"""Settings of a run."""

from __future__ import annotations

import os
from typing import Any

from ._engine import ManualClock
from .errors import ConfigError

__all__ = ["Config"]

_PROFILES = ("dev-local",)
_NULL_KEYS = ("raise", "drop")
_NULL_TIMESTAMPS = ("raise", "drop", "process")
_AT_END = ("fire", "drop", "keep")
_SETTINGS = ("profile", "null_keys", "null_timestamps", "name", "clock", "at_end")


class Config:
    """Settings of one job. Immutable; one job has one config.

    - `profile`: `"dev-local"`, state in memory. Defaults to the environment variable MARTLET_PROFILE, then to
      `"dev-local"`.
    - `null_keys`: what becomes of a record whose key is null: `"raise"` NullKeyError, or `"drop"` it and count it in
      the report.
    - `null_timestamps`: the same for a null event time: `"raise"` NullTimestampError, `"drop"`, or `"process"`: the
      record is delivered without a timestamp and does not move the watermark.
    - `name`: the job's name in messages.
    - `clock`: where processing time comes from: None or `"system"` for the system's clock, or a `mt.ManualClock()`,
      which stands still until its `advance_to(ms)` is called.
    - `at_end`: what becomes of processing-time timers that are pending when a bounded input ends (event-time timers
      always fire): `"fire"` fires them in order of time, with `ctx.processing_time` showing the time of each;
      `"drop"` forgets them; `"keep"` leaves them pending, counted in the report.

    An unknown setting or value is a ConfigError that lists what is allowed.
    """

    __slots__ = ("at_end", "clock", "name", "null_keys", "null_timestamps", "profile")

    profile: str
    null_keys: str
    null_timestamps: str
    name: str | None
    clock: ManualClock | None
    at_end: str

    def __init__(
        self,
        *,
        profile: str | None = None,
        null_keys: str = "raise",
        null_timestamps: str = "raise",
        name: str | None = None,
        clock: ManualClock | str | None = None,
        at_end: str = "fire",
        **unknown: object,
    ) -> None:
        if unknown:
            raise ConfigError(f"unknown setting {next(iter(unknown))!r}; the settings are {_listed(_SETTINGS)}")
        origin = "profile"
        if profile is None and (profile := os.environ.get("MARTLET_PROFILE")):
            origin = "MARTLET_PROFILE"
        if name is not None and (not isinstance(name, str) or not name or "\0" in name):
            raise ConfigError(f"name={name!r} is not a name; use a str that is not empty")
        put = object.__setattr__
        put(self, "profile", _one_of(origin, profile or "dev-local", _PROFILES))
        put(self, "null_keys", _one_of("null_keys", null_keys, _NULL_KEYS))
        put(self, "null_timestamps", _one_of("null_timestamps", null_timestamps, _NULL_TIMESTAMPS))
        put(self, "name", name)
        if clock not in (None, "system") and not isinstance(clock, ManualClock):
            raise ConfigError(f"clock={clock!r} is not a clock; use 'system' or mt.ManualClock()")
        put(self, "clock", None if isinstance(clock, str) else clock)
        put(self, "at_end", _one_of("at_end", at_end, _AT_END))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Config is immutable: make a new one to change {name!r}")

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, self._values()

    def _values(self) -> tuple[object, ...]:
        return self.profile, self.null_keys, self.null_timestamps, self.name, self.clock, self.at_end

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Config) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        return f"Config({', '.join(f'{name}={getattr(self, name)!r}' for name in _SETTINGS)})"


def _rebuild(*values: Any) -> Config:
    return Config(**dict(zip(_SETTINGS, values, strict=True)))


def _listed(values: tuple[str, ...]) -> str:
    return ", ".join(map(repr, values))


def _one_of(setting: str, value: object, allowed: tuple[str, ...]) -> str:
    if isinstance(value, str) and value in allowed:
        return value
    raise ConfigError(f"{setting}={value!r} is not allowed; use {' or '.join(map(repr, allowed))}")
