"""The states that an operator declares: attributes of its function, arguments, and those of a broadcast."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING

from ._engine import BroadcastState, Schema, State
from .errors import ConfigError

if TYPE_CHECKING:
    from .graph import Kind

__all__ = ["all_states", "attribute_states"]


def attribute_states(fn: object) -> dict[str, State]:
    """States among the class and instance attributes, by attribute name, in the order of definition."""
    found: dict[str, State] = {}
    seen: set[str] = set()
    instance = getattr(fn, "__dict__", {})
    for attributes in (instance, *(vars(base) for base in type(fn).__mro__)):
        for name, value in attributes.items():
            if name in seen:
                continue
            seen.add(name)
            if isinstance(value, types.MemberDescriptorType):
                value = getattr(fn, name, None)  # an attribute in __slots__
            if isinstance(value, State):
                found[name] = value
    return found


def all_states(
    fn: object,
    extra: tuple[State, ...],
    operator: str,
    kind: Kind = "process",
    broadcast: tuple[State, ...] = (),
    is_keyed: bool = True,
) -> list[State]:
    """Every state of an operator, once. Two states of one name are a ConfigError, as is one that cannot be there.

    A broadcast state may be declared several times in the same way: by the broadcast, by the function, as an argument.
    """
    by_name: dict[str, State] = {}
    for state in broadcast:
        if not isinstance(state, BroadcastState):
            raise ConfigError(
                f"operator {operator!r}: a broadcast has states such as BroadcastState('rules'), got {state!r}"
            )
        if by_name.setdefault(state.name, state) is not state:
            raise ConfigError(f"operator {operator!r}: the broadcast has two states named {state.name!r}")
    for state in (*attribute_states(fn).values(), *extra):
        first = by_name.get(state.name)
        _check_place(state, first, operator, kind, is_keyed)
        by_name.setdefault(state.name, state)
    return list(by_name.values())


def _check_place(state: State, first: State | None, operator: str, kind: Kind, is_keyed: bool) -> None:
    if isinstance(state, BroadcastState):
        if kind != "broadcast":
            raise ConfigError(
                f"operator {operator!r} declares {state!r}, which only a function over a broadcast can have: use "
                "broadcast_stream, or a MapState"
            )
        if first is None:
            raise ConfigError(
                f"operator {operator!r} declares {state!r}, which the broadcast does not list and nothing could write: "
                f"add it to .broadcast(...)"
            )
        if isinstance(first, BroadcastState):
            if _declaration(first) != _declaration(state):
                raise ConfigError(
                    f"operator {operator!r} declares the broadcast state {state.name!r} in two ways: {first!r} and "
                    f"{state!r}"
                )
            return
    elif not is_keyed:
        raise ConfigError(
            f"operator {operator!r} declares {state!r}, which belongs to a key, and its main stream has no key: use "
            "key= or .key_by(...), or a BroadcastState"
        )
    if first is not None and first is not state:
        raise ConfigError(
            f"operator {operator!r} declares two states named {state.name!r}; names of states are unique in an operator"
        )


def _declaration(state: BroadcastState) -> tuple[object, ...]:
    """What makes two declarations the same, however their types are written."""
    return tuple(None if dtype is None else Schema({"": dtype}).types for dtype in (state.key_dtype, state.dtype))
