"""Values as JSON has them: what it has no words for is text, and is read back from that text where a schema says so.

| value | in JSON |
|---|---|
| datetime, date, time | ISO 8601 |
| timedelta | microseconds, a number |
| Decimal | text, so that no digit is lost |
| bytes | base64 |
| a float that is no number, or infinite | null |
"""

from __future__ import annotations

import base64
import datetime
import decimal
import json
import math
from collections.abc import Callable
from typing import Any

from ._engine import Schema

__all__ = ["decoders", "dumps"]

_MICROSECOND = datetime.timedelta(microseconds=1)


def _plain(value: Any) -> Any:
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime.timedelta):
        return value // _MICROSECOND
    raise TypeError(f"a value of type {type(value).__name__} has no form in JSON")


_strict = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain).encode


def dumps(value: Any) -> str:
    """The value on one line."""
    try:
        return _strict(value)
    except ValueError:
        return _strict(_finite(value))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, (list, tuple)) else value


def decoders(schema: Schema) -> dict[str, Callable[[Any], Any]]:
    """By column, what makes its value of what JSON has. Columns that need nothing are not in it.

    A timestamp may also be a number, in the unit of its column.
    """
    found: dict[str, Callable[[Any], Any]] = {}
    for name, dtype in schema.fields:
        if dtype.startswith("timestamp["):
            found[name] = _timestamp_of(dtype)
        elif dtype.startswith("date"):
            found[name] = _if_text(datetime.date.fromisoformat)
        elif dtype.startswith("time"):
            found[name] = _if_text(datetime.time.fromisoformat)
        elif dtype.startswith("duration"):
            found[name] = _duration
        elif dtype.startswith("decimal"):
            found[name] = _decimal
        elif "binary" in dtype:
            found[name] = _if_text(lambda text: base64.b64decode(text, validate=True))
    return found


_UNIT_US = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": 0.001}
_EPOCH = datetime.datetime(1970, 1, 1)


def _timestamp_of(dtype: str) -> Callable[[Any], Any]:
    unit, _, zone = dtype[len("timestamp[") : -1].partition(",")
    unit_us = _UNIT_US[unit.strip()]
    is_zoned = bool(zone.strip())

    def timestamp(value: Any) -> Any:
        if isinstance(value, str):
            found = datetime.datetime.fromisoformat(value)
            if is_zoned and found.tzinfo is None:
                return found.replace(tzinfo=datetime.UTC)
            return found
        if isinstance(value, int) and not isinstance(value, bool):
            found = _EPOCH + datetime.timedelta(microseconds=value * unit_us)
            return found.replace(tzinfo=datetime.UTC) if is_zoned else found
        return value

    return timestamp


def _if_text(parse: Callable[[str], Any]) -> Callable[[Any], Any]:
    return lambda value: parse(value) if isinstance(value, str) else value


def _duration(value: Any) -> Any:
    return datetime.timedelta(microseconds=value) if isinstance(value, int) else value


def _decimal(value: Any) -> Any:
    try:
        return decimal.Decimal(str(value)) if isinstance(value, (str, float)) else value
    except decimal.InvalidOperation:
        raise ValueError(f"{value!r} is no decimal number") from None
