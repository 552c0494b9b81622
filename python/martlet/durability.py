"""Settings of durable jobs: where state and checkpoints are, how often, from where."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from .backends import InMemoryStateBackend, RocksDbStateBackend, StateBackend, directory
from .durations import milliseconds
from .errors import ConfigError

__all__ = ["CHECKPOINT_INTERVAL", "RETAINED_CHECKPOINTS", "Durability", "Forgotten", "read_durability"]

CHECKPOINT_INTERVAL = "10s"
RETAINED_CHECKPOINTS = 2

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)\s*", re.IGNORECASE)
_UNITS = {
    "b": 1,
    **{f"{p}b": 1000**n for n, p in enumerate("kmgt", 1)},
    **{f"{p}ib": 1024**n for n, p in enumerate("kmgt", 1)},
}
# The engine's own needs, beside which a smaller limit would leave no room for state.
_LEAST_MEMORY = 1 << 20


class Forgotten(NamedTuple):
    """An operator, or one of its states, that checkpoints have and the job has no more."""

    operator: str
    state: str | None = None


class Durability(NamedTuple):
    """The settings, checked and in one form each."""

    state_backend: StateBackend
    state_dir: Path | None
    checkpoint_interval: int | None
    restore_from: Path | None
    forget: tuple[Forgotten, ...]
    memory_limit: int | None
    retained_checkpoints: int


def read_durability(
    profile: str,
    state_backend: object,
    state_dir: object,
    checkpoint_interval: object,
    restore_from: object,
    forget: object,
    memory_limit: object,
    retained_checkpoints: object,
) -> Durability:
    """ConfigError for what is not allowed, or contradicts the profile or itself."""
    is_profile = profile == "single-node-durable"
    is_distributed = profile == "distributed-durable"
    if state_dir is None and is_profile:
        state_dir = os.environ.get("MARTLET_STATE_DIR") or None
        if state_dir is None:
            raise ConfigError(
                "profile='single-node-durable' needs state_dir=, the directory of the job's state and checkpoints; or "
                "set MARTLET_STATE_DIR"
            )
    found = Durability(
        _backend(state_backend, is_profile or is_distributed),
        None if state_dir is None else directory("state_dir", state_dir),
        _interval(checkpoint_interval),
        None if restore_from is None else directory("restore_from", restore_from),
        _forget(forget),
        _memory(memory_limit),
        _retained(retained_checkpoints),
    )
    if is_profile and isinstance(found.state_backend, InMemoryStateBackend):
        raise ConfigError(
            "profile='single-node-durable' keeps state in RocksDB: leave state_backend= out, or use "
            "RocksDbStateBackend(); profile='dev-local' with state_dir= checkpoints an InMemoryStateBackend()"
        )
    if found.memory_limit is not None and isinstance(found.state_backend, InMemoryStateBackend):
        raise ConfigError(
            f"memory_limit={memory_limit!r} is for state on disk, and an InMemoryStateBackend() has all of it in "
            "memory; use RocksDbStateBackend(), or leave memory_limit= out"
        )
    if found.state_dir is None and not is_distributed:
        _check_needs_no_directory(found)
    return found


def _check_needs_no_directory(found: Durability) -> None:
    for setting, is_set in (
        ("state_backend=RocksDbStateBackend()", isinstance(found.state_backend, RocksDbStateBackend)),
        ("restore_from=", found.restore_from is not None),
        ("forget=", bool(found.forget)),
        ("checkpoint_interval=", found.checkpoint_interval != _interval(CHECKPOINT_INTERVAL)),
        ("retained_checkpoints=", found.retained_checkpoints != RETAINED_CHECKPOINTS),
    ):
        if is_set:
            raise ConfigError(
                f"{setting} needs state_dir=, the directory of the job's state and checkpoints; without one the job "
                "keeps none"
            )


def _backend(value: object, is_durable: bool) -> StateBackend:
    if value is None:
        return RocksDbStateBackend() if is_durable else InMemoryStateBackend()
    if isinstance(value, (InMemoryStateBackend, RocksDbStateBackend)):
        return value
    raise ConfigError(f"state_backend={value!r} is not allowed; use InMemoryStateBackend() or RocksDbStateBackend()")


def _interval(value: object) -> int | None:
    if value is None:
        return None
    found = milliseconds(value)
    if found is None or not 1 <= found < 2**31:
        raise ConfigError(
            f"checkpoint_interval={value!r} is not allowed; use milliseconds of 1 or more, '500ms', '5s', '10m', a "
            "timedelta, or None for checkpoints only at the end and on request"
        )
    return found


def _forget(value: object) -> tuple[Forgotten, ...]:
    values = (value,) if isinstance(value, (str, Forgotten)) else value
    if isinstance(values, Iterable):
        found = [_forgotten(one) for one in values]
        if None not in found:
            return tuple(one for one in found if one is not None)
    raise ConfigError(
        f"forget={value!r} is not allowed; use a list of names of operators, and of pairs (operator, state), that the "
        "job has no more"
    )


def _forgotten(value: object) -> Forgotten | None:
    match value:
        case str(operator) if _is_name(operator):
            return Forgotten(operator)
        case (str(operator), (str() | None) as state) if _is_name(operator) and (state is None or _is_name(state)):
            return Forgotten(operator, state)
    return None


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value) and "\0" not in value


def _memory(value: object) -> int | None:
    if value is None:
        return None
    found = value if isinstance(value, int) and not isinstance(value, bool) else None
    if isinstance(value, str) and (match := _SIZE.fullmatch(value)):
        found = int(float(match[1]) * _UNITS[match[2].lower()])
    if found is None or not _LEAST_MEMORY <= found < 2**63:
        raise ConfigError(
            f"memory_limit={value!r} is not allowed; use bytes, or a text such as '512MB' or '2GiB'; at least 1MiB"
        )
    return found


def _retained(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < 2**31:
        raise ConfigError(f"retained_checkpoints={value!r} is not allowed; use an int of 1 or more")
    return value
