"""What the engine asks and tells about the states of the current key; see stores.py."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from .._engine import BroadcastState, ListState, MapState, State
from ..ttl import TTL
from .aging import Aging
from .stores import BroadcastStore, ListStore, MapStore, Store, ValueStore
from .timed_stores import TimedListStore, TimedMapStore, TimedStore, TimedValueStore

__all__ = ["Keeper", "event_ttl", "store_of"]


class Keeper:
    """What the engine asks and tells about the states of the current key."""

    __slots__ = ("_quiet", "_timed", "aging", "stores")

    def __init__(self, stores: list[Store], aging: Aging) -> None:
        self.stores = stores
        self.aging = aging
        self._timed = [one for one in stores if isinstance(one, TimedStore)]
        self._quiet = False

    def before(self, index: int, scope: int, key: Any) -> None:
        if not self._quiet:
            self.stores[index].before(scope, key)

    def after(self, index: int, scope: int, key: Any) -> None:
        if not self._quiet:
            self.stores[index].after(scope, key)

    def flush(self) -> None:
        """The call is done: all that changed goes to Flink."""
        with self.quietly():
            for store in self.stores:
                store.flush()

    @contextlib.contextmanager
    def quietly(self) -> Iterator[None]:
        """What is done to handles meanwhile is the keeper's own doing."""
        self._quiet = True
        try:
            yield
        finally:
            self._quiet = False

    def forget(self) -> None:
        for store in self.stores:
            store.forget()

    def clean(self, time_ms: int, watermark: int) -> None:
        """A timer of the current key: takes away what has expired of the states that it may have been armed for."""
        self.aging.now = self.aging.present = watermark
        for store in self._timed:
            if self.aging.is_time(time_ms, store.ttl_ms):
                store.clean()


def event_ttl(state: State) -> TTL | None:
    """Its TTL if that is in event time, which Flink has nothing for."""
    return state.ttl if state.ttl is not None and state.ttl.time == "event" else None


def store_of(handle: State, flink: Any, aging: Aging) -> Store:
    """What keeps a state of this kind in this state of Flink."""
    if event_ttl(handle) is not None:
        if isinstance(handle, MapState):
            return TimedMapStore(handle, flink, aging)
        return (TimedListStore if isinstance(handle, ListState) else TimedValueStore)(handle, flink, aging)
    if isinstance(handle, BroadcastState):
        return BroadcastStore(handle, flink)
    if isinstance(handle, MapState):
        return MapStore(handle, flink)
    if isinstance(handle, ListState):
        return ListStore(handle, flink)
    return ValueStore(handle, flink)
