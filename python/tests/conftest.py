"""What holds for all tests, and fixtures that several files use."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# A shell starts what it runs in the background with SIGINT ignored, and so would every program that a test starts: then
# nothing here could be interrupted.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def without_fsync() -> Iterator[None]:
    """A killed process loses nothing that was written; only a machine without power would. Waiting for the disk is most
    of the time of these tests."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture
def memory_path(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory where the system has that: for what waits for the disk again and again."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="martlet-tests-", dir="/dev/shm") as path:
        yield Path(path)
