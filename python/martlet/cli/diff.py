"""`martlet state diff`: which keys of which states two checkpoints do not have in common."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..errors import ConfigError
from ..json_values import dumps
from ..state_tables import OpenState, StateTable
from .printing import shown
from .state import open_state

__all__ = ["diff"]

# The rows of one key without its columns.
Rows = list[tuple[Any, ...]]


class Change(NamedTuple):
    """One key that is not the same."""

    key: tuple[Any, ...]
    before: Rows | None
    after: Rows | None

    @property
    def kind(self) -> str:
        return "added" if self.before is None else "removed" if self.after is None else "changed"


def diff(options: argparse.Namespace) -> int:
    """Says what changed; 1 if something did."""
    before, after = open_state(options.before), open_state(options.after)
    places = [place for place in _places(before, after) if _is_wanted(place, options)]
    if not places and (options.operator or options.state):
        raise ConfigError(
            f"neither has {f'an operator {options.operator!r}' if options.operator else 'an operator'}"
            f"{f' with a state {options.state!r}' if options.state else ''}"
        )
    differs = False
    for operator, state in places:
        one, other = _table(before, operator, state), _table(after, operator, state)
        what = f"operator {operator!r}, " + ("the timers" if state is None else f"state {state!r}")
        differs = (_report(what, operator, state, one, other, options)) or differs
    if not differs and options.format == "table":
        print("no difference")
    return 1 if differs else 0


def _places(*both: OpenState) -> list[tuple[str, str | None]]:
    """Operator and state, None for its timers, of either."""
    found: dict[tuple[str, str | None], None] = {}
    for opened in both:
        for number, operator in enumerate(opened.operators):
            for state in opened.states(number):
                found[operator["name"], state.name] = None
            found[operator["name"], None] = None
    order = list(dict.fromkeys(operator for operator, _ in found))
    return sorted(found, key=lambda place: (order.index(place[0]), place[1] is None))


def _is_wanted(place: tuple[str, str | None], options: argparse.Namespace) -> bool:
    operator, state = place
    return options.operator in (None, operator) and options.state in (None, state)


def _table(opened: OpenState, operator: str, state: str | None) -> StateTable | None:
    for number, one in enumerate(opened.operators):
        if one["name"] == operator and (state is None or any(found.name == state for found in opened.states(number))):
            return opened.table(state, operator, timers=state is None)
    return None


def _report(
    what: str,
    operator: str,
    state: str | None,
    before: StateTable | None,
    after: StateTable | None,
    options: argparse.Namespace,
) -> bool:
    counts = {"added": 0, "removed": 0, "changed": 0}
    lines: list[str] = []
    if before is not None and after is not None and before.schema.fields != after.schema.fields:
        types = [", ".join(f"{name} {dtype}" for name, dtype in one.schema.fields) for one in (before, after)]
        _say(options, f"{what}: other columns: {types[0]} → {types[1]}", operator, state)
        return True
    for change in _changes(before, after):
        counts[change.kind] += 1
        if options.format == "jsonl":
            if options.limit == 0 or sum(counts.values()) <= options.limit:
                values = {"key": change.key, "before": change.before, "after": change.after}
                print(dumps({"operator": operator, "state": state, "change": change.kind, **values}))
        elif options.limit == 0 or len(lines) < options.limit:
            lines.append(_line(change))
    total = sum(counts.values())
    only = " (only in A)" if after is None else " (only in B)" if before is None else ""
    if options.format == "table" and (total or only):
        words = ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count) or "no keys"
        print(f"{what}{only}: {words}")
        for line in lines:
            print(f"  {line}")
        if total > len(lines):
            print(f"  … and {total - len(lines):,} more")
    return bool(total or (only and state is not None))


def _say(options: argparse.Namespace, text: str, operator: str, state: str | None) -> None:
    print(text if options.format == "table" else dumps({"operator": operator, "state": state, "change": text}))


def _line(change: Change) -> str:
    sign = {"added": "+", "removed": "-", "changed": "~"}[change.kind]
    key = shown(change.key[0]) if len(change.key) == 1 else "(" + ", ".join(map(shown, change.key)) + ")"
    sides = [_summary(rows) for rows in (change.before, change.after) if rows is not None]
    if len(sides) == 2 and sides[0] == sides[1]:
        sides = [f"{sides[0]}, other content"]
    return f"{sign} {key}: {' → '.join(sides)}"


def _summary(rows: Rows) -> str:
    return ", ".join(map(shown, rows[0])) if len(rows) == 1 else f"{len(rows):,} entries"


def _changes(before: StateTable | None, after: StateTable | None) -> Iterator[Change]:
    """Both are in the order of key bytes, which is that of keys of one type."""
    left, right = _by_key(before), _by_key(after)
    one, other = next(left, None), next(right, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one[0] < other[0]):
            assert one is not None
            yield Change(one[0], one[1], None)
            one = next(left, None)
        elif one is None or other[0] < one[0]:
            yield Change(other[0], None, other[1])
            other = next(right, None)
        else:
            if one[1] != other[1]:
                yield Change(one[0], one[1], other[1])
            one, other = next(left, None), next(right, None)


def _by_key(table: StateTable | None) -> Iterator[tuple[tuple[Any, ...], Rows]]:
    """The rows of each key. The entries of a broadcast state, which has no key, are keys of their own."""
    if table is None:
        return
    names = table.schema.names
    width = table.key_width or 1
    rows: Iterator[tuple[Any, ...]] = (
        tuple(row[name] for name in names) for batch in table for row in batch.to_pylist()
    )
    if table.key_width == 0:
        # In the order of what is stored, which is not that of its text.
        rows = iter(sorted(rows, key=lambda row: row[:1]))
    for key, group in itertools.groupby(rows, key=lambda row: row[:width]):
        yield key, [row[width:] for row in group]
