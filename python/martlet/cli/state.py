"""`martlet state ls` and `martlet state show`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from ..errors import ConfigError
from ..json_values import decoders
from ..state_tables import OpenState, read_state
from .printing import time_text, write_rows

__all__ = ["key_of_text", "ls", "open_state", "show"]

_SHOWN_ROWS = 100
_NO_TIME = -(2**63)


def open_state(path: str) -> OpenState:
    """Opens it, and says on standard error what was passed over."""
    opened = OpenState(path)
    for line in filter(None, opened.info["damaged"].splitlines()):
        print(f"martlet: a newer checkpoint was passed over: {line}", file=sys.stderr)
    return opened


def ls(options: argparse.Namespace) -> int:
    """What a checkpoint is, and its operators and states."""
    opened = open_state(options.path)
    if options.format == "table" and options.output is None:
        for line in _heading(opened):
            print(line)
        print()
    overview = read_state(opened.info["path"])
    write_rows(overview.schema, overview, options.format, options.output, None)
    return 0


def _heading(opened: OpenState) -> list[str]:
    info = opened.info
    lines = [
        f"checkpoint {info['id']} of job {info['job']!r}, taken {time_text(info['time'])}",
        f"in {info['path']}",
        f"parallelism {info['parallelism']} of at most {info['max_parallelism']}",
    ]
    for source in info["sources"]:
        state = "ended" if source["has_ended"] else "open"
        offset = "" if source["offset"] is not None or source["has_ended"] else ", cannot be read again from there"
        watermark = _watermark(source["watermark"])
        lines.append(f"source {source['name']!r}: {source['records']:,} records, {state}{watermark}{offset}")
    for one in opened.operators:
        key = ", ".join(f"{name} ({dtype})" for name, dtype in one["key"].fields) or "none"
        lines.append(f"operator {one['name']!r}: {one['kind']}, key: {key}{_watermark(one['watermark'])}")
    return lines


def _watermark(time: int) -> str:
    if time == _NO_TIME:
        return ""
    return ", at the end of event time" if time == 2**63 - 1 else f", watermark {time} ({time_text(time)})"


def show(options: argparse.Namespace) -> int:
    """The rows of a state, or of the timers."""
    opened = open_state(options.path)
    state, operator = options.state, options.operator
    if state is None and not options.timers:
        state, operator = _only_state(opened, operator)
    key = None
    if options.key is not None:
        key = key_of_text(opened, opened.reader.find(operator, None if options.timers else state)[0], options.key)
    table = opened.table(state, operator, timers=options.timers, key=key)
    limit = _SHOWN_ROWS if options.limit is None and options.format == "table" else options.limit or None
    write_rows(table.schema, table, options.format, options.output, limit)
    return 0


def _only_state(opened: OpenState, operator: str | None) -> tuple[str, str]:
    numbers = range(len(opened.operators)) if operator is None else [opened.reader.find(operator, None)[0]]
    found = [(state.name, opened.operators[number]["name"]) for number in numbers for state in opened.states(number)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(f"{name!r} of {of!r}" for name, of in found) or "none"
    raise ConfigError(f"say what to show: --timers, or --state and a name. The states are: {names}")


def key_of_text(opened: OpenState, operator: int, texts: list[str]) -> Any:
    """The key whose parts were written as text."""
    schema = opened.operators[operator]["key"]
    if len(texts) != len(schema):
        wanted = " ".join(f"{name} ({dtype})" for name, dtype in schema.fields)
        raise ConfigError(f"--key {' '.join(texts)}: the key has {len(schema)} parts: {wanted}")
    decode = decoders(schema)
    parts = []
    for text, (name, dtype) in zip(texts, schema.fields, strict=True):
        try:
            if dtype.startswith(("int", "uint")):
                parts.append(int(text))
            elif dtype == "bool":
                parts.append({"true": True, "false": False}[text.lower()])
            else:
                parts.append(decode.get(name, lambda value: value)(text))
        except (ValueError, KeyError):
            raise ConfigError(f"--key {text}: the key column {name!r} is {dtype}") from None
    return tuple(parts)
