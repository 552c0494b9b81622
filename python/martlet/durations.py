"""Lengths of time as users write them."""

from __future__ import annotations

import datetime
import re

__all__ = ["milliseconds"]

_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*")
_UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def milliseconds(duration: object) -> int | None:
    """A duration in milliseconds; None if it is none.

    `duration`: milliseconds as an int, "500ms", "5s", "10m", "2h", "1d", or a timedelta, of which what is less than a
    millisecond is cut off. The sign and size are the caller's to check.
    """
    if isinstance(duration, datetime.timedelta):
        return duration // datetime.timedelta(milliseconds=1)
    if isinstance(duration, int) and not isinstance(duration, bool):
        return duration
    if isinstance(duration, str) and (match := _DURATION.fullmatch(duration)):
        unit = _UNIT_MS[match[2]]
        return int(float(match[1]) * unit) if "." in match[1] else int(match[1]) * unit
    return None
