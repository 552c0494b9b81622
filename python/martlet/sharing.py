"""Streams that share a run: the outputs of one function, and what follows them.

Once a side output of a function was asked for, all streams that come from that function share a run: the first that is
consumed starts it, and what it leaves for the others is kept until they are consumed, or dropped. A stream that others
were built on is not one of them: nobody is likely to want its records too.
"""

from __future__ import annotations

import itertools
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .stream import ProcessNode, Stream

__all__ = ["Family", "sharing_streams"]

_numbers = itertools.count()


class Family:
    """The living streams that come from one function, and those of its side outputs."""

    __slots__ = ("_numbers", "_streams", "sides")

    def __init__(self) -> None:
        self._streams: weakref.WeakSet[Stream] = weakref.WeakSet()
        self._numbers: weakref.WeakKeyDictionary[Stream, int] = weakref.WeakKeyDictionary()
        self.sides: weakref.WeakValueDictionary[str, Stream] = weakref.WeakValueDictionary()

    def add(self, stream: Stream) -> None:
        self._streams.add(stream)
        self._numbers[stream] = next(_numbers)

    def has_split(self) -> bool:
        """Whether a stream of a side output, or of what follows one, is alive."""
        return bool(self.sides) or any(
            process.family is self and following.input_tag is not None
            for stream in self._streams
            for process, following in itertools.pairwise(stream._processes)
        )

    def streams(self) -> list[Stream]:
        """In the order in which they were made."""
        return sorted(self._streams, key=self._numbers.__getitem__)


def sharing_streams(stream: Stream) -> list[Stream]:
    """The streams that share a run with this one, itself included."""
    for process in stream._processes:
        if process.family.has_split():
            family = process.family.streams()
            return [one for one in family if one is stream or not any(_follows(other, one) for other in family)]
    return [stream]


def _follows(stream: Stream, base: Stream) -> bool:
    """Whether `stream` applies a function to `base`."""
    n = len(base._processes)
    if len(stream._processes) <= n:
        return False
    head: tuple[ProcessNode, ...] = stream._processes[:n]
    return all(map(_is, head, base._processes)) and stream._processes[n].input_tag == base._side


def _is(left: object, right: object) -> bool:
    return left is right
