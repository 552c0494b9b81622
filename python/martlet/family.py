"""The living streams that come from one node of the graph."""

from __future__ import annotations

import itertools
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .stream import Stream

__all__ = ["Family"]

_numbers = itertools.count()


class Family:
    """The living streams that come from one node, and those of its side outputs."""

    __slots__ = ("_streams", "sides")

    def __init__(self) -> None:
        # Each with a number, by which they are in the order in which they were made.
        self._streams: weakref.WeakKeyDictionary[Stream, int] = weakref.WeakKeyDictionary()
        self.sides: weakref.WeakValueDictionary[str, Stream] = weakref.WeakValueDictionary()

    def add(self, stream: Stream) -> None:
        self._streams[stream] = next(_numbers)

    def numbered(self) -> list[tuple[Stream, int]]:
        return sorted(self._streams.items(), key=lambda pair: pair[1])
