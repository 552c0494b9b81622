"""What a source is: batches, each with the offset at which to go on after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

__all__ = ["Offset", "Source", "SourceBatch", "SourceItem"]

# None (the beginning), int, str, bool, a list of offsets or a dict from str to offsets.
Offset: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class SourceBatch:
    """A batch that says more than a pair does.

    - `batch`: anything of the Arrow PyCapsule interface with `__arrow_c_array__` or `__arrow_c_stream__`. It may have
      no rows.
    - `next_offset`: where to go on after it.
    - `partition`: what it belongs to, when the source has parts that are each in order by themselves (Kafka). Each has
      a watermark of its own, and that of the stream is the least of those that count: so a part that is read far ahead
      does not make the records of another late. A partition counts from its first batch on, which may be one without
      rows: name those there are before the first row. One of a live source that gives nothing for `idle_timeout` of
      `mt.stream` does not count until its next record. An int is the same as its text.
    - `is_last`: nothing more comes of the partition behind this batch, and those of it that follow at once. When
      another batch comes, it no longer counts.
    """

    batch: Any
    next_offset: Offset
    partition: str | int | None = None
    is_last: bool = False

    def __iter__(self) -> Iterator[Any]:
        return iter((self.batch, self.next_offset))


SourceItem: TypeAlias = SourceBatch | tuple[Any, Offset]


@runtime_checkable
class Source(Protocol):
    """Where records come from, with offsets to go on at.

    `read(offset)` gives pairs `(batch, next_offset)`, or `SourceBatch`es, from `offset` on; None is the beginning.
    Offsets are values that JSON can say (int, str, list, dict with str keys). They are kept in checkpoints, so one that
    was given must never be changed afterwards, and must mean the same in another process.

    A checkpoint may fall inside a batch. What is remembered is the offset before the batch and the number of its rows
    that were processed; after a restart the source is read from that offset and so many rows are skipped. Therefore
    `read(offset)` must give **the same rows in the same order** each time it is called with an offset that it gave
    before. A source to which rows are added has to pin down what comes next before it comes: an empty batch with a
    `next_offset` that says which rows follow does that, as the sources of files and of Kafka do.

    A source that waits should give an empty batch every second or so, so that the run can look up.

    Attributes and methods that are looked for, and may be left out:

    - `bounded: bool = True`: whether it ends. One that does not is merged with other inputs as it arrives.
    - `replayable: bool = True`: False if it can be read only once. A durable job then loses or repeats records when it
      restarts.
    - `schema`: a `mt.Schema` or None: the schema of its batches, if it is known before the first.
    - `name: str`: of the stream, unless `mt.stream(…, name=)` gives one.
    - `close()`: called when a run that read it has ended, also from another thread than the one that is inside
      `read`. It frees what the source holds; a later `read` opens it again.
    """

    def read(self, offset: Offset) -> Iterator[Any]: ...
