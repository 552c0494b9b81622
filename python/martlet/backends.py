"""Where the state of a job is kept while it runs."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import ConfigError

__all__ = ["InMemoryStateBackend", "RocksDbStateBackend", "StateBackend"]


class InMemoryStateBackend:
    """State in the memory of the process. A checkpoint writes all of it: right while it fits, and changes
    everywhere."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, InMemoryStateBackend)

    def __hash__(self) -> int:
        return hash(InMemoryStateBackend)

    def __repr__(self) -> str:
        return "InMemoryStateBackend()"


class RocksDbStateBackend:
    """State in RocksDB, on disk; what is in use is kept in memory, up to `Config(memory_limit=…)`. A checkpoint writes
    what changed since the last one.

    `path`: a directory for the files that are written while the job runs; by default `store` in the job's state
    directory. Checkpoints are made of hard links to them, so it must be on the file system of the state directory. A
    job empties it when it starts: everything that counts is in the checkpoints.
    """

    __slots__ = ("path",)

    path: Path | None

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        object.__setattr__(self, "path", None if path is None else directory("RocksDbStateBackend(path=…)", path))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a RocksDbStateBackend is immutable: make a new one to change {name!r}")

    def __reduce__(self) -> tuple[object, ...]:
        return RocksDbStateBackend, (self.path,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RocksDbStateBackend) and self.path == other.path

    def __hash__(self) -> int:
        return hash((RocksDbStateBackend, self.path))

    def __repr__(self) -> str:
        return f"RocksDbStateBackend({'' if self.path is None else repr(str(self.path))})"


StateBackend = InMemoryStateBackend | RocksDbStateBackend


def directory(setting: str, value: object) -> Path:
    """A path as a setting has it; ConfigError if it is none."""
    text = os.fspath(value) if isinstance(value, (str, os.PathLike)) else ""
    if isinstance(text, str) and text and "\0" not in text:
        return Path(text)
    raise ConfigError(f"{setting}={value!r} is not allowed; use the path of a directory")
