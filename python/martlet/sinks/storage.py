"""What the sinks ask of the file system, in one place: tests make each call fail in turn."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import urllib.parse
from collections.abc import Iterator
from io import BufferedWriter
from pathlib import Path
from typing import IO

from ..errors import SinkError

__all__ = [
    "Lock",
    "create",
    "make_directory",
    "naming",
    "quoted",
    "remove",
    "remove_tree",
    "rename",
    "sync",
    "sync_directory",
    "write_durably",
]


def create(path: Path) -> BufferedWriter:
    return path.open("wb")


@contextlib.contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """What goes wrong with writing an open file tells which one it is, as what goes wrong with opening it does."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = os.fspath(path)
        raise


def sync(file: IO[bytes]) -> None:
    """What was written to the file is on disk when this returns."""
    file.flush()
    os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Names that were added, changed or removed in the directory are on disk when this returns."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename(source: Path, target: Path) -> None:
    """Atomic; a file under the new name is replaced."""
    source.replace(target)


def remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def remove_tree(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)


def make_directory(path: Path) -> None:
    """With all above it, durably."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for one in reversed(missing):
        one.mkdir(exist_ok=True)
        sync_directory(one.parent)


def write_durably(path: Path, content: bytes) -> None:
    """The whole content under this name, or what was there before."""
    beside = path.with_name(path.name + ".new")
    with create(beside) as file:
        file.write(content)
        sync(file)
    rename(beside, path)
    sync_directory(path.parent)


def quoted(name: str) -> str:
    """A name of a job or a table as part of a file name, reversible; never hidden, never a path."""
    text = urllib.parse.quote(name, safe=" ~")
    if text.startswith((".", "_", " ")):
        text = f"%{ord(text[0]):02X}{text[1:]}"
    if len(text) > 150:
        raise SinkError(f"the name {name!r} is too long for the name of a file; use a shorter one")
    return text


class Lock:
    """Keeps a second sink out of a directory, for as long as this object lives or until it is released."""

    __slots__ = ("_file", "_path")

    def __init__(self, directory: Path, words: str) -> None:
        self._path = directory / "lock"
        self._file: IO[bytes] | None = None
        while self._file is None:
            self._file = self._path.open("ab")
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self.release()
                raise SinkError(
                    f"{words} is being written by another process or sink; stop that one, or give this job another name"
                ) from None
            # One that was removed by its last owner meanwhile keeps nobody out.
            if not self._path.exists() or not os.path.samestat(self._path.stat(), os.fstat(self._file.fileno())):
                self.release()

    def release(self, *, remove: bool = False) -> None:
        file, self._file = self._file, None
        if file is not None:
            if remove:
                self._path.unlink(missing_ok=True)
            file.close()

    def __del__(self) -> None:
        self.release()
