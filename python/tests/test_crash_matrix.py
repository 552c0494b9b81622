"""Every place where a job can die, by `kill -9`, at its first, second and last visit: what is committed in the end, and
the state of the last checkpoint, are those of a run without interruption."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from crash_lives import BACKENDS, Death, Life, Lives, Outcome, outcome, prepared

SOURCE = Path(__file__).resolve().parents[2] / "Sources/Martlet/Support/FaultPoint.swift"
ALL = re.findall(r'^  case \w+ = "([a-z-]+)"$', SOURCE.read_text(), re.MULTILINE)
# No job replaces a file, and the steps of sinks are those of Swift jobs: for Python's see below.
PLACES = [place for place in ALL if not place.startswith(("file-", "sink-"))]
# A checkpoint with every so many batches of orders: five, and one at the end.
EVERY = 3


class Pair:
    """Two processes that fork lives, for two cores."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.lives = [Lives().__enter__() for _ in range(2)]
        self.expected: dict[str, Outcome] = {}
        self.visits: dict[tuple[str, int, bool], Counter[str]] = {}

    def each(self, cases: list[Life], of_one: object) -> None:
        """Runs `of_one(lives, life)` for every case."""
        assert callable(of_one)
        free = list(self.lives)
        with ThreadPoolExecutor(2) as pool:

            def work(life: Life) -> None:
                lives = free.pop()
                try:
                    of_one(lives, life)
                finally:
                    free.append(lives)

            list(pool.map(work, cases))

    def known(self, backend: str, parallelism: int = 1, resumes: bool = False) -> Counter[str]:
        """How often each place is visited by a run without interruption, whose outcome is the expected one; or by one
        that goes on from a checkpoint."""
        key = backend, parallelism, resumes
        if key not in self.visits:
            life = prepared(
                self.top / f"{backend}-{parallelism}-{resumes}", backend=backend, parallelism=parallelism, every=EVERY
            )
            if resumes:
                half_way(self.lives[0], life)
            death = self.lives[0].end(dataclasses.replace(life, fault=",".join(f"{place}:note" for place in ALL)))
            self.visits[key] = Counter(re.findall(r"^fault point ([a-z-]+)$", death.stderr, re.MULTILINE))
            found = outcome(life)
            assert found.difference(self.expected.setdefault(backend, found)) is None
        return self.visits[key]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    pair = Pair(tmp_path_factory.mktemp("expected"))
    yield pair
    for lives in pair.lives:
        lives.__exit__()


def half_way(lives: Lives, life: Life) -> None:
    death = lives.live(dataclasses.replace(life, fault="checkpoint-after-rename:kill:3"))
    assert death.is_killed, death


def goes_on(lives: Lives, life: Life, expected: Outcome) -> Death:
    """Another life, in which nothing happens, ends as expected."""
    death = lives.end(dataclasses.replace(life, fault=None, die=None, kill_after=None, most_file_bytes=None))
    assert outcome(life).difference(expected) is None, life
    return death


# Visited by threads in the background, too, and so not equally often each time.
UNEVEN = "store-file-change"


def moments(visits: int) -> list[int]:
    return sorted({1, 2, visits} & set(range(1, visits + 1)))


def test_the_places_are_those_of_the_engine(pair: Pair, tmp_path: Path) -> None:
    death = pair.lives[0].live(prepared(tmp_path, fault="nowhere:kill"))
    assert death.error == "ConfigError" or "MARTLET_FAULT" in death.words
    assert death.words.partition("the places are ")[2] == ", ".join(ALL)


def test_every_place_is_on_the_way_of_a_job(pair: Pair) -> None:
    reached = {place for resumes in (False, True) for place in pair.known("rocksdb", resumes=resumes)}
    assert reached == set(PLACES)
    assert set(pair.known("memory")) <= reached


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("place", PLACES)
def test_killed_at(pair: Pair, tmp_path: Path, backend: str, place: str) -> None:
    visits = pair.known(backend)[place] // (2 if place == UNEVEN else 1)
    cases = [
        prepared(tmp_path / str(visit), backend=backend, every=EVERY, fault=f"{place}:kill:{visit}")
        for visit in moments(visits)
    ]

    def of_one(lives: Lives, life: Life) -> None:
        death = lives.live(life)
        assert death.is_killed, death
        goes_on(lives, life, pair.expected[backend])

    pair.each(cases, of_one)


@pytest.mark.parametrize("backend", BACKENDS)
def test_killed_while_it_goes_on(pair: Pair, tmp_path: Path, backend: str) -> None:
    """At the first visit of each place in a life that goes on from a checkpoint."""
    cases = [
        prepared(tmp_path / place, backend=backend, every=EVERY, fault=f"{place}:kill")
        for place in pair.known(backend, resumes=True)
    ]

    def of_one(lives: Lives, life: Life) -> None:
        half_way(lives, life)
        assert lives.live(life).is_killed
        goes_on(lives, life, pair.expected[backend])

    pair.each(cases, of_one)


@pytest.mark.parametrize("backend", BACKENDS)
def test_fails_at(pair: Pair, tmp_path: Path, backend: str) -> None:
    """An error is told as it is, and leaves what a crash leaves."""
    cases = [
        prepared(tmp_path / place, backend=backend, every=EVERY, fault=f"{place}:throw:{min(2, visits)}")
        for place, visits in pair.known(backend).items()
    ]

    def of_one(lives: Lives, life: Life) -> None:
        death = lives.live(life)
        assert (death.status, death.error) == (1, "StorageError"), death
        assert life.fault is not None and f"fault point '{life.fault.partition(':')[0]}'" in death.words
        goes_on(lives, life, pair.expected[backend])

    pair.each(cases, of_one)


@pytest.mark.parametrize("parallelism", [1, 2])
def test_a_file_of_the_store_cannot_be_changed(pair: Pair, tmp_path: Path, parallelism: int) -> None:
    """Also in the background, by whatever process; RocksDB itself would end it. Most of what fails is said: that a file
    which nobody needs cannot be removed is not."""
    visits = pair.known("rocksdb", parallelism)[UNEVEN] // parallelism
    settings = {"backend": "rocksdb", "parallelism": parallelism, "every": EVERY}
    cases = [
        prepared(tmp_path / str(visit), fault=f"{UNEVEN}:throw:{visit}", **settings)
        for visit in range(1, visits, max(visits // 20, 1))
    ]
    said = []

    def of_one(lives: Lives, life: Life) -> None:
        death = lives.live(life)
        if not death.is_end:
            assert (death.status, death.error) == (1, "StorageError"), death
            assert f"fault point '{UNEVEN}'" in death.words, death
            said.append(life)
        goes_on(lives, life, pair.expected["rocksdb"])

    pair.each(cases, of_one)
    assert len(said) > len(cases) // 2


def test_two_instances_killed(pair: Pair, tmp_path: Path) -> None:
    """With worker processes: the places in the workers end those, which the job tells; the others the job."""
    visits = pair.known("rocksdb", parallelism=2)
    cases = [
        prepared(tmp_path / place, backend="rocksdb", parallelism=2, every=EVERY, fault=f"{place}:kill:2")
        for place in visits
        if visits[place] > 4
    ]

    def of_one(lives: Lives, life: Life) -> None:
        death = lives.live(life)
        assert death.is_killed or death.error == "WorkerDiedError", death
        goes_on(lives, life, pair.expected["rocksdb"])

    assert len(cases) > 8
    pair.each(cases, of_one)


# ---- sinks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sinks", [("jsonl", "sqlite"), ("sqlite", "parquet")])
def test_killed_in_a_step_of_a_sink(pair: Pair, tmp_path: Path, sinks: tuple[str, str]) -> None:
    settings = {"every": EVERY, "sink": sinks[0], "side": sinks[1]}
    whole = prepared(tmp_path / "whole", die=("never", 1), **settings)
    reached = pair.lives[0].end(whole).report["reached"]
    expected = outcome(whole)
    assert expected.state == pair.expected.setdefault("memory", expected).state
    # Taking output back is for failures, of which there are none here.
    assert "before abort" not in reached
    storage = reached.pop("storage")
    steps = [(step, visit) for step, visits in reached.items() for visit in moments(visits)]
    # What is done in files: every call up to the first commit, some between, and every call at the end.
    calls = [*range(1, 25), *range(25, storage - 10, 9), *range(storage - 10, storage + 1)]
    cases = [
        prepared(tmp_path / f"{step} {visit}", die=(step, visit), **settings)
        for step, visit in steps + [("storage", visit) for visit in calls]
    ]
    if sinks[0] != "jsonl":
        # The same steps in another order of the sinks.
        cases = cases[::3]

    def of_one(lives: Lives, life: Life) -> None:
        death = lives.live(life)
        # How many rows come at once is not always the same, so there may be one write less.
        assert death.is_killed or (death.is_end and life.die is not None and "write" in life.die[0]), death
        goes_on(lives, life, expected)

    pair.each(cases, of_one)
