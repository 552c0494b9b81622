"""Process functions: the base class, and what is read from a user's object before it runs."""

from __future__ import annotations

import copy
import inspect
import types
from collections.abc import Callable
from typing import Any, ClassVar, Self

from ._engine import Context, Record, RecordBatch, State
from .errors import ConfigError

__all__ = ["ProcessFunction"]

_METHODS = ("open", "on_event", "on_timer", "close", "on_end", "on_batch")
# Methods of the design that nothing calls yet: an object that defines one would wait for it in vain.
_NOT_CALLED = ("on_left", "on_right", "on_broadcast")


class ProcessFunction:
    """Per-record code over a keyed stream, with keyed state and timers (Flink: KeyedProcessFunction).

    States are class or instance attributes; inside a callback they read and write the current key's values. One deep
    copy of the object runs per parallel instance.

    A state written in the class body becomes an attribute of every instance (`fn.count`, not `Counter.count`).
    """

    # CPython reads an instance attribute without a lookup only while the class has none of that name. With the states
    # left in the class body, the counter of the README takes 153 ns a record instead of 126 (CPython 3.11).
    _declared_states: ClassVar[dict[str, State]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._declared_states = {name: value for name, value in vars(cls).items() if isinstance(value, State)}
        for name in cls._declared_states:
            delattr(cls, name)

    def __new__(cls, *args: Any, **options: Any) -> Self:
        self = super().__new__(cls)
        for name, state in _inherited_states(cls).items():
            # In a class with __slots__ and no __dict__ the state can only live in a slot of its own.
            setattr(self, name, state)
        return self

    def open(self, ctx: Context) -> None:
        """Called once before the first record. There is no current key here."""

    def on_event(self, key: Any, batch: Record, row: int, ctx: Context) -> None:
        """Called for each record. `batch` is a view of the one record, `row` its index in that view: always 0."""
        raise NotImplementedError(f"{type(self).__name__} has no on_event(key, batch, row, ctx)")

    def on_timer(self, key: Any, fire_time_ms: int, ctx: Context) -> None:
        """Called when a timer of this key fires; `fire_time_ms` is the time it was registered for.

        `ctx.timer_domain` and `ctx.timer_name` tell which timer it is. Callbacks of one instance never overlap.
        """

    def on_batch(self, key: Any, batch: RecordBatch, ctx: Context) -> None:
        """Called in place of on_event, when it is defined, for all consecutive records of one key in the input at once.

        `batch` has these records as rows, at most 8192. The slice ends with its key, with the input batch, where the
        watermark makes a timer due, and where records begin or cease to be late; so nothing is in it that on_event
        would have seen after a timer fired. `ctx.timestamp` and `ctx.watermark` are those that on_event would see with
        the last record; a timer that on_event would have set *and seen fire* between two of these records fires after
        the slice. `ctx.emit(batch)`, or a slice of it, emits the records with their own timestamps; everything else
        carries `ctx.timestamp`. An error policy takes back, and counts, all records of a failed call.
        """

    def close(self) -> None:
        """Called once after the last record, also when the run failed."""


def _inherited_states(cls: type) -> dict[str, State]:
    """The states declared in the bodies of a class and its bases, less those that a subclass replaced."""
    states: dict[str, State] = {}
    for base in reversed(cls.__mro__):
        for name in vars(base):
            states.pop(name, None)
        states.update(vars(base).get("_declared_states", {}))
    return states


Method = tuple[Callable[..., Any] | None, bool]


def function_name(fn: object) -> str:
    """A name for the operator: the function's or the class's."""
    name = getattr(fn, "__name__", None)
    return name if isinstance(name, str) else type(fn).__name__


def check_function(fn: object) -> None:
    """ConfigError if `fn` cannot process a keyed stream."""
    kind = type(fn).__name__
    if isinstance(fn, type):
        raise ConfigError(f"{fn.__name__} is a class; pass an instance: {fn.__name__}()")
    if not hasattr(fn, "on_event") and not hasattr(fn, "on_batch"):
        if callable(fn):
            _check_plain("it", fn)
            return
        raise ConfigError(
            "a process function is an object with on_event(key, batch, row, ctx) or a callable of these arguments, "
            f"got {kind}"
        )
    if not any(_defines(fn, name) for name in ("on_event", "on_batch")):
        raise ConfigError(f"{kind} defines no on_event(key, batch, row, ctx)")
    for name in _NOT_CALLED:
        if callable(getattr(fn, name, None)):
            raise ConfigError(
                f"{kind} defines {name}, which nothing calls; the methods of a process function are "
                f"{', '.join(_METHODS)}"
            )
    for name in _METHODS:
        method = getattr(fn, name, None)
        if method is not None and not callable(method):
            raise ConfigError(f"{kind}.{name} is not callable")
        _check_plain(f"{kind}.{name}", method)


def _defines(fn: object, name: str) -> bool:
    """Whether the object has a method of this name that is not the base class's."""
    own = getattr(fn, "__dict__", {}).get(name)
    return own is not None or getattr(type(fn), name, None) not in (None, getattr(ProcessFunction, name))


def _check_plain(what: str, method: object) -> None:
    for test, kind in (
        (inspect.isgeneratorfunction, "a generator function"),
        (inspect.iscoroutinefunction, "a coroutine function"),
        (inspect.isasyncgenfunction, "an async generator function"),
    ):
        if test(method):
            raise ConfigError(f"{what} is {kind}, whose body would never run; emit results with ctx.emit()")


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


def all_states(fn: object, extra: tuple[State, ...], operator: str) -> list[State]:
    """Every state of an operator, once. Two states of one name are a ConfigError."""
    by_name: dict[str, State] = {}
    for state in (*attribute_states(fn).values(), *extra):
        if by_name.setdefault(state.name, state) is not state:
            raise ConfigError(
                f"operator {operator!r} declares two states named {state.name!r}; names of states are unique in an "
                "operator"
            )
    return list(by_name.values())


def instantiate(fn: Any, extra: tuple[State, ...], operator: str) -> tuple[Any, tuple[Method, ...], tuple[State, ...]]:
    """A copy of the function for one run: (copy, methods, states).

    States that are attributes become handles of the copy's own. Those given as arguments stay the objects they are,
    since a plain callable reaches them as globals.
    """
    memo: dict[int, Any] = {id(state): state for state in extra}
    try:
        target = copy.deepcopy(fn, memo)
    except Exception as error:
        raise ConfigError(
            f"operator {operator!r}: {type(fn).__name__} cannot be copied ({type(error).__name__}: {error}); "
            "make connections, locks and "
            "files in open(ctx) instead of __init__"
        ) from error
    states: dict[str, State] = {state.name: state for state in extra}
    for attribute, state in attribute_states(target).items():
        if state.name in states:
            continue
        handle = state._private_copy()
        try:
            object.__setattr__(target, attribute, handle)
        except AttributeError:
            handle = state  # __slots__ leave no room for a handle: the class attribute itself is the handle
        states[state.name] = handle
    if target is not fn and type(getattr(target, "__dict__", None)) is dict:
        # deepcopy leaves a dict that shares its keys with the class, which the interpreter's quick attribute read does
        # not take; one with keys of its own saves 40 of 160 ns a record (CPython 3.11).
        object.__setattr__(target, "__dict__", {**vars(target)})
    return target, _methods(target), tuple(states.values())


def _methods(target: Any) -> tuple[Method, ...]:
    if not hasattr(target, "on_event") and not hasattr(target, "on_batch"):
        return tuple((target if name == "on_event" else None, False) for name in _METHODS)
    return tuple(_method(target, name) for name in _METHODS)


def _method(target: Any, name: str) -> Method:
    static = inspect.getattr_static(type(target), name, None)
    if static is None and not hasattr(target, name):
        return None, False
    if static is getattr(ProcessFunction, name, None) and name not in getattr(target, "__dict__", {}):
        return None, False
    if isinstance(static, types.FunctionType) and name not in getattr(target, "__dict__", {}):
        return static, True
    return getattr(target, name), False
