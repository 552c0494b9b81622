"""Names of a package whose modules are loaded when they are first asked for.

Sources and sinks bring much of the standard library along (files, gzip, SQLite), and every worker process loads the
package anew, which is most of what it takes to start one.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["late_names"]


def late_names(package: str, modules: Mapping[str, Iterable[str]]) -> Callable[[str], Any]:
    """The `__getattr__` of a package: `modules` are its modules by name, each with the names that it is asked for."""
    places = {name: module for module, names in modules.items() for name in names}

    def find(name: str) -> Any:
        module = places.get(name)
        if module is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{module}"), name)
        setattr(sys.modules[package], name, value)  # the next time it is simply there
        return value

    return find
