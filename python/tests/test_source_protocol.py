"""Streams over sources: the protocol, and Arrow data as a source."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from helpers import Counter
from sinks_and_sources import SCHEMA, all_rows, assert_replays, batch, records

import martlet as mt


class Numbers:
    """A source of one's own: three batches; an offset is the number of the next."""

    def __init__(self, **attributes: Any) -> None:
        self.closed = 0
        self.reads: list[Any] = []
        for name, value in attributes.items():
            setattr(self, name, value)

    def read(self, offset: Any) -> Iterator[Any]:
        self.reads.append(offset)
        for number in range(offset or 0, 3):
            yield batch(records(2, number * 2)), number + 1

    def close(self) -> None:
        self.closed += 1


def test_a_stream_over_a_source() -> None:
    source = Numbers(name="numbers")
    assert isinstance(source, mt.Source)
    stream = mt.stream(source)
    assert stream.to_pylist() == records(6)
    assert stream.key_by("text").process(Counter()).to_pylist()[0]["n"] == 1
    assert source.reads == [None, None]
    assert source.closed == 2
    assert "stream 'numbers': Numbers" in stream.explain()
    assert mt.stream(source, name="given").explain().startswith("stream 'given'")


def test_source_batches_and_empty_ones() -> None:
    class Source(Numbers):
        def read(self, offset: Any) -> Iterator[Any]:
            for found, after in super().read(offset):
                yield mt.SourceBatch(found[:0], after)
                yield mt.SourceBatch(found, after, partition="p")

    assert mt.stream(Source()).to_pylist() == records(6)
    found, after = mt.SourceBatch("batch", 1, "p")
    assert (found, after) == ("batch", 1)


def test_a_source_without_batches_has_its_schema() -> None:
    class Nothing(Numbers):
        def read(self, offset: Any) -> Iterator[Any]:
            return iter(())

    assert mt.stream(Nothing(schema=SCHEMA)).schema == SCHEMA
    assert mt.stream(Nothing(schema={"a": int})).to_pylist() == []
    assert mt.stream(Nothing()).schema.names == ()


def test_items_that_are_none() -> None:
    class Wrong(Numbers):
        def read(self, offset: Any) -> Iterator[Any]:
            yield batch(records(1))

    with pytest.raises(mt.SourceError, match=r"stream 'w': item 0 of Wrong.read is of type RecordBatch; give pairs"):
        mt.stream(Wrong(), name="w").to_pylist()
    with pytest.raises(mt.ConfigError, match="schema= is for sources of dicts"):
        mt.stream(Numbers(), schema=SCHEMA)


def test_read_once_and_live() -> None:
    stream = mt.stream(Numbers(replayable=False))
    assert len(stream.to_pylist()) == 6
    with pytest.raises(mt.MartletError, match="read only once"):
        stream.to_pylist()
    assert "merged by arrival" in mt.stream(Numbers(bounded=False)).explain()
    assert "merged by arrival" not in mt.stream(Numbers(bounded=False), bounded=True).explain()


def test_a_run_that_ends_early_closes_its_source() -> None:
    source = Numbers()
    run = iter(mt.stream(source))
    next(run)
    run.close()  # type: ignore[attr-defined]
    assert source.closed == 1


def test_a_failing_source_is_closed_and_its_error_surfaces() -> None:
    class Broken(Numbers):
        def read(self, offset: Any) -> Iterator[Any]:
            yield batch(records(1)), 1
            raise ZeroDivisionError

    source = Broken()
    with pytest.raises(ZeroDivisionError):
        mt.stream(source).to_pylist()
    assert source.closed == 1


def table(n: int) -> pa.Table:
    return pa.Table.from_pylist(records(n), schema=pa.schema(SCHEMA))


def test_arrow_sources() -> None:
    rows = records(20_000)
    data = pa.concat_tables([table(20_000).slice(0, 7), table(20_000).slice(7)])
    assert_replays(lambda: mt.ArrowSource(data), rows)
    assert_replays(lambda: mt.ArrowSource(data.to_reader), rows)
    assert all_rows(mt.ArrowSource(data), 12_345) == rows[12_345:]
    assert all_rows(mt.ArrowSource(data), 20_000) == []
    assert mt.stream(mt.ArrowSource(data)).schema == SCHEMA
    assert mt.stream(mt.ArrowSource(data.slice(0, 0))).schema == SCHEMA
    polars = pytest.importorskip("polars")
    assert all_rows(mt.ArrowSource(polars.from_arrow(data)), 19_998) == rows[19_998:]


def test_arrow_sources_that_do_not_fit() -> None:
    with pytest.raises(mt.ConfigError, match="RecordBatchReader can be read only once; pass a callable"):
        mt.ArrowSource(table(1).to_reader())
    with pytest.raises(mt.ConfigError, match="a int is no Arrow data"):
        mt.ArrowSource(1)
    with pytest.raises(mt.SourceError, match="there are only 3 rows, and it is to be read from row 4 on"):
        all_rows(mt.ArrowSource(table(3)), 4)
    with pytest.raises(mt.SourceError, match="an offset is a number of rows"):
        all_rows(mt.ArrowSource(table(3)), "x")


def test_a_live_source_that_waits_ends_with_its_run(tmp_path: Any) -> None:
    source = mt.JsonlSource(tmp_path, schema=SCHEMA, follow=True, poll="10m", settle=0)
    before = threading.active_count()
    run = iter(mt.stream(source).key_by("id").connect(mt.stream([{"id": 1}]).key_by("id")).process(Both()))
    assert next(run).num_rows == 1
    run.close()  # type: ignore[attr-defined]
    for _ in range(200):
        if threading.active_count() <= before:
            return
        threading.Event().wait(0.02)
    raise AssertionError("the thread that waits for files goes on")


class Both(mt.CoProcessFunction):
    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        ctx.emit(key=key)


class Parts:
    """A source with two partitions, one far ahead of the other; an offset is the number of the next item."""

    name = "parts"
    schema = mt.Schema({"k": int, "t": int})
    items: tuple[tuple[Any, list[int], bool], ...] = (
        (0, [], False),
        ("b", [], False),
        ("b", [100, 110], False),
        (0, [10, 20], False),
        ("b", [120], True),
        (0, [21], False),
    )

    def read(self, offset: Any) -> Iterator[Any]:
        for number in range(offset or 0, len(self.items)):
            partition, times, is_last = self.items[number]
            yield mt.SourceBatch(self.table(times), number + 1, partition, is_last)

    def table(self, times: list[int]) -> Any:
        """In batches of one row."""
        fields = pa.schema([("k", pa.int64()), ("t", pa.int64())])
        one = [pa.record_batch([[0], [time]], schema=fields) for time in times]
        return pa.Table.from_batches(one or [pa.record_batch([[], []], schema=fields)])


def test_a_watermark_for_each_partition() -> None:
    def tell(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        ctx.emit(t=ctx.timestamp, watermark=ctx.watermark, late=ctx.is_late)

    rows = mt.stream(Parts(), timestamp="t").key_by("k").process(tell).to_pylist()
    assert not any(row["late"] for row in rows)
    least = -(2**63)
    assert [(row["t"], row["watermark"]) for row in rows] == [
        (100, least),
        (110, least),
        (10, least),
        (20, 9),
        (120, 19),
        (21, 19),
    ]

    class Ends(Parts):
        items = ((0, [10], False), ("b", [100], False), (0, [20], True), ("b", [90], False))

    rows = mt.stream(Ends(), timestamp="t").key_by("k").process(tell).to_pylist()
    assert [(row["t"], row["watermark"], row["late"]) for row in rows][2:] == [(20, 9, False), (90, 99, True)]

    class Wrong(Parts):
        items = ((1.5, [10], False),)

    with pytest.raises(mt.SourceError, match=r"item 0 of Wrong.read has partition=1.5; a partition is a str or an int"):
        mt.stream(Wrong(), timestamp="t").to_pylist()


def test_a_partition_that_is_silent() -> None:
    class Live(Parts):
        bounded = False

        def read(self, offset: Any) -> Iterator[Any]:
            yield mt.SourceBatch(self.table([10]), 1, "a")
            yield mt.SourceBatch(self.table([100]), 2, "b")
            for _ in range(200):
                time.sleep(0.005)
                yield mt.SourceBatch(self.table([]), 2)
                if told.is_set():
                    break
            yield mt.SourceBatch(self.table([101]), 3, "b")

    class Fires(mt.ProcessFunction):
        def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
            ctx.register_event_time_timer(ctx.timestamp + 40)
            ctx.emit(t=ctx.timestamp, watermark=ctx.watermark)

        def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
            told.set()

        def __deepcopy__(self, memo: Any) -> Fires:
            return self

    told = threading.Event()
    rows = mt.stream(Live(), timestamp="t", idle_timeout="50ms").key_by("k").process(Fires()).to_pylist()
    assert told.is_set()
    assert [row["watermark"] for row in rows][1:] == [9, 99]
