"""Types as users write them: Python types, Arrow type names, and Arrow type objects of any library."""

from __future__ import annotations

import datetime
import decimal
import re
from typing import Any

from .errors import ConfigError

__all__ = ["type_spec"]

# What the extension builds an Arrow schema from: a format string, or (format, [(child name, child spec), …]), or an
# object with __arrow_c_schema__.
Spec = Any

_PYTHON_TYPES: dict[Any, str] = {
    bool: "b",
    int: "l",
    float: "g",
    str: "u",
    bytes: "z",
    datetime.datetime: "tsu:",
    datetime.date: "tdD",
    datetime.time: "ttu",
    datetime.timedelta: "tDu",
    decimal.Decimal: "d:38,9",
    None: "n",
    type(None): "n",
}

_NAMES = {
    "null": "n",
    "bool": "b",
    "boolean": "b",
    "int8": "c",
    "uint8": "C",
    "int16": "s",
    "uint16": "S",
    "int32": "i",
    "uint32": "I",
    "int64": "l",
    "int": "l",
    "uint64": "L",
    "float16": "e",
    "halffloat": "e",
    "float32": "f",
    "float64": "g",
    "float": "g",
    "double": "g",
    "utf8": "u",
    "string": "u",
    "str": "u",
    "large_utf8": "U",
    "large_string": "U",
    "utf8_view": "vu",
    "string_view": "vu",
    "binary": "z",
    "bytes": "z",
    "large_binary": "Z",
    "binary_view": "vz",
    "date32": "tdD",
    "date": "tdD",
    "date64": "tdm",
    "time32[s]": "tts",
    "time32[ms]": "ttm",
    "time64[us]": "ttu",
    "time64[ns]": "ttn",
    "time": "ttu",
    "datetime": "tsu:",
    "timedelta": "tDu",
    "duration[s]": "tDs",
    "duration[ms]": "tDm",
    "duration[us]": "tDu",
    "duration[ns]": "tDn",
}

_TIMESTAMP = re.compile(r"timestamp\[(s|ms|us|ns)(?:,\s*(?:tz=)?([^\]]+))?\]")
_DECIMAL = re.compile(r"decimal(128|256)?\((\d+),\s*(-?\d+)\)")
_FIXED_BINARY = re.compile(r"(?:fixed_size_binary|binary)\[(\d+)\]")
_LIST = re.compile(r"(large_)?list<(?:item:\s*)?(.+)>")
_UNITS = {"s": "s", "ms": "m", "us": "u", "ns": "n"}


def type_spec(dtype: object) -> Spec:
    """The Arrow format of a dtype.

    `dtype`: a Python type (`int float bool str bytes`, `datetime`, `date`, `time`, `timedelta`, `Decimal`), an Arrow
    type name (`"int32"`, `"timestamp[ms, UTC]"`, `"decimal128(10, 2)"`, `"list<int64>"`), `list[int]`, a dict name →
    dtype for a struct, or an Arrow type object (anything with `__arrow_c_schema__`, such as `pyarrow.int64()`). Raises
    ConfigError for anything else.
    """
    if hasattr(dtype, "__arrow_c_schema__"):
        return dtype
    if isinstance(dtype, str):
        return _named(dtype)
    if isinstance(dtype, dict):
        return "+s", [(_child_name(name), type_spec(child)) for name, child in dtype.items()]
    arguments: tuple[object, ...] = getattr(dtype, "__args__", ())
    if getattr(dtype, "__origin__", None) is list and len(arguments) == 1:
        return "+l", [("item", type_spec(arguments[0]))]
    try:
        return _PYTHON_TYPES[dtype]
    except (KeyError, TypeError):
        raise _unknown(dtype) from None


def _child_name(name: object) -> str:
    if not isinstance(name, str):
        raise ConfigError(f"the name of a field is a str, got {type(name).__name__} {name!r}")
    return name


def _named(name: str) -> Spec:
    text = name.strip()
    if text in _NAMES:
        return _NAMES[text]
    if match := _TIMESTAMP.fullmatch(text):
        return f"ts{_UNITS[match[1]]}:{(match[2] or '').strip()}"
    if match := _DECIMAL.fullmatch(text):
        return f"d:{match[2]},{match[3]}" + (",256" if match[1] == "256" else "")
    if match := _FIXED_BINARY.fullmatch(text):
        return f"w:{match[1]}"
    if match := _LIST.fullmatch(text):
        return "+L" if match[1] else "+l", [("item", _named(match[2]))]
    raise _unknown(name)


def _unknown(dtype: object) -> ConfigError:
    return ConfigError(
        f"{dtype!r} is no type that martlet knows; use a Python type (int, float, bool, str, bytes, datetime, date, "
        "time, timedelta, Decimal), an Arrow type name such as 'int32', 'utf8', 'timestamp[ms, UTC]', "
        "'decimal128(10, 2)' or 'list<int64>', or an Arrow type object such as pyarrow.int64()"
    )
