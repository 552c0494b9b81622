"""What is read from a user's function before it runs: its kind, its methods, its states; and the copy that runs."""

from __future__ import annotations

import copy
import inspect
import types
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ._engine import State
from .errors import ConfigError
from .functions import BroadcastProcessFunction, CoProcessFunction, ProcessFunction
from .states import attribute_states

if TYPE_CHECKING:
    from .graph import Kind, Operator

__all__ = ["Instance", "check_function", "function_name", "instantiate", "kind_of"]

Method: TypeAlias = tuple[Callable[..., Any] | None, bool]

_BASES = {"process": ProcessFunction, "connect": CoProcessFunction, "broadcast": BroadcastProcessFunction}
_APPLY = {
    "process": "apply_process_function",
    "connect": "connect_streams",
    "broadcast": "broadcast_stream",
}
_METHODS = {
    "process": ("open", "on_event", "on_timer", "close", "on_end", "on_batch"),
    "connect": ("open", "on_event", "on_left", "on_right", "on_timer", "close", "on_end"),
    "broadcast": ("open", "on_event", "on_broadcast", "on_timer", "close", "on_end"),
}
# What the engine asks for, in its order, by the name that the kind of function has for it.
_CALLBACKS = {
    "process": ("open", "on_event", "on_timer", "close", "on_end", "on_batch", None),
    "connect": ("open", "on_left", "on_timer", "close", "on_end", None, "on_right"),
    "connect by on_event": ("open", "on_event", "on_timer", "close", "on_end", None, None),
    "broadcast": ("open", "on_event", "on_timer", "close", "on_end", None, "on_broadcast"),
}


class Instance(NamedTuple):
    """A copy of a function for one run, and what the engine is told of it."""

    target: Any
    # In the order of _CALLBACKS; whether it is a plain function that takes `target` as its first argument.
    methods: tuple[Method, ...]
    # One handle for each state of the engine …
    states: tuple[State, ...]
    # … and further handles to the same: (handle, index in `states`).
    aliases: tuple[tuple[State, int], ...]


def function_name(fn: object) -> str:
    """A name for the operator: the function's or the class's."""
    name = getattr(fn, "__name__", None)
    return name if isinstance(name, str) else type(fn).__name__


def kind_of(fn: object) -> Kind:
    """What kind of function an object is, as far as it tells by itself."""
    if isinstance(fn, BroadcastProcessFunction) or _defines(fn, "on_broadcast"):
        return "broadcast"
    if isinstance(fn, CoProcessFunction) or _defines(fn, "on_left") or _defines(fn, "on_right"):
        return "connect"
    return "process"


# ---- checks ------------------------------------------------------------------------------------------


def check_function(fn: object, kind: Kind = "process") -> None:
    """ConfigError if `fn` is no function of this kind."""
    name = type(fn).__name__
    if isinstance(fn, type):
        raise ConfigError(f"{fn.__name__} is a class; pass an instance: {fn.__name__}()")
    methods = _METHODS[kind]
    events = [method for method in methods if method.startswith("on_") and method not in ("on_timer", "on_end")]
    if not any(hasattr(fn, method) for method in events):
        if callable(fn) and kind != "broadcast":
            _check_plain("it", fn)
            return
        raise ConfigError(f"{_wanted(kind)}, got {name}")
    _check_events(fn, name, kind)
    for others in _METHODS.values():
        for method in others:
            if method not in methods and _defines(fn, method) and callable(getattr(fn, method)):
                raise ConfigError(
                    f"{name} defines {method}, which nothing calls; the methods of a {_BASES[kind].__name__} are "
                    f"{', '.join(methods)}{_other_kind(fn, kind)}"
                )
    for method in methods:
        value = getattr(fn, method, None)
        if value is not None and not callable(value):
            raise ConfigError(f"{name}.{method} is not callable")
        _check_plain(f"{name}.{method}", value)


def _check_events(fn: object, name: str, kind: Kind) -> None:
    """Whether there is something to be called with each record."""
    for base in (CoProcessFunction, BroadcastProcessFunction):
        if isinstance(fn, base) and base is not _BASES[kind]:
            raise ConfigError(f"{name} is a {base.__name__}{_other_kind(fn, kind)}")
    calls = ("on_event", "on_left", "on_right", "on_broadcast", "on_batch")
    defined = {method: _defines(fn, method) for method in calls}
    if kind == "process" and not (defined["on_event"] or defined["on_batch"]):
        raise ConfigError(f"{name} defines no on_event(key, batch, row, ctx){_other_kind(fn, kind)}")
    if kind == "connect":
        sides = [side for side in ("on_left", "on_right") if defined[side]]
        if len(sides) == 1:
            missing = "on_right" if sides == ["on_left"] else "on_left"
            raise ConfigError(
                f"{name} defines {sides[0]} and no {missing}(key, batch, row, ctx); define both, or on_event for the "
                "records of both sides"
            )
        if sides and defined["on_event"]:
            raise ConfigError(
                f"{name} defines on_event and on_left and on_right; define on_event for the records of both sides, or "
                "the other two"
            )
        if not sides and not defined["on_event"]:
            raise ConfigError(f"{name} defines neither on_left and on_right nor on_event (key, batch, row, ctx)")
    if kind == "broadcast":
        for method in ("on_event", "on_broadcast"):
            if not defined[method]:
                raise ConfigError(f"{name} defines no {method}(key, batch, row, ctx)")


def _wanted(kind: Kind) -> str:
    if kind == "broadcast":
        return "a function over a broadcast is an object with on_event and on_broadcast (key, batch, row, ctx)"
    if kind == "connect":
        return (
            "a function over two streams is an object with on_left and on_right, or with on_event (key, batch, row, "
            "ctx), or a callable of these arguments"
        )
    return "a process function is an object with on_event(key, batch, row, ctx) or a callable of these arguments"


def _other_kind(fn: object, kind: Kind) -> str:
    """Where a function of another kind belongs."""
    other = kind_of(fn)
    return "" if other == kind or other == "process" else f"; it belongs to {_APPLY[other]}"


_DEFAULTS = {
    id(method)
    for base in _BASES.values()
    for cls in base.__mro__[:-1]
    for name, method in vars(cls).items()
    if name == "close" or name == "open" or name.startswith("on_")
}


def _defines(fn: object, name: str) -> bool:
    """Whether the object has a method of this name that is not a base class's."""
    if name in getattr(fn, "__dict__", {}):
        return fn.__dict__[name] is not None
    static = getattr(type(fn), name, None)
    return static is not None and id(static) not in _DEFAULTS


def _check_plain(what: str, method: object) -> None:
    for test, kind in (
        (inspect.isgeneratorfunction, "a generator function"),
        (inspect.iscoroutinefunction, "a coroutine function"),
        (inspect.isasyncgenfunction, "an async generator function"),
    ):
        if test(method):
            raise ConfigError(f"{what} is {kind}, whose body would never run; emit results with ctx.emit()")


# ---- the copy that runs ------------------------------------------------------------------------------


def instantiate(operator: Operator) -> Instance:
    """A copy of an operator's function for one run.

    States that are attributes become handles of the copy's own. Those given as arguments stay the objects they are,
    since a plain callable reaches them as globals.
    """
    fn, given = operator.fn, (*operator.states, *operator.broadcast)
    memo: dict[int, Any] = {id(state): state for state in given}
    try:
        target = copy.deepcopy(fn, memo)
    except Exception as error:
        raise ConfigError(
            f"operator {operator.name!r}: {type(fn).__name__} cannot be copied ({type(error).__name__}: {error}); "
            "make connections, locks and "
            "files in open(ctx) instead of __init__"
        ) from error
    handles: dict[str, list[State]] = {}
    _add_handles(handles, given)
    for attribute, state in attribute_states(target).items():
        if any(state is one for one in given):
            continue
        handle = state._private_copy()
        try:
            object.__setattr__(target, attribute, handle)
        except AttributeError:
            handle = state  # __slots__ leave no room for a handle: the class attribute itself is the handle
        _add_handles(handles, [handle])
    if target is not fn and type(getattr(target, "__dict__", None)) is dict:
        # deepcopy leaves a dict that shares its keys with the class, which the interpreter's quick attribute read does
        # not take; one with keys of its own saves 40 of 160 ns a record (CPython 3.11).
        object.__setattr__(target, "__dict__", {**vars(target)})
    states = tuple(one[0] for one in handles.values())
    aliases = tuple((handle, index) for index, one in enumerate(handles.values()) for handle in one[1:])
    return Instance(target, _methods(target, operator.kind), states, aliases)


def _add_handles(handles: dict[str, list[State]], states: Iterable[State]) -> None:
    for state in states:
        same = handles.setdefault(state.name, [])
        if not any(state is one for one in same):
            same.append(state)


def _methods(target: Any, kind: Kind) -> tuple[Method, ...]:
    if not any(hasattr(target, name) for name in ("on_event", "on_left", "on_batch")):
        return tuple((target if name == "on_event" else None, False) for name in _CALLBACKS["process"])
    callbacks = _CALLBACKS[kind]
    if kind == "connect" and not _defines(target, "on_left"):
        callbacks = _CALLBACKS["connect by on_event"]
    return tuple((None, False) if name is None else _method(target, name) for name in callbacks)


def _method(target: Any, name: str) -> Method:
    if not _defines(target, name):
        return None, False
    static = inspect.getattr_static(type(target), name, None)
    if isinstance(static, types.FunctionType) and name not in getattr(target, "__dict__", {}):
        return static, True
    return getattr(target, name), False
