"""How a run without checkpoints drives a sink of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import martlet as mt

ROWS = [{"k": i} for i in range(3)]


class Recorder:
    """Writes down what it is asked; fails in the call that `fails` names."""

    transactional = True

    def __init__(self, fails: str = "") -> None:
        self.log: list[str] = []
        self._fails = fails

    def _note(self, *words: object) -> None:
        self.log.append(" ".join(map(str, words)))
        if words[0] == self._fails:
            raise ZeroDivisionError

    def open(self, job: str, state_dir: Path | None) -> None:
        self._note("open", job, state_dir)

    def recover(self, checkpoint: int | None) -> None:
        self._note("recover", checkpoint)

    def write(self, batch: mt.RecordBatch) -> None:
        self._note("write", batch.num_rows)

    def prepare(self, checkpoint: int) -> None:
        self._note("prepare", checkpoint)

    def commit(self, checkpoint: int) -> None:
        self._note("commit", checkpoint)

    def abort(self, checkpoint: int) -> None:
        self._note("abort", checkpoint)

    def close(self) -> None:
        self._note("close")


BEGIN = ["open orders None", "recover None"]


@pytest.mark.parametrize(
    ("fails", "log"),
    [
        ("", [*BEGIN, "write 3", "prepare 1", "commit 1", "close"]),
        ("open", [BEGIN[0], "close"]),
        ("recover", [*BEGIN, "close"]),
        ("write", [*BEGIN, "write 3", "abort 0", "close"]),
        ("prepare", [*BEGIN, "write 3", "prepare 1", "abort 0", "close"]),
        ("commit", [*BEGIN, "write 3", "prepare 1", "commit 1", "abort 0", "close"]),
        ("close", [*BEGIN, "write 3", "prepare 1", "commit 1", "close"]),
    ],
)
def test_a_run(fails: str, log: list[str]) -> None:
    sink = Recorder(fails)
    assert isinstance(sink, mt.Sink)
    try:
        mt.stream(ROWS, name="orders").run(sink)
        assert not fails
    except ZeroDivisionError:
        assert fails
    assert sink.log == log


def test_a_source_that_fails() -> None:
    def broken() -> Any:
        yield ROWS[0]
        raise ZeroDivisionError

    sink = Recorder()
    with pytest.raises(ZeroDivisionError):
        mt.stream(broken(), name="orders").run(sink)
    assert sink.log == [*BEGIN, "write 1", "abort 0", "close"]


def test_the_name_of_the_job() -> None:
    sink = Recorder()
    mt.stream(ROWS).run(sink, config=mt.Config(name="mine"))
    assert sink.log[0] == "open mine None"


def test_nothing_but_the_four_methods() -> None:
    class Least:
        transactional = True
        rows: list[Any]

        def __init__(self) -> None:
            self.rows, self.staged = [], []  # type: ignore[var-annotated]

        def write(self, batch: mt.RecordBatch) -> None:
            self.staged += batch.to_pylist()

        def prepare(self, checkpoint: int) -> None: ...

        def commit(self, checkpoint: int) -> None:
            self.rows += self.staged

        def abort(self, checkpoint: int) -> None:
            self.staged = []

    sink = Least()
    mt.stream(ROWS).run(sink)
    assert sink.rows == ROWS
