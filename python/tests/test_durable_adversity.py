"""What may befall a durable job besides its own death: full disks, damaged checkpoints, sources and functions that
fail, workers that are killed, files that change. It says what is wrong; and when that is mended, it ends as if nothing
had happened."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from crash_lives import BACKENDS, Death, Life, Lives, Outcome, outcome, prepared

EVERY = 3


@pytest.fixture(scope="module")
def lives() -> Iterator[Lives]:
    with Lives() as lives:
        yield lives


@pytest.fixture(scope="module")
def expected(lives: Lives, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    life = prepared(tmp_path_factory.mktemp("expected"))
    lives.end(life)
    return outcome(life)


def mended(life: Life) -> Life:
    """The same job in the same folder, with nothing in its way."""
    return Life(life.folder, backend=life.backend, sink=life.sink, side=life.side, parallelism=life.parallelism)


def ends_well(lives: Lives, life: Life, expected: Outcome) -> Death:
    death = lives.end(mended(life))
    assert outcome(life).difference(expected) is None, life
    return death


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("most", [0, 700, 9_000, 20_000])
def test_a_full_disk(lives: Lives, expected: Outcome, tmp_path: Path, backend: str, most: int) -> None:
    """No file may grow beyond so many bytes: in the store, in a checkpoint, in a sink."""
    life = prepared(tmp_path, backend=backend, every=EVERY, most_file_bytes=most, side="jsonl")
    death = lives.live(life)
    assert (death.status, death.error in ("StorageError", "OSError")) == (1, True), death
    assert str(tmp_path) in death.words and "File too large" in death.words, death.words
    ends_well(lives, life, expected)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"a disk of its own needs the right to mount one: {made.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.skipif(shutil.which("mount") is None, reason="a disk of its own needs mount")
@pytest.mark.parametrize("parallelism", [1, 2])
@pytest.mark.parametrize(
    ("backend", "left"), [("memory", 30), *(("rocksdb", left) for left in (30, 3000, 4200, 5000, 8400, 10_000))]
)
def test_a_disk_without_room(
    lives: Lives, expected: Outcome, small_disk: Path, backend: str, left: int, parallelism: int
) -> None:
    """So many KiB are free when the job starts, which never dies of it without a word."""
    life = prepared(small_disk, backend=backend, every=EVERY, side="jsonl", parallelism=parallelism)
    ballast = small_disk / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(small_disk).free - left * 1024)
    death = lives.live(life)
    assert death.is_end or (death.status, death.error in ("StorageError", "OSError")) == (1, True), death
    if left <= 3000:
        assert str(small_disk) in death.words and "No space left on device" in death.words, death.words
    if backend == "rocksdb" and left == 3000:
        assert "bytes free" in death.words and "are needed; make room on that disk" in death.words, death.words
    ballast.unlink()
    ends_well(lives, life, expected)


@pytest.mark.skipif(shutil.which("mount") is None, reason="a disk of its own needs mount")
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_disk_that_others_fill(lives: Lives, expected: Outcome, small_disk: Path, backend: str) -> None:
    """At some moment of the job's life, whatever it writes then."""
    life = prepared(small_disk, backend=backend, every=EVERY, side="jsonl", parallelism=2)
    ballast = small_disk / "ballast"

    def fill() -> None:
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 20))

    fails = 0
    for moment in range(12):
        filler = threading.Timer(0.03 * moment, fill)
        filler.start()
        death = lives.live(life)
        filler.join()
        ballast.unlink()
        if not death.is_end:
            assert (death.status, death.error in ("StorageError", "OSError")) == (1, True), death
            assert "No space left on device" in death.words, death.words
            fails += 1
    assert fails > 0
    ends_well(lives, life, expected)


@pytest.mark.parametrize("parallelism", [1, 2])
def test_a_source_that_fails(lives: Lives, expected: Outcome, tmp_path: Path, parallelism: int) -> None:
    life = prepared(tmp_path, every=EVERY, source_fails_at=13, parallelism=parallelism, sink="sqlite", side="parquet")
    for _ in range(2):
        death = lives.live(life)
        assert (death.status, death.error, death.words) == (1, "LookupError", "batch 13 cannot be read")
    ends_well(lives, life, expected)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("parallelism", [1, 2])
def test_a_function_that_is_mended(
    lives: Lives, expected: Outcome, tmp_path: Path, backend: str, parallelism: int
) -> None:
    life = prepared(tmp_path, every=EVERY, fails_at=419, parallelism=parallelism, backend=backend)
    for _ in range(2):
        death = lives.live(life)
        assert (death.status, death.error) == (1, "ArithmeticError"), death
        assert "order 419" in death.words and "operator 'matching'" in death.trace
    ends_well(lives, life, expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_worker_that_is_killed(lives: Lives, expected: Outcome, tmp_path: Path, backend: str) -> None:
    life = prepared(tmp_path, backend=backend, parallelism=2, interval_ms=20, slow=0.03)
    killed = 0
    for after in (0.0, 0.3, 0.1):
        death = lives.live(dataclasses.replace(life, kill_worker_after=after))
        killed += death.error == "WorkerDiedError"
        assert death.is_end or (death.error == "WorkerDiedError" and "SIGKILL" in death.words), death
    assert killed > 0
    ends_well(lives, life, expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_to_read(lives: Lives, tmp_path: Path, backend: str) -> None:
    """Sources without rows, and without batches."""
    life = prepared(tmp_path, rows=0, backend=backend, side="jsonl")
    for _ in range(2):
        lives.end(life)
        found = outcome(life)
        assert found.out == found.odd == []
        assert not any(found.state.values())


def test_an_input_file_that_changes(lives: Lives, expected: Outcome, tmp_path: Path) -> None:
    life = prepared(tmp_path, every=EVERY, source_fails_at=13)
    lives.live(life)
    file = life.path("payments") / "2.parquet"
    before, times = file.read_bytes(), file.stat()
    file.write_bytes(before + b" ")
    death = lives.live(mended(life))
    assert death.error == "SourceError" and str(file) in death.words and "changed" in death.words
    file.unlink()
    death = lives.live(mended(life))
    assert death.error == "SourceError" and str(file) in death.words and "vanished" in death.words
    file.write_bytes(before)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    ends_well(lives, life, expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_file_of_a_checkpoint_is_damaged(lives: Lives, expected: Outcome, tmp_path: Path, backend: str) -> None:
    """One after the other is cut, changed or taken away: it is named, and the checkpoint before is used."""
    life = prepared(tmp_path / "life", backend=backend, every=EVERY, source_fails_at=13, side="jsonl")
    assert lives.live(life).error == "LookupError"
    checkpoints = sorted(life.path("state/checkpoints").iterdir())
    assert len(checkpoints) == 2
    rng = random.Random(3)
    files = [path.relative_to(life.folder) for path in sorted(checkpoints[1].rglob("*")) if path.is_file()]
    assert len(files) > 4
    for number, name in enumerate(files):
        # Files of a copy are nobody else's: those of stores are links.
        other = dataclasses.replace(life, folder=str(tmp_path / str(number)))
        shutil.copytree(life.folder, other.folder)
        path = other.path(str(name))
        content = bytearray(path.read_bytes())
        how = ["cut", "changed", "gone"][rng.randrange(3)] if content else "gone"
        if how == "gone":
            path.unlink()
        elif how == "cut":
            path.write_bytes(content[: rng.randrange(len(content))])
        else:
            content[rng.randrange(len(content))] ^= 0x41
            path.write_bytes(content)
        death = lives.end(mended(other))
        assert f"a checkpoint was passed over: {path}" in death.stderr or str(path) in death.stderr, (how, death.stderr)
        assert death.report["restored_from"] == int(checkpoints[0].name)
        assert outcome(other).difference(expected) is None, (name, how)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_store_that_is_swept_away(lives: Lives, expected: Outcome, tmp_path: Path, backend: str) -> None:
    """Whatever is where the live store was, a start does not rely on it."""
    life = prepared(tmp_path, backend=backend, every=EVERY, source_fails_at=13)
    lives.live(life)
    store = life.path("state/store")
    if backend == "rocksdb":
        assert store.is_dir()
        for path in sorted(store.rglob("*"), reverse=True):
            if path.is_file() and path.stat().st_nlink == 1:
                path.write_bytes(b"nonsense")
    ends_well(lives, life, expected)
    shutil.rmtree(store, ignore_errors=True)
    ends_well(lives, life, expected)
