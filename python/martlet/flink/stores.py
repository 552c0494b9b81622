"""State that Flink keeps: read into the engine when a callback reads it, written back when the callback is done.

The engine's handles are what a function uses, on Flink as anywhere: they convert, check and compute. Before one reads
what the engine does not have yet, it asks the `Keeper` (keeper.py), which takes it from Flink's state and puts it in
through a handle; after one wrote, the keeper is told, and at the end of the call it writes what changed to Flink and
empties the engine. So nothing of a key stays in the engine between two calls, one entry of a map costs one entry, and
adding to a list reads nothing.
"""

from __future__ import annotations

import base64
import pickle
from typing import Any, Protocol

from .._engine import Schema
from .wire import literal

__all__ = [
    "APPENDED",
    "CLEARED",
    "ENTRY",
    "WHOLE",
    "BroadcastStore",
    "ListStore",
    "MapStore",
    "Store",
    "ValueStore",
    "key_form",
    "value_form",
]

# What the engine says of a use; see keeper.h.
WHOLE, ENTRY, APPENDED, CLEARED = range(4)

_LONG = dict.fromkeys(("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"), "LONG")
_FORMS = {**_LONG, "bool": "BOOLEAN", "float32": "DOUBLE", "float64": "DOUBLE", "utf8": "STRING"}


def value_form(dtype: Any) -> str:
    """As which of PyFlink's types values of a dtype are kept: LONG, DOUBLE, STRING, BOOLEAN or PICKLED."""
    return "PICKLED" if dtype is None else _FORMS.get(Schema({"value": dtype}).types[0], "PICKLED")


def key_form(dtype: Any) -> str:
    """The same for keys of maps: LONG or STRING."""
    return "LONG" if value_form(dtype) == "LONG" else "STRING"


class Store(Protocol):
    """One state of the current key, between Flink and the engine."""

    def before(self, scope: int, key: Any) -> None: ...

    def after(self, scope: int, key: Any) -> None: ...

    def flush(self) -> None:
        """Writes what changed to Flink, and empties the engine."""

    def forget(self) -> None:
        """The call has failed, and the engine has taken back what it did."""


class ValueStore:
    """A value, the folded value of a reducing state, the accumulator of an aggregating one."""

    __slots__ = ("_dirty", "_flink", "_handle", "_loaded", "_plain")

    def __init__(self, handle: Any, flink: Any) -> None:
        self._handle = handle
        self._flink = flink
        self._plain = value_form(handle.dtype) != "PICKLED"
        self._loaded = self._dirty = False

    def before(self, scope: int, key: Any) -> None:
        if not self._loaded:
            kept = self._flink.value()
            if kept is not None:
                self._handle._store(kept if self._plain else kept[0])
            self._loaded = True

    def after(self, scope: int, key: Any) -> None:
        self._loaded = self._dirty = True

    def flush(self) -> None:
        if self._dirty:
            value = self._handle._stored()
            if value is None:
                self._flink.clear()
            else:
                self._flink.update(value if self._plain else (value,))
        if self._loaded:
            self._handle.clear()
        self.forget()

    def forget(self) -> None:
        self._loaded = self._dirty = False


class ListStore:
    """A list. What was only added to is not read."""

    __slots__ = ("_appended", "_base", "_flink", "_handle", "_loaded", "_replaced")

    def __init__(self, handle: Any, flink: Any) -> None:
        self._handle = handle
        self._flink = flink
        self._loaded = self._appended = self._replaced = False
        self._base = 0

    def before(self, scope: int, key: Any) -> None:
        if not self._loaded:
            old = [kept[0] for kept in self._flink.get() or ()]
            if old:
                self._handle.set(old + self._handle.get())
            self._base = len(old)
            self._loaded = True

    def after(self, scope: int, key: Any) -> None:
        if scope == APPENDED:
            self._appended = True
        else:
            self._loaded = self._replaced = True

    def flush(self) -> None:
        if self._replaced:
            values = self._handle.get()
            if values:
                self._flink.update([(value,) for value in values])
            else:
                self._flink.clear()
        elif self._appended:
            self._flink.add_all([(value,) for value in self._handle.get()[self._base :]])
        if self._loaded or self._appended:
            self._handle.clear()
        self.forget()

    def forget(self) -> None:
        self._loaded = self._appended = self._replaced = False
        self._base = 0


class MapStore:
    """A map, entry by entry; whole only if all of it is looked at."""

    __slots__ = ("_cleared", "_codec", "_dirty", "_flink", "_handle", "_known", "_whole")

    def __init__(self, handle: Any, flink: Any) -> None:
        self._handle = handle
        self._flink = flink
        self._codec = _key_codec(handle.key_dtype)
        self._whole = self._cleared = False
        self._known: set[Any] = set()
        self._dirty: dict[Any, Any] = {}

    def before(self, scope: int, key: Any) -> None:
        if self._whole:
            return
        if scope == ENTRY:
            place = self._place(key)
            if place not in self._known:
                kept = self._flink.get(place)
                if kept is not None:
                    self._load(place, key, kept)
                self._known.add(place)
            return
        for place, kept in list(self._flink.items()):
            if place not in self._known:
                self._load(place, self._key(place), kept)
        self._whole = True

    def _load(self, place: Any, key: Any, kept: Any) -> None:
        self._handle.put(key, kept[0])

    def after(self, scope: int, key: Any) -> None:
        if scope == ENTRY:
            place = self._place(key)
            self._known.add(place)
            self._dirty[place] = key
        else:
            self._whole = self._cleared = True
            self._dirty.clear()

    def flush(self) -> None:
        self.write()
        if self._whole or self._known:
            self._handle.clear()
        self.forget()

    def write(self) -> None:
        """Writes what changed to Flink."""
        if self._cleared:
            self._flink.clear()
        for place, key in self._dirty.items():
            if self._handle.contains(key):
                self._flink.put(place, (self._handle.get(key),))
            elif not self._cleared:
                self._flink.remove(place)

    def forget(self) -> None:
        self._whole = self._cleared = False
        self._known = set()
        self._dirty = {}

    # Keys that Flink has no type for are texts: a literal for numbers, bytes and what a map without key_dtype may
    # have, so that 1, True and '1' are three; the pickled object for dates, decimals and the like.

    def _place(self, key: Any) -> Any:
        if self._codec == "plain":
            return key
        return repr(key) if self._codec == "literal" else base64.b64encode(pickle.dumps(key, protocol=5)).decode()

    def _key(self, place: Any) -> Any:
        if self._codec == "plain":
            return place
        return literal(place) if self._codec == "literal" else pickle.loads(base64.b64decode(place))


def _key_codec(dtype: Any) -> str:
    if value_form(dtype) in ("LONG", "STRING"):
        return "plain"
    if dtype is None or Schema({"key": dtype}).types[0].startswith(("uint64", "bool", "binary", "large_binary")):
        return "literal"
    return "pickled"


class BroadcastStore(MapStore):
    """A broadcast state, which stays in the engine: it has no key, and Flink keeps it in memory as well."""

    __slots__ = ()

    def before(self, scope: int, key: Any) -> None:
        pass

    def load(self) -> None:
        """Takes over what a checkpoint had; while the broadcast side may write."""
        for place, kept in list(self._flink.items()):
            self._handle.put(self._key(place), kept[0])
        self.forget()

    def flush(self) -> None:
        self.write()
        self.forget()

    def rebind(self, flink: Any) -> None:
        """The state as the context of the running call gives it."""
        self._flink = flink
