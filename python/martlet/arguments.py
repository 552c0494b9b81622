"""What users write as arguments, checked. Everything that does not fit is a ConfigError that says what does."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ._engine import Schema, State
from .config import Config
from .durations import milliseconds
from .errors import ConfigError

__all__ = [
    "check_states",
    "check_tag",
    "duration",
    "key_columns",
    "name_or_none",
    "one_config",
    "side_keys",
    "side_schemas",
    "unique_name",
]

Key = tuple[str, ...]


def key_columns(columns: Iterable[str]) -> Key:
    """The columns of one key."""
    try:
        names = tuple(columns)
    except TypeError:
        raise ConfigError(f"a key is a column name or a sequence of them, got {type(columns).__name__}") from None
    if not names:
        raise ConfigError("a key needs at least one column")
    for name in names:
        if not isinstance(name, str):
            raise ConfigError(f"a key column is named by a str, got {type(name).__name__} {name!r}")
    if len(set(names)) < len(names):
        raise ConfigError(f"a key names each column once, got {', '.join(names)}")
    return names


def side_keys(key: Any) -> tuple[Key, Key]:
    """The keys of two inputs: one column for both, or a pair with a column or a sequence of columns for each."""
    if isinstance(key, str):
        return (key,), (key,)
    try:
        parts = tuple(key)
    except TypeError:
        parts = ()
    if len(parts) != 2:
        raise ConfigError(
            "the key of two streams is a column that both have, or a pair (left, right), each a column or a tuple of "
            f"columns; got {key!r}"
        )
    left, right = (key_columns((part,) if isinstance(part, str) else part) for part in parts)
    return left, right


def name_or_none(name: object) -> str | None:
    """`name=` of a stream or an operator."""
    if name is None or (isinstance(name, str) and name and "\0" not in name):
        return name
    raise ConfigError(f"name={name!r} is not a name; use a str that is not empty")


def unique_name(name: str, taken: Collection[str], *, given: bool = False) -> str:
    """The name, numbered if it is taken. A name that was given is not changed: ConfigError."""
    if name not in taken:
        return name
    if given:
        raise ConfigError(f"there is an operator named {name!r} already; give each its own name")
    return next(numbered for n in itertools.count(2) if (numbered := f"{name}-{n}") not in taken)


def duration(setting: str, value: object, words: str) -> int:
    """A length of time in milliseconds, 0 or more. `words`: what the setting is, for the message."""
    total = milliseconds(value)
    if total is None:
        raise ConfigError(
            f"{setting}={value!r} is no duration; use milliseconds, '500ms', '5s', '10m', '2h', '1d' or a timedelta"
        )
    if total < 0 or total >= 2**63:
        raise ConfigError(f"{setting}={value!r} is out of range; {words}")
    return total


def check_tag(tag: object) -> str:
    """The tag of a side output."""
    if not isinstance(tag, str) or not tag or "\0" in tag:
        raise ConfigError(f"the tag of a side output is a str that is not empty, got {tag!r}")
    return tag


def side_schemas(side_outputs: Mapping[str, Any] | None) -> dict[str, Schema]:
    """`side_outputs=` of a function."""
    if side_outputs is not None and not isinstance(side_outputs, Mapping):
        raise ConfigError(f"side_outputs= is a mapping from tags to schemas, got {type(side_outputs).__name__}")
    return {check_tag(tag): Schema(schema) for tag, schema in (side_outputs or {}).items()}


def check_states(states: Iterable[object]) -> None:
    """What stands after the function in the arguments."""
    for state in states:
        if not isinstance(state, State):
            raise ConfigError(
                f"expected a state such as ValueState('count') after the function, got {type(state).__name__} {state!r}"
            )


def one_config(*configs: Config | None) -> Config | None:
    """The config of a job from those of its parts; None when none of them has one."""
    chosen: Config | None = None
    for config in configs:
        if config is not None and not isinstance(config, Config):
            raise ConfigError(f"config= is a martlet.Config, got {type(config).__name__}")
        if chosen is not None and config is not None and chosen != config:
            raise ConfigError(f"one job has one config, got {chosen!r} and {config!r}")
        chosen = chosen or config
    return chosen
