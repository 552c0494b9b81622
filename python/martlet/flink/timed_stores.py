"""States with a TTL in event time between Flink and the engine, as the stores of stores.py are for the others. What is
kept is (value, time it counts from), for each element and entry of its own; see aging.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from .aging import Aging
from .stores import ENTRY, ListStore, MapStore
from .timer_book import MAX_TIME

__all__ = ["TimedListStore", "TimedMapStore", "TimedStore", "TimedValueStore"]

Kept = tuple[Any, ...]


class _Ages:
    """How old what is kept of one state may become."""

    __slots__ = ("_aging", "_shows_expired", "ttl_ms")

    def __init__(self, handle: Any, aging: Aging) -> None:
        self._aging = aging
        self.ttl_ms: int = handle.ttl.duration_ms
        self._shows_expired = handle.ttl.visibility == "until_cleaned"

    def stamp(self, kept: Kept) -> int:
        """The time that something counts from: the present one for what was kept before the state had a TTL."""
        stamp: int = kept[1] if len(kept) > 1 else self._aging.present
        return stamp

    def has_expired(self, kept: Kept) -> bool:
        return self._aging.has_expired(self.stamp(kept), self.ttl_ms)

    def is_gone(self, kept: Kept) -> bool:
        """Whether nobody is to see it any more. At the end of the input all that has expired is cleaned away."""
        return (not self._shows_expired or self._aging.now == MAX_TIME) and self.has_expired(kept)

    def written(self, stored: list[Kept]) -> None:
        if stored:
            self._aging.arm(max(one[-1] for one in stored), self.ttl_ms)


class TimedStore(ABC):
    """One state of the current key, of which parts expire."""

    __slots__ = ()
    _ages: _Ages

    @property
    def ttl_ms(self) -> int:
        return self._ages.ttl_ms

    @abstractmethod
    def clean(self) -> None:
        """Takes away what has expired of the current key."""


class TimedValueStore(TimedStore):
    """A value, or what a reducing or aggregating state has."""

    __slots__ = ("_ages", "_dirty", "_flink", "_handle", "_loaded", "_stamp")

    def __init__(self, handle: Any, flink: Any, aging: Aging) -> None:
        self._handle = handle
        self._flink = flink
        self._ages = _Ages(handle, aging)
        self._loaded = self._dirty = False
        # That of what was loaded.
        self._stamp: Kept = ()

    def before(self, scope: int, key: Any) -> None:
        if self._loaded:
            return
        kept = self._flink.value()
        if kept is not None and not self._ages.is_gone(kept):
            self._handle._put_stamped(kept[0], self._ages.stamp(kept))
            self._stamp = kept[1:]
        self._loaded = True

    def after(self, scope: int, key: Any) -> None:
        self._loaded = self._dirty = True

    def flush(self) -> None:
        if self._loaded:
            stored = self._handle._stamped()
            if stored and (self._dirty or stored[0][1:] != self._stamp):
                self._flink.update(stored[0])
                self._ages.written(stored)
            elif self._dirty and not stored:
                self._flink.clear()
            self._handle.clear()
        self.forget()

    def forget(self) -> None:
        self._loaded = self._dirty = False
        self._stamp = ()

    def clean(self) -> None:
        kept = self._flink.value()
        if kept is not None and self._ages.has_expired(kept):
            self._flink.clear()


class TimedListStore(TimedStore, ListStore):
    """A list. What was only added to is not read."""

    __slots__ = ("_ages", "_stamps")

    def __init__(self, handle: Any, flink: Any, aging: Aging) -> None:
        super().__init__(handle, flink)
        self._ages = _Ages(handle, aging)
        # Those of the elements that were loaded.
        self._stamps: list[Kept] = []

    def before(self, scope: int, key: Any) -> None:
        if self._loaded:
            return
        old = [kept for kept in self._flink.get() or () if not self._ages.is_gone(kept)]
        if old:
            added = self._handle._stamped() if self._appended else []
            self._handle.clear()
            for kept in (*old, *added):
                self._handle._put_stamped(kept[0], self._ages.stamp(kept))
        self._stamps = [kept[1:] for kept in old]
        self._base = len(old)
        self._loaded = True

    def flush(self) -> None:
        if self._loaded or self._appended:
            stored = self._handle._stamped()
            if self._replaced or [one[1:] for one in stored[: self._base]] != self._stamps:
                if stored:
                    self._flink.update(stored)
                else:
                    self._flink.clear()
                self._ages.written(stored)
            elif added := stored[self._base :]:
                self._flink.add_all(added)
                self._ages.written(added)
            self._handle.clear()
        self.forget()

    def forget(self) -> None:
        super().forget()
        self._stamps = []

    def clean(self) -> None:
        kept = list(self._flink.get() or ())
        left = [one for one in kept if not self._ages.has_expired(one)]
        if kept and not left:
            self._flink.clear()
        elif len(left) < len(kept):
            self._flink.update(left)


class TimedMapStore(TimedStore, MapStore):
    """A map, entry by entry."""

    __slots__ = ("_ages", "_stamps")

    def __init__(self, handle: Any, flink: Any, aging: Aging) -> None:
        super().__init__(handle, flink)
        self._ages = _Ages(handle, aging)
        # Those of the entries that were loaded, by their place.
        self._stamps: dict[Any, Kept] = {}

    def _load(self, place: Any, key: Any, kept: Kept) -> None:
        if not self._ages.is_gone(kept):
            self._handle._put_stamped(key, kept[0], self._ages.stamp(kept))
            self._stamps[place] = kept[1:]

    def after(self, scope: int, key: Any) -> None:
        super().after(scope, key)
        if scope != ENTRY:
            self._stamps.clear()

    def write(self) -> None:
        if self._cleared:
            self._flink.clear()
        if not self._dirty and not self._stamps:
            return
        stored = {self._place(key): (key, value, stamp) for key, value, stamp in self._handle._stamped()}
        written = []
        for place, one in stored.items():
            if place in self._dirty or one[2:] != self._stamps.get(place):
                self._flink.put(place, one[1:])
                written.append(one)
        for place in self._dirty:
            if place not in stored and not self._cleared:
                self._flink.remove(place)
        self._ages.written(written)

    def forget(self) -> None:
        super().forget()
        self._stamps = {}

    def clean(self) -> None:
        for place, kept in list(self._flink.items()):
            if self._ages.has_expired(kept):
                self._flink.remove(place)
