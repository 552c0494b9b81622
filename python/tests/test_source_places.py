"""Where sources of every kind stand, and that they go on there; with jobs that are stopped at every place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset
import pytest

import martlet as mt
from martlet.sources.offset_text import OffsetText
from martlet.sources.reading import Reading

ROWS = [{"k": i % 3, "v": i} for i in range(40)]
TABLE = pa.Table.from_pylist(ROWS)


def tables() -> list[pa.Table]:
    return [pa.concat_tables([TABLE[:7], TABLE[7:9]]), TABLE[9:9], TABLE[9:20], TABLE[20:40]]


class Again:
    """Can be iterated again and again."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)


class Own:
    def __init__(self, *, bounded: bool = True) -> None:
        self.bounded = bounded

    def read(self, offset: Any) -> Iterator[Any]:
        at = offset["at"][0] if offset else 0
        for number, item in enumerate(tables()):
            if number >= at:
                yield item, {"at": [number + 1]}


SOURCES: dict[str, Callable[[], Any]] = {
    "rows": lambda: ROWS,
    "table": lambda: pa.Table.from_batches(TABLE.to_batches(max_chunksize=6)),
    "table cut otherwise": lambda: TABLE,
    "batches": lambda: TABLE.to_batches(max_chunksize=6),
    "tables": tables,
    "dicts again": lambda: Again(ROWS),
    "tables again": lambda: Again(tables()),
    "mixed": lambda: Again([TABLE[:11].to_batches()[0], TABLE[11:]]),
    "own": Own,
    "live": lambda: Own(bounded=False),
    "reader factory": lambda: mt.ArrowSource(lambda: TABLE.to_reader(max_chunksize=5)),
    "dataset": lambda: pa.dataset.dataset(TABLE),
}


def counted(source: Any, state: Path, interval: Any = None) -> mt.Stream:
    count = mt.ValueState("count", int)

    def fn(key: Any, batch: Any, row: int, ctx: Any) -> None:
        count.set((count.get() or 0) + 1)
        ctx.emit(k=key, v=batch["v"], n=count.get())

    config = mt.Config(state_dir=state, checkpoint_interval=interval)
    return (
        mt.stream(source, name="s").key_by("k").process(fn, count, output={"k": int, "v": int, "n": int}, config=config)
    )


@pytest.mark.parametrize("kind", SOURCES)
def test_a_source_goes_on_where_it_stood(tmp_path: Path, kind: str) -> None:
    """Each life takes one batch, is checkpointed at the next, and is dropped."""
    wanted = [{"k": row["k"], "v": row["v"], "n": row["v"] // 3 + 1} for row in ROWS]
    found: list[dict[str, Any]] = []
    for _ in range(60):
        batches = iter(counted(SOURCES[kind](), tmp_path / "state", interval=1))
        batch = next(batches, None)
        if batch is None:
            break
        found += batch.to_pylist()
        with pytest.MonkeyPatch.context() as patch:
            # The checkpoint that is due takes what was handed out, before the next batch is read.
            run = batches._output._run
            patch.setattr(type(run._waking), "is_due", True)
            run._calls = 2
            run._look_up(0)
            run._finish(wait=True)
            # A checkpoint is taken at rest: rows that were put out meanwhile come before it.
            while queue := run._queues.get(0):
                found += queue.popleft().to_pylist()
                run._look_up(0)
                run._finish(wait=True)
        batches.close()
    assert found == wanted


def test_a_checkpoint_in_the_middle_of_a_batch(tmp_path: Path) -> None:
    """The engine takes 8192 rows at a time: what is left of a batch is left for the next life."""
    rows = pa.table({"k": [i % 5 for i in range(20_000)], "v": list(range(20_000))})
    first = iter(counted(rows, tmp_path / "state"))
    n = next(first).num_rows
    assert n == 8192
    run = first._output._run
    run.requests.add()
    run._look_up(0)
    first.close()
    rest = counted(rows, tmp_path / "state").to_pylist()
    assert [row["v"] for row in rest] == list(range(n, 20_000))


def one(source: Any, state: Path) -> mt.Stream:
    return (
        mt.stream(source, name="s").key_by("k").process(lambda k, b, r, c: c.emit(b), config=mt.Config(state_dir=state))
    )


@pytest.mark.filterwarnings("ignore::martlet.MartletWarning")
@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("rows", lambda: ROWS[:3], "it has 3 items, and the checkpoint was taken after 40"),
        ("table", lambda: TABLE[:3], "the Arrow stream has 3 rows, and 40 were read"),
        ("batches", lambda: TABLE.to_batches(max_chunksize=20), "it has 2 items, and the checkpoint was taken after 7"),
        ("rows", lambda: TABLE, "source of another kind"),
        ("table", lambda: ROWS, "source of another kind"),
        ("own", lambda: iter(ROWS), "source of another kind"),
    ],
)
def test_a_source_that_is_not_the_one_it_was(tmp_path: Path, before: str, after: Callable[[], Any], words: str) -> None:
    # All rows were read, and the end of the input was not.
    batches = iter(one(SOURCES[before](), tmp_path))
    while batches._output._run._job.report()["records_in"] < len(ROWS):
        next(batches)
    run = batches._output._run
    run.requests.add()
    run._look_up(0)
    batches.close()
    with pytest.raises(mt.SourceError, match=words):
        one(after(), tmp_path).to_pylist()


def test_offsets_are_what_json_can_say() -> None:
    class Odd(Own):
        def __init__(self, offset: Any) -> None:
            super().__init__()
            self.offset = offset

        def read(self, offset: Any) -> Iterator[Any]:
            yield TABLE, self.offset

    for bad in ({1: 2}, {1, 2}, float("nan"), b"x", object()):
        reading = Reading(Odd(bad), "s")
        next(reading)
        with pytest.raises(mt.SourceError, match=r"stream 's': Odd.read gave an offset that JSON cannot say"):
            reading.place(None)
    for good in (None, 3, "ü", [1, [2]], (1, 2), {"b": 1, "a": {"c": None}}):
        reading = Reading(Odd(good), "s")
        next(reading)
        assert Reading(Odd(good), "s").seek(reading.place(5)) == 5
        assert reading.place(None) == Reading(Odd(good), "s").place(None) or good is not None
    reading = Reading(Odd({"b": 1, "a": 2}), "s")
    next(reading)
    assert reading.place(None) == b'[{"a":2,"b":1},0]'
    with pytest.raises(mt.SourceError, match="source of another kind than Odd"):
        reading.seek(b"\x00")


def test_a_batch_that_became_shorter(tmp_path: Path) -> None:
    class Shrinking(Own):
        table = TABLE

        def read(self, offset: Any) -> Iterator[Any]:
            yield pa.concat_tables([self.table[:30], self.table[30:]]), 1

    batches = iter(one(Shrinking(), tmp_path))
    assert next(batches).num_rows == 30
    run = batches._output._run
    run.requests.add()
    run._look_up(0)
    batches.close()
    Shrinking.table = TABLE[:10]
    with pytest.raises(mt.SourceError, match="has 20 rows fewer than it had"):
        one(Shrinking(), tmp_path).to_pylist()


def test_jobs_without_checkpoints_ask_for_no_offsets() -> None:
    class Silent(Own):
        def read(self, offset: Any) -> Iterator[Any]:
            yield TABLE, object()

    assert len(mt.stream(Silent()).to_pylist()) == 40


def test_the_text_of_offsets() -> None:
    """That of long lists is kept, and is what JSON makes of it."""

    def plain(offset: Any) -> str:
        return json.dumps(offset, sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    text = OffsetText()
    long = [["ä", number] for number in range(100)]
    offsets = [None, 7, "x", [1, 2], {}, {"b": long, "a": {"z": 1}}, {"b": long, "a": 2}, {"b": long[:80]}, {"b": long}]
    for offset in [*offsets, {"b": list(range(100)), "a": long}, {"a": long, 'q"': [1]}, long]:
        assert text(offset) == plain(offset)
    for wrong in ({"a": {1, 2}}, {"a": [float("nan")] * 70}):
        with pytest.raises((TypeError, ValueError)):
            text(wrong)
