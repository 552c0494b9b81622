"""Settings of a run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ._engine import ManualClock
from .backends import StateBackend
from .distribution import read_distribution
from .durability import CHECKPOINT_INTERVAL, RETAINED_CHECKPOINTS, Forgotten, read_durability
from .errors import ConfigError
from .parallelism import read_parallelism

__all__ = ["Config", "explained_config"]

_PROFILES = ("dev-local", "single-node-durable", "distributed-durable")
_NULL_KEYS = ("raise", "drop", "dead_letter")
_NULL_TIMESTAMPS = ("raise", "drop", "process", "dead_letter")
_ON_ERROR = ("raise", "skip", "dead_letter")
_LATE = ("process", "drop", "side_output")
_AT_END = ("fire", "drop", "keep")
_SETTINGS = (
    "profile",
    "on_error",
    "late",
    "null_keys",
    "null_timestamps",
    "progress",
    "metrics",
    "name",
    "clock",
    "at_end",
    "parallelism",
    "max_parallelism",
    "state_backend",
    "state_dir",
    "checkpoint_interval",
    "restore_from",
    "forget",
    "memory_limit",
    "retained_checkpoints",
    "cluster",
    "flink",
)


class Config:
    """Settings of one job. Immutable; one job has one config.

    - `profile`: `"dev-local"`: state in memory, checkpoints only with a `state_dir`; or `"single-node-durable"`: state
      in RocksDB and checkpoints in `state_dir`, which it needs: the job goes on by itself where it was stopped or
      killed; or `"distributed-durable"`: on Apache Flink (`pip install martlet[flink]`, Java 17). Defaults to the
      environment variable MARTLET_PROFILE, then to `"dev-local"`.
    - `on_error`: what becomes of a record, or a timer, whose call raises an Exception: `"raise"` it, with a note that
      says where; `"skip"` it: what the call did to states, timers and outputs is taken back, it is counted in the
      report (`errors`) and logged (logger "martlet"); `"dead_letter"`: the same, and one row for each record of the
      call goes to `out.side_output("errors")`, see `Stream.side_output`. KeyboardInterrupt, SystemExit and MemoryError
      always end the run.
    - `late`: what becomes of a record at or behind the watermark: `"process"`: it is delivered (`ctx.is_late` tells)
      and counted; `"drop"` it and count it; `"side_output"`: it goes as it is, with its timestamp, to
      `out.side_output("late")` of the first function that finds it late.
    - `null_keys`: what becomes of a record whose key is null: `"raise"` NullKeyError, `"drop"` it and count it in the
      report, or `"dead_letter"`: to `out.side_output("errors")` as well.
    - `null_timestamps`: the same for a null event time: `"raise"` NullTimestampError, `"drop"`, `"dead_letter"`, or
      `"process"`: the record is delivered without a timestamp and does not move the watermark.
    - `progress`: a line on the terminal that shows how far a run is: True, False, or None: what MARTLET_PROGRESS says
      (1 or 0), else when standard error is a terminal and the run takes longer than 2 seconds. Through `rich` if that
      is installed.
    - `metrics`: an object with `update(job, counters)`, called every second and at the end, such as
      `martlet.metrics.PrometheusMetrics()`.
    - `name`: the job's name in messages.
    - `clock`: where processing time comes from: None or `"system"` for the system's clock, or a `mt.ManualClock()`,
      which stands still until its `advance_to(ms)` is called.
    - `at_end`: what becomes of processing-time timers that are pending when a bounded input ends (event-time timers
      always fire): `"fire"` fires them in order of time, with `ctx.processing_time` showing the time of each;
      `"drop"` forgets them; `"keep"` leaves them pending, counted in the report.
    - `parallelism`: how many instances of every function work at once, each in a worker process of its own and with its
      share of the keys. The output is that of a serial run, in its order. Defaults to the environment variable
      MARTLET_PARALLELISM, then to 1: no processes. Functions travel by cloudpickle (`pip install martlet[parallel]`).
      Prints of workers appear where this process prints; logging in a worker is the worker's own, which writes warnings
      to standard error: that is also where skipped failures are logged.
    - `max_parallelism`: into how many groups keys are divided, and so the largest `parallelism`; 1 to 32768. It stays
      the same for as long as the job has checkpoints.

    Of durable jobs:

    - `state_dir`: the directory of the job's state and checkpoints, of one job at a time. A job that finds a checkpoint
      there goes on from it. Defaults, in the profile `"single-node-durable"`, to MARTLET_STATE_DIR.
    - `state_backend`: `mt.InMemoryStateBackend()` or `mt.RocksDbStateBackend()`; by default that of the profile. A job
      may go on with another one.
    - `checkpoint_interval`: how often a checkpoint is taken: a duration as for watermarks; None: only at the end, and
      on request (`Stream.start`). Reads back in milliseconds.
    - `restore_from`: a savepoint, a checkpoint, or a state directory to start from when `state_dir` has no checkpoint.
    - `forget`: what checkpoints have and the job has no more: names of operators, and pairs (operator, state). Without
      it, a dropped operator is a SnapshotMismatchError, and a dropped state is kept for the day it comes back.
    - `memory_limit`: of state on disk, how much memory it may take: bytes, or "512MB", "2GiB". Reads back in bytes.
    - `retained_checkpoints`: how many checkpoints are kept, so that there is one before a damaged one.

    Of `profile="distributed-durable"`, where `state_dir` is where Flink puts its checkpoints (a path or URI that every
    machine of the cluster reaches), and `restore_from` one of them, or a savepoint:

    - `cluster`: `"host:8081"`, the address of a running cluster's REST service; None: a mini-cluster in this machine,
      for as long as the job runs.
    - `flink`: settings of Flink by Flink's names, such as `{"restart-strategy.type": "fixed-delay"}`. They go before
      what follows from the other settings. `"pipeline.jars"`: jars on this machine that travel with the job, paths or
      file: URIs with `;` between them; the connector for Kafka is one. `"kafka.<name>"`: a setting of Kafka's Java
      client.

    An unknown setting or value is a ConfigError that lists what is allowed.
    """

    __slots__ = _SETTINGS

    profile: str
    on_error: str
    late: str
    null_keys: str
    null_timestamps: str
    progress: bool | None
    metrics: Any
    name: str | None
    clock: ManualClock | None
    at_end: str
    parallelism: int
    max_parallelism: int
    state_backend: StateBackend
    state_dir: Path | None
    checkpoint_interval: int | None
    restore_from: Path | None
    forget: tuple[Forgotten, ...]
    memory_limit: int | None
    retained_checkpoints: int
    cluster: str | None
    flink: tuple[tuple[str, str], ...]

    def __init__(
        self,
        *,
        profile: str | None = None,
        null_keys: str = "raise",
        null_timestamps: str = "raise",
        on_error: str = "raise",
        late: str = "process",
        progress: bool | None = None,
        metrics: Any = None,
        name: str | None = None,
        clock: ManualClock | str | None = None,
        at_end: str = "fire",
        parallelism: int | None = None,
        max_parallelism: int = 128,
        state_backend: StateBackend | None = None,
        state_dir: str | os.PathLike[str] | None = None,
        checkpoint_interval: Any = CHECKPOINT_INTERVAL,
        restore_from: str | os.PathLike[str] | None = None,
        forget: Any = (),
        memory_limit: int | str | None = None,
        retained_checkpoints: int = RETAINED_CHECKPOINTS,
        cluster: str | None = None,
        flink: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        **unknown: object,
    ) -> None:
        if unknown:
            raise ConfigError(f"unknown setting {next(iter(unknown))!r}; the settings are {_listed(_SETTINGS)}")
        origin = "profile"
        if profile is None and (profile := os.environ.get("MARTLET_PROFILE")):
            origin = "MARTLET_PROFILE"
        if name is not None and (not isinstance(name, str) or not name or "\0" in name):
            raise ConfigError(f"name={name!r} is not a name; use a str that is not empty")
        put = object.__setattr__
        put(self, "profile", _one_of(origin, profile or "dev-local", _PROFILES))
        put(self, "null_keys", _one_of("null_keys", null_keys, _NULL_KEYS))
        put(self, "null_timestamps", _one_of("null_timestamps", null_timestamps, _NULL_TIMESTAMPS))
        put(self, "on_error", _one_of("on_error", on_error, _ON_ERROR))
        put(self, "late", _one_of("late", late, _LATE))
        if progress is not None and not isinstance(progress, bool):
            raise ConfigError(f"progress={progress!r} is not allowed; use True, False or None")
        if metrics is not None and not callable(getattr(metrics, "update", None)):
            raise ConfigError(
                "metrics= takes an object with update(job, counters), such as martlet.metrics.PrometheusMetrics(), "
                f"got {type(metrics).__name__}"
            )
        put(self, "progress", _environment_progress() if progress is None else progress)
        put(self, "metrics", metrics)
        put(self, "name", name)
        if clock not in (None, "system") and not isinstance(clock, ManualClock):
            raise ConfigError(f"clock={clock!r} is not a clock; use 'system' or mt.ManualClock()")
        put(self, "clock", None if isinstance(clock, str) else clock)
        put(self, "at_end", _one_of("at_end", at_end, _AT_END))
        instances, groups = read_parallelism(parallelism, max_parallelism)
        put(self, "parallelism", instances)
        put(self, "max_parallelism", groups)
        durability = read_durability(
            self.profile,
            state_backend,
            state_dir,
            checkpoint_interval,
            restore_from,
            forget,
            memory_limit,
            retained_checkpoints,
        )
        for setting, value in durability._asdict().items():
            put(self, setting, value)
        place, options = read_distribution(self.profile, cluster, flink)
        put(self, "cluster", place)
        put(self, "flink", options)

    @property
    def is_durable(self) -> bool:
        """Whether the engine takes checkpoints. (On Flink it is Flink that does.)"""
        return self.state_dir is not None and self.profile != "distributed-durable"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Config is immutable: make a new one to change {name!r}")

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (dict(zip(_SETTINGS, self._values(), strict=True)),)

    def _values(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in _SETTINGS)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Config) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        return f"Config({', '.join(f'{name}={getattr(self, name)!r}' for name in _SETTINGS)})"


def explained_config(config: Config | None, profile: str | None) -> Config | None:
    """A config as if it had another profile; what only its own profile allows is left out."""
    if profile is None or (config is not None and config.profile == profile):
        return config
    config = config or Config(profile="dev-local")
    kept = {name: getattr(config, name) for name in _SETTINGS[: _SETTINGS.index("state_backend")]}
    return Config(**{**kept, "profile": profile})


def _rebuild(settings: dict[str, Any]) -> Config:
    return Config(**settings)


def _listed(values: tuple[str, ...]) -> str:
    return ", ".join(map(repr, values))


def _environment_progress() -> bool | None:
    value = os.environ.get("MARTLET_PROGRESS")
    if value not in (None, "", "0", "1"):
        raise ConfigError(f"MARTLET_PROGRESS={value!r} is not allowed; use 1 or 0")
    return value == "1" if value else None


def _one_of(setting: str, value: object, allowed: tuple[str, ...]) -> str:
    if isinstance(value, str) and value in allowed:
        return value
    raise ConfigError(f"{setting}={value!r} is not allowed; use {' or '.join(map(repr, allowed))}")
