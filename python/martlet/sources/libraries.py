"""Packages that sources and sinks use if they are there."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["pyarrow_module", "required"]


def required(module: str, user: str, install: str) -> Any:
    """A module; ImportError that says who needs it and what to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(f"{user} needs the package {package}: pip install {install}") from error


def pyarrow_module(module: str, user: str) -> Any:
    return required(module, user, "pyarrow")
