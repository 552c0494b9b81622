"""Which files a source has, and when a new one is complete."""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import ConfigError, SourceError

__all__ = ["FileId", "Listing"]


class FileId(NamedTuple):
    """A file as it was when it was listed. A file of another size or time of change is not the same file."""

    name: str
    size: int
    mtime_ns: int


class Listing:
    """The files behind a path, and which of them are complete.

    `path`: a file, a directory (its files with one of `suffixes`, not those below it), a pattern (`*`, `?`, `[…]`,
    `**`), or an iterable of files. In directories and patterns, names that begin with `.` or `_` are left out: that is
    where writers keep what is not ready.

    Names are relative to the directory, or as given: a directory may be moved between two runs.
    """

    def __init__(self, label: str, path: Any, suffixes: tuple[str, ...], order: str, settle_s: float) -> None:
        self._label = label
        self._suffixes = suffixes
        self._order = order
        self._settle_s = settle_s
        self._seen: dict[str, tuple[FileId, float]] = {}
        self._files: list[str] | None = None
        self._pattern: str | None = None
        self.root: Path | None = None
        if isinstance(path, (str, os.PathLike)):
            text = os.fspath(path)
            if not isinstance(text, str):
                raise ConfigError(f"{label}: a path is a str or a pathlib.Path, got {type(text).__name__}")
            if glob.has_magic(text) and not Path(text).exists():
                self._pattern = text
            elif Path(text).is_dir():
                self.root = Path(text)
            else:
                self._files = [text]
        elif isinstance(path, Iterable) and not isinstance(path, (bytes, bytearray)):
            self._files = [os.fspath(one) for one in path]
            if not self._files:
                raise ConfigError(f"{label}: the list of files is empty")
        else:
            raise ConfigError(f"{label}: a path is a str, a pathlib.Path or a list of them, got {type(path).__name__}")

    @property
    def grows(self) -> bool:
        """Whether files can be added: to a directory or a pattern."""
        return self._files is None

    def path(self, name: str) -> Path:
        return self.root / name if self.root is not None else Path(name)

    def current(self) -> dict[str, FileId]:
        """All files there are now. A file that was named and is not there raises SourceError."""
        found = {name: self.stat(name) for name in self._names()}
        return {name: one for name, one in found.items() if one is not None}

    def stat(self, name: str) -> FileId | None:
        try:
            status = self.path(name).stat()
        except FileNotFoundError:
            if self._files is None:
                return None
            raise SourceError(f"{self._label}: there is no file {name}") from None
        return FileId(name, status.st_size, status.st_mtime_ns)

    def sorted(self, files: Iterable[FileId]) -> list[FileId]:
        if self._order == "mtime":
            return sorted(files, key=lambda one: (one.mtime_ns, one.name))
        return sorted(files, key=lambda one: one.name)

    def settled(self, files: Iterable[FileId]) -> list[FileId]:
        """Those that have not changed for the settle time: by their time of change, or by being watched."""
        now, wall = time.monotonic(), time.time()
        seen, ready = {}, []
        for one in files:
            before, since = self._seen.get(one.name, (None, now))
            if before != one:
                since = now
            seen[one.name] = one, since
            if now - since >= self._settle_s or wall - one.mtime_ns / 1e9 >= self._settle_s:
                ready.append(one)
        self._seen = seen
        return ready

    def _names(self) -> list[str]:
        if self._files is not None:
            return self._files
        if self._pattern is not None:
            paths = glob.glob(self._pattern, recursive=True)  # noqa: PTH207, names must stay as the pattern gives them
            return [name for name in paths if _is_shown(Path(name).name) and Path(name).is_file()]
        assert self.root is not None
        try:
            entries = list(self.root.iterdir())
        except FileNotFoundError:
            raise SourceError(f"{self._label}: the directory {self.root} has vanished") from None
        return [
            entry.name
            for entry in entries
            if _is_shown(entry.name) and entry.name.lower().endswith(self._suffixes) and entry.is_file()
        ]


def _is_shown(name: str) -> bool:
    return not name.startswith((".", "_"))
